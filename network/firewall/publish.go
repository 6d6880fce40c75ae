package firewall

import (
	"fmt"
	"net/netip"

	"github.com/minirt/mini/network/port"
)

// Publish gives the DNAT rules of the published ports of the container at to.
// Neighbours with the same number on both sides share one rule.
//
// A range that is shifted, such as 9000-9099:8000-8099, has a rule for each
// port. There is a form for it, --to-destination IP:8000-8099/9000, but when a
// client uses one source port for two addresses of the host, the kernel counts
// on to the next port of the range to tell the two connections apart, and so
// reaches another service: see nf_nat_l4proto_unique_tuple in net/netfilter/nf_nat_core.c.
func Publish(prefix, owner string, ports []port.Mapping, to netip.Addr) []Rule {
	var rules []Rule
	for len(ports) > 0 {
		n := 1
		for n < len(ports) && continues(ports[:n], ports[n]) {
			n++
		}
		rules = append(rules, publish(prefix, owner, ports[:n], to))
		ports = ports[n:]
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
func publish(prefix, owner string, ports []port.Mapping, to netip.Addr) Rule {
	m, last := ports[0], ports[len(ports)-1]
	match, target := "", fmt.Sprintf("DNAT --to-destination %s:%d", to, m.ContainerPort)
	if m.HostIP.IsValid() && !m.HostIP.IsUnspecified() {
		match = "-d " + m.HostIP.String() + "/32 "
	}
	match += fmt.Sprintf("-p %s -m %s --dport %d", m.Proto, m.Proto, m.HostPort)
	if len(ports) > 1 {
		match += fmt.Sprintf(":%d", last.HostPort)
		target = "DNAT --to-destination " + to.String()
	}
	return newRule("nat", prefix, match, owner, target)
}
