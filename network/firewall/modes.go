package firewall

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/minirt/mini/network/port"
)

// The gateway modes, by Docker's names.
const (
	ModeNAT         = "nat"             // the host's ports and address stand for the containers'; also ""
	ModeRouted      = "routed"          // containers are reached by their own address, at published ports
	ModeUnprotected = "nat-unprotected" // as nat, and by their own address at all ports
	ModeIsolated    = "isolated"        // the host has no address on the bridge
)

// routed are the rules of a network without address translation: who has a route
// to a container reaches its published ports, see [Open].
func (c BridgeConfig) routed() []Noted {
	ping := c.rule("filter", c.Prefix+"-BRIDGE", c.in()+" -p icmp", "ACCEPT", "let ping and its kin reach "+c.Link,
		"The network is routed: containers answer by their own address, and ICMP tells them and others what goes wrong on the way.")
	return []Noted{c.answers(), ping, c.last(), c.leave()}
}

// unprotected are the rules of a network that is open to all who have a route.
func (c BridgeConfig) unprotected() []Noted {
	match := c.in()
	rules := []Noted{c.answers(), c.rule("filter", c.Prefix+"-BRIDGE", match, "ACCEPT", "let everything reach "+c.Link,
		"The network is unprotected: who has a route to a container reaches all of its ports.")}
	if c.NoICC {
		rules = append(rules, c.published(), c.last())
	}
	return append(rules, c.leave())
}

// apart are the rules between an unprotected network and the others on the host:
// their containers reach it as they reach any, by published ports. They stand at
// the head of the chain, whichever network came up first.
func (c BridgeConfig) apart() []Noted {
	var rules []Noted
	drop := func(from, to string) {
		n := c.rule("filter", c.Prefix+"-BRIDGE", "-i "+from+" -o "+to+" -m conntrack ! --ctstate DNAT", "DROP",
			"keep containers of "+from+" from "+to, "Network "+to+" is unprotected, but other networks reach its published ports only.")
		n.First = true
		rules = append(rules, n)
	}
	for _, from := range c.From {
		drop(from, c.Link)
	}
	for _, to := range c.To {
		drop(c.Link, to)
	}
	return rules
}

// Open gives the rules that let packets for the published ports of the container
// at ip pass, on a network without address translation. They stand before the
// rule that drops the rest.
func Open(prefix, owner string, ports []port.Mapping, ip netip.Addr) []Rule {
	type span struct {
		proto       port.Proto
		first, last uint16
	}
	ports = slices.Clone(ports)
	slices.SortFunc(ports, func(a, b port.Mapping) int {
		return cmp.Or(cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.ContainerPort, b.ContainerPort))
	})
	var spans []span
	for _, p := range ports {
		n := len(spans)
		if n > 0 && spans[n-1].proto == p.Proto && int(p.ContainerPort) <= int(spans[n-1].last)+1 {
			spans[n-1].last = p.ContainerPort
			continue
		}
		spans = append(spans, span{p.Proto, p.ContainerPort, p.ContainerPort})
	}
	var rules []Rule
	for _, s := range spans {
		match := fmt.Sprintf("-d %s/32 -p %s -m %s --dport %d", ip, s.proto, s.proto, s.first)
		if s.last > s.first {
			match += fmt.Sprintf(":%d", s.last)
		}
		r := newRule("filter", prefix+"-BRIDGE", match, owner, "ACCEPT")
		r.First = true
		rules = append(rules, r)
	}
	return rules
}
