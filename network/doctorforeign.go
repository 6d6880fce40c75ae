package network

import (
	"context"
	"fmt"
	"os"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/network/firewall/nft"
	"github.com/minirt/mini/plan"
)

// checkForeign looks for what other programs do to mini's packets. None of it is
// mini's to change.
func (d *doctor) checkForeign() {
	if !d.shared.anyUp() {
		return
	}
	at := len(d.found)
	d.checkBackend()
	d.checkOther()
	d.checkHooks()
	d.checkTakenPorts()
	d.checkDocker()
	d.checkVersion()
	d.checkManagers()
	d.fine(at, "the host", "no other program stands in the way")
}

// checkOther looks at the rules of the other back end: a packet must pass both.
func (d *doctor) checkOther() {
	if d.other == nil {
		return
	}
	at := len(d.found)
	for _, v6 := range bothFamilies {
		d.judgeOther(firewall.Chain{Table: "filter", Name: "FORWARD", V6: v6})
	}
	if at == len(d.found) && d.hasRules(d.other) {
		d.foreign(Note, "the host", d.other.Program+" has rules as well", d.whyOther())
	}
}

func (d *doctor) whyOther() string {
	return "a packet must pass the rules of both back ends, and mini's are in " + d.rules.Program
}

// judgeOther finds out whether a chain of the other back end drops packets of
// containers.
func (d *doctor) judgeOther(c firewall.Chain) {
	scope := d.scope(c.V6)
	if len(scope.Bridges) == 0 {
		return
	}
	decision, program := d.other.Decide(d.other.Rules(c), scope), d.other.ProgramFor(c)
	switch {
	case decision != nil && decision.Target != "ACCEPT":
		d.foreign(Wrong, "the host", fmt.Sprintf("a rule of %s drops packets of containers: %s", program, decision.Rule), d.whyOther(),
			acceptIn(program, scope.Bridges)...)
	case decision == nil && d.other.Chains[c] != nil && d.other.Chains[c].Policy == "DROP":
		d.foreign(Wrong, "the host", "FORWARD of "+program+" drops by default, and no rule there accepts packets of containers", d.whyOther(),
			acceptIn(program, scope.Bridges)...)
	}
}

// checkHooks looks for nftables chains of others that drop what mini accepts.
func (d *doctor) checkHooks() {
	hooks, err := nft.Hooks(d.bridges(), d.shared.up(true))
	if err != nil {
		d.foreign(Note, "the host", err.Error(), "chains of nftables that drop packets of containers would not be seen")
		return
	}
	const why = "a packet must pass all chains at the hook forward, and mini accepts in its own only"
	for _, h := range hooks {
		name := fmt.Sprintf("the chain %s of the nftables table %s", h.Chain, h.Table)
		if !h.Drops {
			d.foreign(Note, "the host", name+" judges forwarded packets, too", why)
			continue
		}
		var commands []string
		for _, bridge := range d.bridges() {
			for _, way := range []string{"iifname", "oifname"} {
				commands = append(commands, fmt.Sprintf("nft insert rule %s %s %s %s accept", h.Table, h.Chain, way, plan.Quote(nft.LinkName(bridge))))
			}
		}
		d.foreign(Wrong, "the host", name+" drops packets of containers", why, commands...)
	}
}

func (d *doctor) hasRules(l *firewall.Listing) bool {
	for _, c := range l.Chains {
		if len(c.Rules) > 0 {
			return true
		}
	}
	return false
}

func acceptIn(program string, bridges []string) (commands []string) {
	for _, bridge := range bridges {
		commands = append(commands, plan.Command(program, "-I", "FORWARD", "-i", bridge, "-j", "ACCEPT"),
			plan.Command(program, "-I", "FORWARD", "-o", bridge, "-j", "ACCEPT"))
	}
	return commands
}

