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
func (c bridge) routed() []Noted {
	ping := c.rule("filter", c.Prefix+"-BRIDGE", c.in()+" -p "+c.icmp(), "ACCEPT", "let ping and its kin reach "+c.Link,
		"The network is routed: containers answer by their own address, and ICMP tells them and others what goes wrong on the way.")
	return []Noted{c.answers(), ping, c.last(), c.leave()}
}

// unprotected are the rules of a network that is open to all who have a route.
func (c bridge) unprotected() []Noted {
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
func (c bridge) apart() []Noted {
	var rules []Noted
	drop := func(from, to string) {
		n := c.rule("filter", c.Prefix+"-BRIDGE", "-i "+from+" -o "+to+" -m conntrack ! --ctstate DNAT", "DROP",
			"keep containers of "+from+" from "+to, "Network "+to+" is unprotected, but other networks reach its published ports only.")
		n.First = true
		rules = append(rules, n)
	}
	for _, from := range c.from {
		drop(from, c.Link)
	}
	for _, to := range c.to {
		drop(c.Link, to)
	}
	return rules
}

// Open gives the rules that let packets for the published ports of a container
// pass, on a network without address translation: those for IPv4 to the address
// ip, those for IPv6 to ip6. The zero Addr stands for none. Which ports are for
// which family is as in [Publish]. The rules stand before the one that drops the
// rest.
func Open(prefix, owner string, ports []port.Mapping, ip, ip6 netip.Addr) []Rule {
	var rules []Rule
	for i, f := range families {
		addr := []netip.Addr{ip, ip6}[i]
		if !addr.IsValid() {
			continue
		}
		for _, s := range spans(f.ports(ports)) {
			match := fmt.Sprintf("-d %s -p %s -m %s --dport %d", f.host(addr), s.proto, s.proto, s.first)
			if s.last > s.first {
				match += fmt.Sprintf(":%d", s.last)
			}
			r := f.rule("filter", prefix+"-BRIDGE", match, owner, "ACCEPT")
			r.First = true
			rules = append(rules, r)
		}
	}
	return rules
}

// span is a range of ports of a container.
type span struct {
	proto       port.Proto
	first, last uint16
}

// spans joins neighbours among the container's ports.
func spans(ports []port.Mapping) (spans []span) {
	ports = slices.Clone(ports)
	slices.SortFunc(ports, func(a, b port.Mapping) int {
		return cmp.Or(cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.ContainerPort, b.ContainerPort))
	})
	for _, p := range ports {
		n := len(spans)
		if n > 0 && spans[n-1].proto == p.Proto && int(p.ContainerPort) <= int(spans[n-1].last)+1 {
			spans[n-1].last = p.ContainerPort
			continue
		}
		spans = append(spans, span{p.Proto, p.ContainerPort, p.ContainerPort})
	}
	return spans
}
