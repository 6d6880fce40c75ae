package lab

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/coreos/go-iptables/iptables"

	"github.com/minirt/mini/plan"
)

// rule is a rule, as iptables(8) takes it.
type rule struct {
	v6    bool
	table string
	chain string
	words []string
}

func (r rule) program() string {
	if r.v6 {
		return "ip6tables"
	}
	return "iptables"
}

// nat gives the steps of one rewrite.
func (b *builder) nat(n rewrite) []plan.Step {
	if !n.at.IsValid() {
		return []plan.Step{b.masquerade(n)}
	}
	return b.dnat(n)
}

func (b *builder) masquerade(n rewrite) plan.Step {
	words := []string{"-s", n.from.String()}
	if n.out != "" {
		words = append(words, "-o", n.out)
	}
	if n.notOut != "" {
		words = append(words, "!", "-o", n.notOut)
	}
	return b.rules(n.in, plan.Step{
		Name: fmt.Sprintf("let %s hide %s behind its own address", n.in.name, n.from),
		Why: "MASQUERADE writes the address of the outgoing link into what leaves, as the sender. Answers come back to it, and are " +
			"given the old address again.",
	}, rule{n.from.Addr().Is6(), "nat", "POSTROUTING", append(words, "-j", "MASQUERADE")})
}

func (b *builder) dnat(n rewrite) []plan.Step {
	v6 := n.at.Addr().Is6()
	match := []string{"-d", netip.PrefixFrom(n.at.Addr(), n.at.Addr().BitLen()).String(), "-p", n.proto,
		"--dport", strconv.Itoa(int(n.at.Port())), "-j", "DNAT", "--to-destination", n.to.String()}
	step := plan.Step{
		Name: fmt.Sprintf("publish %s at %s of %s", n.to, n.at, n.in.name),
		Why: "DNAT writes another destination into packets, before they are routed. PREROUTING sees those from outside, OUTPUT those " +
			"of the namespace itself.",
	}
	if n.chain == "" {
		var rules []rule
		for _, h := range n.hooks {
			rules = append(rules, rule{v6, "nat", strings.ToUpper(h), match})
		}
		return []plan.Step{b.rules(n.in, step, rules...)}
	}
	steps := []plan.Step{}
	if jumps := b.jumps(n, v6); len(jumps) > 0 {
		steps = append(steps, b.rules(n.in, plan.Step{
			Name: fmt.Sprintf("make chain %s in %s", n.chain, n.in.name),
			Why:  "One chain has all published ports. The hooks jump there for packets to any address of the namespace's own.",
		}, jumps...))
	}
	return append(steps, b.rules(n.in, step, rule{v6, "nat", n.chain, match}))
}

// jumps gives the new chain's hooks, unless an earlier rewrite of the place made it. A rule
// without words makes the chain.
func (b *builder) jumps(n rewrite, v6 bool) []rule {
	for i := range b.m.nats {
		o := &b.m.nats[i]
		if o.at == n.at && o.in == n.in && o.proto == n.proto {
			break
		}
		if o.chain == n.chain && o.in.space() == n.in.space() && o.at.Addr().Is6() == v6 {
			return nil
		}
	}
	rules := []rule{{v6, "nat", n.chain, nil}}
	for _, h := range n.hooks {
		rules = append(rules, rule{v6, "nat", strings.ToUpper(h), []string{"-m", "addrtype", "--dst-type", "LOCAL", "-j", n.chain}})
	}
	return rules
}

func (b *builder) drop(d drop) plan.Step {
	step := plan.Step{
		Name: fmt.Sprintf("drop in %s what goes from %s to %s", d.in.name, d.from, d.to),
		Why:  "FORWARD sees what a namespace routes for others. What is dropped there ends in silence.",
	}
	words := []string{"-i", d.from, "-o", d.to, "-j", "DROP"}
	rules := []rule{{false, "filter", "FORWARD", words}}
	for _, a := range d.in.space().addresses {
		if a.Addr().Is6() {
			return b.rules(d.in, step, append(rules, rule{true, "filter", "FORWARD", words})...)
		}
	}
	return b.rules(d.in, step, rules...)
}

// rules makes a step of rules in a place.
func (b *builder) rules(in *place, step plan.Step, rules ...rule) plan.Step {
	for _, r := range rules {
		words := []string{r.program(), "-w", "-t", r.table, "-A", r.chain}
		if r.words == nil {
			words[4] = "-N"
		}
		step.Cmds = append(step.Cmds, b.inside(in, append(words, r.words...)...))
	}
	step.Do = func(context.Context) error {
		return b.s.do(b.m.spaceName(in), func() error { return addRules(rules) })
	}
	return step
}

// addRules adds rules in the namespace of the calling thread.
func addRules(rules []rule) error {
	for _, r := range rules {
		proto := iptables.ProtocolIPv4
		if r.v6 {
			proto = iptables.ProtocolIPv6
		}
		t, err := iptables.New(iptables.IPFamily(proto), iptables.Timeout(30))
		if err != nil {
			return fmt.Errorf("finding the %s program: %w", r.program(), err)
		}
		if r.words == nil {
			err = t.NewChain(r.table, r.chain)
		} else {
			err = t.Append(r.table, r.chain, r.words...)
		}
		if err != nil {
			return fmt.Errorf("adding to chain %s of table %s: %w", r.chain, r.table, err)
		}
	}
	return nil
}