// checkBackend finds that the iptables program is not the one that made the rules.
func (d *doctor) checkBackend() {
	if d.other == nil {
		return
	}
	mine := 0
	for _, r := range d.shared.Rules {
		if d.other.Find(r) >= 0 {
			mine++
		}
	}
	if mine == 0 {
		return
	}
	d.foreign(Wrong, "the firewall", fmt.Sprintf("%d rules of mini's are in %s, and iptables is now %s", mine, d.other.Program, d.rules.Program),
		"mini changes rules in one back end only: those in the other stay for ever",
		"update-alternatives --config iptables")
}

// checkTakenPorts looks for rules that take a published port before mini's do.
func (d *doctor) checkTakenPorts() {
	for _, v6 := range bothFamilies {
		pre := firewall.Chain{Table: "nat", Name: "PREROUTING", V6: v6}
		jump := -1
		for _, r := range d.shared.standing(d.shared.Rules) {
			if r.Home() == pre {
				jump = d.rules.Find(r)
			}
		}
		for _, w := range d.wards {
			for i := range w.eps {
				d.checkTaken(pre, jump, &w.eps[i])
			}
		}
	}
}

// checkTaken looks for rules above mini's jump that take a port of one container.
func (d *doctor) checkTaken(pre firewall.Chain, jump int, ep *Endpoint) {
	for _, p := range ep.Ports {
		if !firewall.IsFor(p, pre.V6) {
			continue
		}
		r := d.rules.Redirects(pre, jump, string(p.Proto), fmt.Sprint(p.HostPort))
		if r == nil {
			continue
		}
		d.foreign(Wrong, "container "+ep.ContainerName, fmt.Sprintf("somebody's rule takes its port %d/%s: %s", p.HostPort, p.Proto, r),
			"the rule stands before mini's", r.Rule().DeleteCommand())
	}
}

// checkDocker finds a Docker that has taken over the chains: its filter table
// has a chain DOCKER, which mini never makes.
func (d *doctor) checkDocker() {
	came, err := d.m.dockerCame(d.shared)
	if !came || err != nil {
		return
	}
	d.add(NewFinding("the firewall", "a Docker daemon uses the chains DOCKER as well", "it empties them whenever it starts, and published ports are gone",
		plan.Step{
			Name: "leave the chains DOCKER to Docker", Why: "Mini's rules move to chains of another name.",
			Cmds: []string{"mini network reload"},
			Do:   func(ctx context.Context) error { return d.m.moveAway(ctx, nil) },
		}))
}

// checkManagers names programs that rewrite the firewall.
func (d *doctor) checkManagers() {
	why := "what it forbids to forwarded packets does not hold for containers, and when it reloads, mini's rules may go"
	if d.rules.Has(firewall.Chain{Table: "filter", Name: "ufw-before-forward"}) {
		d.foreign(Note, "the host", "ufw is active", why+": rules for containers belong into "+firewall.UserChain)
	}
	if _, err := os.Stat("/run/firewalld"); err == nil {
		d.foreign(Note, "the host", "firewalld is active", why+"; its own nftables chains may reject what mini accepts: put the bridges into a zone that accepts",
			d.trust()...)
	}
}

func (d *doctor) trust() (commands []string) {
	for _, bridge := range d.bridges() {
		commands = append(commands, "firewall-cmd --permanent --zone=trusted --add-interface="+plan.Quote(bridge))
	}
	return append(commands, "firewall-cmd --reload")
}

// scope is the traffic of one family on all networks that are up.
func (d *doctor) scope(v6 bool) firewall.Scope {
	s := firewall.Scope{Elsewhere: d.isElsewhere}
	for _, w := range d.wards {
		subnet := w.n.Subnet
		if v6 {
			subnet = w.n.Subnet6
		}
		if w.up() && subnet.IsValid() {
			s.Bridges, s.Subnets = append(s.Bridges, w.mk.Bridge), append(s.Subnets, subnet)
		}
	}
	return s
}

// bridges are those of all networks that are up.
func (d *doctor) bridges() (names []string) {
	for _, w := range d.wards {
		if w.up() {
			names = append(names, w.mk.Bridge)
		}
	}
	return names
}
