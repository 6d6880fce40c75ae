package firewall

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/minirt/mini/network/port"
)

// Publish gives the DNAT rules of the published ports of a container: for IPv4 to
// the address to, for IPv6 to to6. The zero Addr stands for none, so that there
// are no rules of that family. Neighbours with the same number on both sides share
// one rule.
//
// A mapping is for IPv6 if its host address is, a dual one for both. Those for
// [::1] have no rule: DNAT cannot lead out of the loopback link.
//
// A range that is shifted, such as 9000-9099:8000-8099, has a rule for each
// port. There is a form for it, --to-destination IP:8000-8099/9000, but when a
// client uses one source port for two addresses of the host, the kernel counts
// on to the next port of the range to tell the two connections apart, and so
// reaches another service: see nf_nat_l4proto_unique_tuple in net/netfilter/nf_nat_core.c.
func Publish(prefix, owner string, ports []port.Mapping, to, to6 netip.Addr) []Rule {
	var rules []Rule
	for i, f := range families {
		addr := []netip.Addr{to, to6}[i]
		mine := slices.DeleteFunc(f.ports(ports), func(p port.Mapping) bool { return bool(f) && p.HostIP.IsLoopback() })
		for len(mine) > 0 && addr.IsValid() {
			n := 1
			for n < len(mine) && continues(mine[:n], mine[n]) {
				n++
			}
			rules = append(rules, f.publish(prefix, owner, mine[:n], addr))
			mine = mine[n:]
		}
	}
	return rules
}

// continues tells whether next can share the rule of a range.
func continues(ports []port.Mapping, next port.Mapping) bool {
	last := ports[len(ports)-1]
	return last.HostPort == last.ContainerPort && next.HostPort == next.ContainerPort &&
		int(next.HostPort) == int(last.HostPort)+1 && next.HostIP == last.HostIP && next.Proto == last.Proto
}

// publish gives one rule for one port or for a range. Without a port in its
// target DNAT keeps the number, also when the kernel would like another.
func (f family) publish(prefix, owner string, ports []port.Mapping, to netip.Addr) Rule {
	m, last := ports[0], ports[len(ports)-1]
	match := f.at(m) + fmt.Sprintf("-p %s -m %s --dport %d", m.Proto, m.Proto, m.HostPort)
	target := f.to(to, m.ContainerPort)
	if len(ports) > 1 {
		match += fmt.Sprintf(":%d", last.HostPort)
		target = f.to(to, 0)
	}
	return f.rule("nat", prefix, match, owner, "DNAT --to-destination "+target)
}
