package nft

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/plan"
)

// AddCommand is the shell command that adds the rule.
func (d *Driver) AddCommand(r firewall.Rule) string {
	p, err := parse(r)
	if err != nil {
		return "# " + err.Error()
	}
	if e, ok := p.element(); ok {
		return d.command(p.family, "add element", e.mapName(), "{ "+e.key()+" comment "+quoted(e.comment)+" : "+e.value()+" }")
	}
	verb := "add rule"
	if p.first {
		verb = "insert rule"
	}
	return d.command(p.family, verb, p.chain, p.text())
}

// DeleteCommand is the shell command that deletes the rule. Rules are deleted by
// their handle, which the kernel gives.
func (d *Driver) DeleteCommand(r firewall.Rule) string {
	p, err := parse(r)
	if err != nil {
		return "# " + err.Error()
	}
	if e, ok := p.element(); ok {
		return d.command(p.family, "delete element", e.mapName(), "{ "+e.key()+" }")
	}
	_, mark, _ := strings.Cut(p.comment, " #")
	list := fmt.Sprintf("nft -a list chain %s %s %s | sed -n 's/.*#%s\".* handle //p'", p.family, d.table, p.chain, mark)
	return fmt.Sprintf("nft delete rule %s %s %s handle \"$(%s)\"", p.family, d.table, p.chain, list)
}

// AddChainCommands are the shell commands that make chains. Before those of a
// family come its table and what every table has.
func (d *Driver) AddChainCommands(chains []firewall.Chain) []string {
	var cmds []string
	for _, f := range familiesOf(chains, nil) {
		cmds = append(cmds, plan.Command("nft", "add", "table", f.String(), d.table))
		for _, b := range baseChains {
			cmds = append(cmds, d.command(f, "add chain", b.name(), fmt.Sprintf("{ type %s hook %s priority %d; }", b.kind, b.hookName, b.priority)))
		}
		for _, c := range chains {
			if c.V6 != bool(f) {
				continue
			}
			cmds = append(cmds, d.command(f, "add chain", chainName(c.Table, c.Name), ""))
			if c.HoldsPorts() {
				cmds = append(cmds, d.portMapCommands(f, chainName(c.Table, c.Name))...)
			}
		}
	}
	return cmds
}

func (d *Driver) portMapCommands(f family, chain string) []string {
	addr := f.address().Name
	return []string{
		d.command(f, "add map", mapAny, "{ type inet_proto . inet_service : "+addr+" . inet_service; }"),
		d.command(f, "add map", mapAt, "{ type "+addr+" . inet_proto . inet_service : "+addr+" . inet_service; }"),
		d.command(f, "add rule", chain, fmt.Sprintf("dnat %s to %s daddr . meta l4proto . th dport map @%s", f, f, mapAt)),
		d.command(f, "add rule", chain, fmt.Sprintf("dnat %s to meta l4proto . th dport map @%s", f, mapAny)),
	}
}

// DeleteChainCommands are the shell commands that delete chains, and the tables
// when they hold nothing else.
func (d *Driver) DeleteChainCommands(chains []firewall.Chain) []string {
	var cmds []string
	for _, c := range chains {
		f, name := family(c.V6), chainName(c.Table, c.Name)
		if c.HoldsPorts() {
			cmds = append(cmds, d.command(f, "flush chain", name, ""))
		}
		cmds = append(cmds, d.command(f, "delete chain", name, ""))
	}
	for _, f := range familiesOf(chains, nil) {
		cmds = append(cmds, plan.Command("nft", "delete", "table", f.String(), d.table))
	}
	return cmds
}

// command prints one nft command on an object of a table of ours.
func (d *Driver) command(f family, verb, name, rest string) string {
	words := append([]string{"nft"}, strings.Fields(verb)...)
	words = append(words, f.String(), d.table, name)
	if rest == "" {
		return plan.Command(words...)
	}
	return plan.Command(words...) + " " + plan.Quote(rest)
}

func quoted(s string) string { return `"` + s + `"` }

// wildcard ends a name of links that begin alike in iptables. In nft a star does.
const wildcard = "+"

// LinkName gives a link's name as nft writes it, from the words of iptables.
func LinkName(name string) string {
	if prefix, ok := strings.CutSuffix(name, wildcard); ok {
		return prefix + "*"
	}
	return name
}

func (e element) key() string {
	key := fmt.Sprintf("%s . %d", e.proto, e.port)
	if e.at.IsValid() {
		key = e.at.String() + " . " + key
	}
	return key
}

func (e element) value() string { return fmt.Sprintf("%s . %d", e.to.Addr(), e.to.Port()) }

// text is the rule in nft's language.
func (r rule) text() string {
	var words []string
	hasPort := slices.ContainsFunc(r.matches, func(m match) bool { return m.kind == matchPort })
	for _, m := range r.matches {
		if m.kind == matchProto && hasPort {
			continue // the port says it: tcp dport
		}
		words = append(words, m.words(r.family, r.protocol())...)
	}
	words = append(words, "counter")
	switch {
	case r.target == dnat:
		to := r.to.String()
		if r.toPort != 0 {
			to = netip.AddrPortFrom(r.to, r.toPort).String()
		}
		words = append(words, "dnat", "to", to)
	case r.jumps():
		words = append(words, "jump", r.target)
	default:
		words = append(words, strings.ToLower(r.target))
	}
	return strings.Join(append(words, "comment", quoted(r.comment)), " ")
}

func (r rule) protocol() string {
	for _, m := range r.matches {
		if m.kind == matchProto {
			return m.text
		}
	}
	return ""
}

func (m match) words(f family, proto string) []string {
	var words []string
	value := m.text
	switch m.kind {
	case matchSource, matchDest:
		words = []string{f.String(), map[matchKind]string{matchSource: "saddr", matchDest: "daddr"}[m.kind]}
		if value = m.prefix.String(); m.prefix.IsSingleIP() {
			value = m.prefix.Addr().String()
		}
	case matchIn:
		words, value = []string{"iifname"}, quoted(LinkName(m.text))
	case matchOut:
		words, value = []string{"oifname"}, quoted(LinkName(m.text))
	case matchLocal:
		words, value = []string{"fib", "daddr", "type"}, "local"
	case matchState:
		words, value = []string{"ct", "state"}, strings.ToLower(m.text)
		if m.text == stateDNAT {
			words, value = []string{"ct", "status"}, "dnat"
		}
	case matchProto:
		words = []string{"meta", "l4proto"}
	case matchPort:
		words, value = []string{proto, "dport"}, strings.ReplaceAll(m.text, ":", "-")
	}
	switch {
	case m.not && m.kind == matchState:
		words = append(words, "!") // none of these bits
	case m.not:
		words = append(words, "!=")
	}
	return append(words, value)
}
