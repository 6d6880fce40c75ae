package nft

import (
	"net/netip"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/firewall"
)

// family is that of a table, of a rule and of the addresses in it: true for IPv6.
type family bool

// String is the family's name in nft commands.
func (f family) String() string {
	if f {
		return "ip6"
	}
	return "ip"
}

func (f family) table() nftables.TableFamily {
	if f {
		return nftables.TableFamilyIPv6
	}
	return nftables.TableFamilyIPv4
}

// proto is the family in a rewriting expression.
func (f family) proto() uint32 {
	if f {
		return unix.NFPROTO_IPV6
	}
	return unix.NFPROTO_IPV4
}

// address is the type of an address.
func (f family) address() nftables.SetDatatype {
	if f {
		return nftables.TypeIP6Addr
	}
	return nftables.TypeIPAddr
}

// words is the length of an address in 32-bit registers.
func (f family) words() uint32 { return f.address().Bytes / 4 }

// source and dest are where addresses are in the packet's header, in bytes.
func (f family) source() uint32 {
	if f {
		return 8
	}
	return 12
}

func (f family) dest() uint32 { return f.source() + f.address().Bytes }

// has tells whether an address is of the family.
func (f family) has(addr netip.Addr) bool { return addr.Is4() != bool(f) }

// familiesOf gives those among chains and rules.
func familiesOf(chains []firewall.Chain, rules []firewall.Rule) (out []family) {
	var seen [2]bool
	note := func(v6 bool) {
		i := map[bool]int{false: 0, true: 1}[v6]
		if !seen[i] {
			seen[i], out = true, append(out, family(v6))
		}
	}
	for _, c := range chains {
		note(c.V6)
	}
	for _, r := range rules {
		note(r.V6)
	}
	return out
}
