package firewall

import (
	"net/netip"
	"slices"
	"strings"
)

// Scope is the traffic of mini's containers, as seen by somebody else's rules.
type Scope struct {
	Bridges []string
	Subnets []netip.Prefix
	// Elsewhere tells of a link that none of mini's packets passes: it does not
	// exist, or is a bridge of somebody else.
	Elsewhere func(link string) bool
}

// Decision is the first rule that settles the fate of mini's packets.
type Decision struct {
	Rule   Listed
	Target string // ACCEPT, DROP or REJECT
}

// Decide follows rules, and the chains they jump to, until one accepts or drops
// packets of the scope. It is careful to name only rules that hit the scope as a
// whole: one that names a port, a peer, or another program's bridge is somebody's
// intention. Nil: none does.
func (l *Listing) Decide(rules []Listed, s Scope) *Decision { return l.decide(rules, s, 0) }

// maxDepth bounds the walk. The kernel allows no loops.
const maxDepth = 16

func (l *Listing) decide(rules []Listed, s Scope, depth int) *Decision {
	for _, r := range rules {
		if depth > maxDepth || !r.hits(s) {
			continue
		}
		switch target := r.Target(); target {
		case "ACCEPT", "DROP", "REJECT":
			return &Decision{r, target}
		case "RETURN":
			return nil
		default:
			if d := l.decide(l.Rules(Chain{Table: r.Chain.Table, Name: target, V6: r.Chain.V6}), s, depth+1); d != nil {
				return d
			}
		}
	}
	return nil
}

// hits tells whether the rule matches the scope's traffic in one direction, with
// nothing that narrows it down.
func (r Listed) hits(s Scope) bool {
	words := r.Words
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		var value string
		if len(words) > 0 {
			value = words[0]
		}
		switch word {
		case "-i", "-o":
			if r.inverted(word) {
				if s.covers(value) {
					return false
				}
			} else if s.Elsewhere != nil && s.Elsewhere(value) {
				return false
			}
		case "-s", "-d":
			if r.inverted(word) || !s.overlaps(value) {
				return false
			}
		case "-m":
			if !slices.Contains([]string{"comment", "conntrack", "state"}, value) {
				return false
			}
		case "--ctstate", "--state":
			if r.inverted(word) || !strings.Contains(value, "NEW") {
				return false
			}
		case "--comment", "!":
			if word == "!" {
				continue
			}
		case "-j", "-g":
			return true // what follows are the target's options
		default:
			return false // a port, a protocol, a mark: narrow
		}
		words = words[min(1, len(words)):]
	}
	return false
}

// covers tells whether the name, which may end in +, stands for all bridges.
func (s Scope) covers(link string) bool {
	prefix, wild := strings.CutSuffix(link, "+")
	return !slices.ContainsFunc(s.Bridges, func(b string) bool {
		return b != link && (!wild || !strings.HasPrefix(b, prefix))
	})
}

func (s Scope) overlaps(addr string) bool {
	p, err := netip.ParsePrefix(addr)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(s.Subnets, p.Overlaps)
}

// Redirects finds a rule above the rule at position before in a chain of the nat
// table that takes packets for the port to another place.
func (l *Listing) Redirects(c Chain, before int, proto, port string) *Listed {
	rules := l.Rules(c)
	if before >= 0 {
		rules = rules[:before]
	}
	return l.redirects(rules, proto, port, 0)
}

func (l *Listing) redirects(rules []Listed, proto, port string, depth int) *Listed {
	for _, r := range rules {
		if depth > maxDepth || r.IsMini() {
			continue
		}
		switch target := r.Target(); target {
		case "DNAT", "REDIRECT", "ACCEPT":
			if r.after("-p") == proto && r.after("--dport") == port && r.after("-i") == "" {
				return &r
			}
		default:
			if found := l.redirects(l.Rules(Chain{Table: r.Chain.Table, Name: target, V6: r.Chain.V6}), proto, port, depth+1); found != nil {
				return found
			}
		}
	}
	return nil
}
