package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// The shortest and longest prefix of an IPv4 subnet. A /8 is 2^24 addresses; a /30
// is the smallest with a gateway and one address beside it.
const (
	minBits = 8
	maxBits = 30
)

// The same for an IPv6 subnet, and the number of its addresses that are given
// out dynamically, as a power of 2: a bit for each one of a /64 would be too many.
const (
	minBits6   = 8
	maxBits6   = 126
	windowBits = 16
)

// Config describes the addresses of one subnet. Its first address and the gateway
// are never given out, nor is the broadcast address of IPv4. The first address of
// an IPv6 subnet is that of all its routers, see RFC 4291, section 2.6.1.
type Config struct {
	// Subnet is an IPv4 prefix from /8 to /30, or an IPv6 prefix from /8 to /126,
	// without host bits.
	Subnet netip.Prefix
	// Gateway is an address of the subnet; zero means the first one after
	// Subnet's own.
	Gateway netip.Addr
	// Range is the part of the subnet from which addresses are given out
	// dynamically; zero means all of it. Of IPv6 these are the first 65536
	// addresses. A fixed address may lie outside.
	Range netip.Prefix
	// Reserved are further addresses of the subnet that are never given out.
	Reserved []netip.Addr
}

// GatewayAddr returns the gateway: Gateway, or the subnet's first address.
func (c Config) GatewayAddr() netip.Addr {
	if c.Gateway.IsValid() {
		return c.Gateway
	}
	return c.Subnet.Addr().Next()
}

// Kept counts the addresses of the subnet that are never given out. The
// configuration must be valid.
func (c Config) Kept() int {
	s := newSpace(c)
	return len(s.reserved) + len(s.beyond)
}

// Validate says what is wrong with the configuration and what would be right.
// All findings are joined.
func (c Config) Validate() error {
	if err := checkSubnet(c.Subnet); err != nil {
		return err
	}
	errs := []error{c.checkGateway(), c.checkRange()}
	for _, a := range c.Reserved {
		if !c.Subnet.Contains(a) {
			errs = append(errs, fmt.Errorf("reserved address %s is outside subnet %s (%s)", a, c.Subnet, span(c.Subnet)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if s := newSpace(c); s.reservedIn(s.lo, s.hi) == s.hi-s.lo+1 {
		return fmt.Errorf("range %s of subnet %s has no address to give out: every one is reserved", s.dynamic, c.Subnet)
	}
	return nil
}

func checkSubnet(p netip.Prefix) error {
	least, most := minBits, maxBits
	if p.IsValid() && p.Addr().Is6() {
		least, most = minBits6, maxBits6
	}
	switch {
	case !p.IsValid():
		return errors.New("subnet is missing or malformed: want a prefix such as 172.20.0.0/24 or fd00:1::/64")
	case p.Addr().Is4In6():
		return fmt.Errorf("subnet %s is IPv4 written as IPv6: want a prefix such as 172.20.0.0/24 or fd00:1::/64", p)
	case p.Bits() < least || p.Bits() > most:
		return fmt.Errorf("subnet %s has a /%d prefix: want /%d to /%d", p, p.Bits(), least, most)
	case p != p.Masked():
		return fmt.Errorf("subnet %s has host bits set: did you mean %s?", p, p.Masked())
	}
	return nil
}

func (c Config) checkGateway() error {
	g := c.GatewayAddr()
	switch {
	case !c.Subnet.Contains(g):
		return fmt.Errorf("gateway %s is outside subnet %s (%s)", g, c.Subnet, span(c.Subnet))
	case g == c.Subnet.Addr():
		return fmt.Errorf("gateway %s is %s of subnet %s: want one of %s", g, firstName(c.Subnet), c.Subnet, hosts(c.Subnet))
	case g.Is4() && g == lastAddr(c.Subnet):
		return fmt.Errorf("gateway %s is the broadcast address of subnet %s: want one of %s", g, c.Subnet, hosts(c.Subnet))
	}
	return nil
}

// firstName says what the first address of a subnet is.
func firstName(p netip.Prefix) string {
	if p.Addr().Is6() {
		return "the subnet-router anycast address"
	}
	return "the network address"
}

func (c Config) checkRange() error {
	r := c.Range
	switch {
	case r == netip.Prefix{}:
		return nil
	case !r.IsValid():
		return fmt.Errorf("range is malformed: want a part of subnet %s", c.Subnet)
	case r != r.Masked():
		return fmt.Errorf("range %s has host bits set: did you mean %s?", r, r.Masked())
	case !c.Subnet.Contains(r.Addr()) || r.Bits() < c.Subnet.Bits():
		return fmt.Errorf("range %s is not inside subnet %s (%s)", r, c.Subnet, span(c.Subnet))
	}
	return nil
}

// String is the canonical text: two configurations with the same text give out
// the same addresses. The configuration must be valid.
func (c Config) String() string {
	s := newSpace(c)
	var b strings.Builder
	fmt.Fprintf(&b, "subnet %s gateway %s range %s", c.Subnet, c.GatewayAddr(), s.dynamic)
	kept := slices.Clone(s.beyond)
	for _, offset := range s.reserved {
		kept = append(kept, s.addr(offset))
	}
	slices.SortFunc(kept, netip.Addr.Compare)
	for i, a := range kept {
		sep := ","
		if i == 0 {
			sep = " reserved "
		}
		b.WriteString(sep)
		b.WriteString(a.String())
	}
	return b.String()
}
