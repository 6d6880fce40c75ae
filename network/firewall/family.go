package firewall

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/port"
)

// family is that of a rule's packets: true for IPv6. What differs between the two
// is here, so that whatever makes rules makes those of both.
type family bool

// families are both, in the order in which their rules are made.
var families = []family{false, true}

// rule builds a rule from a text of words, the owner's tag and a target.
func (f family) rule(table, chain, match, owner, target string) Rule {
	spec := strings.Fields(match)
	spec = append(spec, Tag(owner)...)
	spec = append(spec, "-j")
	return Rule{V6: bool(f), Table: table, Chain: chain, Spec: append(spec, strings.Fields(target)...)}
}

// step names what a rule is for in a plan, in which those of both families stand.
func (f family) step(name string) string {
	if f {
		name += " (IPv6)"
	}
	return name
}

// program is the one that changes the family's rules.
func (f family) program() string {
	if f {
		return "ip6tables"
	}
	return "iptables"
}

// tables is what the kernel calls the legacy back end.
func (f family) tables() string {
	if f {
		return "ip6_tables"
	}
	return "ip_tables"
}

// addresses is the family of addresses, see address_families(7).
func (f family) addresses() byte {
	if f {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// icmp is the protocol that reports what goes wrong on the way.
func (f family) icmp() string {
	if f {
		return "ipv6-icmp"
	}
	return "icmp"
}

// notLoopback matches all but the address that DNAT cannot lead away from.
func (f family) notLoopback() string {
	if f {
		return "! -d ::1/128 "
	}
	return ""
}

// host gives the prefix that only addr is in.
func (f family) host(addr netip.Addr) string {
	return netip.PrefixFrom(addr, addr.BitLen()).String()
}

// of gives the rules of the family.
func (f family) of(rules []Rule) []Rule {
	return slices.DeleteFunc(slices.Clone(rules), func(r Rule) bool { return r.V6 != bool(f) })
}

// ports gives those of ports that are published for the family.
func (f family) ports(all []port.Mapping) []port.Mapping {
	return slices.DeleteFunc(slices.Clone(all), func(p port.Mapping) bool { return !IsFor(p, bool(f)) })
}

// IsFor tells whether a port is published for IPv6, or for IPv4: it has a host
// address of that family, or is dual.
func IsFor(p port.Mapping, v6 bool) bool {
	return v6 && p.Dual || v6 == (p.HostIP.Is6() && !p.HostIP.Is4In6())
}

// at matches the host address of a port, nothing when it stands for all.
func (f family) at(p port.Mapping) string {
	if !p.HostIP.IsValid() || p.HostIP.IsUnspecified() {
		return ""
	}
	return "-d " + f.host(p.HostIP) + " "
}

// to is the target of DNAT. Port 0: the packet's port stays.
func (f family) to(addr netip.Addr, port uint16) string {
	if port == 0 {
		return addr.String()
	}
	return fmt.Sprint(netip.AddrPortFrom(addr, port))
}

// NeedV6 tells whether chains or rules of IPv6 are among these.
func NeedV6(chains []Chain, rules []Rule) bool {
	return slices.ContainsFunc(chains, func(c Chain) bool { return c.V6 }) || slices.ContainsFunc(rules, func(r Rule) bool { return r.V6 })
}
