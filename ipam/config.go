package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// The shortest and longest prefix of a subnet. A /8 is 2^24 addresses; a /30
// is the smallest with a gateway and one address beside it.
const (
	minBits = 8
	maxBits = 30
)

// Config describes the addresses of one subnet. The network address, the
// broadcast address and the gateway are never given out.
type Config struct {
	// Subnet is an IPv4 prefix from /8 to /30 without host bits.
	Subnet netip.Prefix
	// Gateway is an address of the subnet; zero means the first one.
	Gateway netip.Addr
	// Range is the part of the subnet from which addresses are given out
	// dynamically; zero means all of it. A fixed address may lie outside.
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
func (c Config) Kept() int { return len(newSpace(c).reserved) }

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
	switch {
	case !p.IsValid():
		return errors.New("subnet is missing or malformed: want a prefix such as 172.20.0.0/24")
	case !p.Addr().Is4():
		return fmt.Errorf("subnet %s is not IPv4: want a prefix such as 172.20.0.0/24", p)
	case p.Bits() < minBits || p.Bits() > maxBits:
		return fmt.Errorf("subnet %s has a /%d prefix: want /%d to /%d", p, p.Bits(), minBits, maxBits)
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
		return fmt.Errorf("gateway %s is the network address of subnet %s: want one of %s", g, c.Subnet, hosts(c.Subnet))
	case g == lastAddr(c.Subnet):
		return fmt.Errorf("gateway %s is the broadcast address of subnet %s: want one of %s", g, c.Subnet, hosts(c.Subnet))
	}
	return nil
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
	for i, offset := range s.reserved {
		sep := ","
		if i == 0 {
			sep = " reserved "
		}
		b.WriteString(sep)
		b.WriteString(s.addr(offset).String())
	}
	return b.String()
}

// space is a valid Config turned into offsets from the subnet's first address.
type space struct {
	subnet   netip.Prefix
	dynamic  netip.Prefix // Range, or all of the subnet
	base     uint32
	size     int
	gateway  int
	lo, hi   int   // first and last offset that may be given out dynamically
	reserved []int // sorted, each once: network, gateway, broadcast, Reserved
}

func newSpace(c Config) *space {
	s := &space{
		subnet:  c.Subnet,
		dynamic: c.Subnet,
		base:    number(c.Subnet.Addr()),
		size:    1 << (32 - c.Subnet.Bits()),
	}
	if c.Range.IsValid() {
		s.dynamic = c.Range
	}
	s.lo = int(number(s.dynamic.Addr()) - s.base)
	s.hi = s.lo + 1<<(32-s.dynamic.Bits()) - 1
	s.gateway = int(number(c.GatewayAddr()) - s.base)
	s.reserved = append(s.reserved, 0, s.gateway, s.size-1)
	for _, a := range c.Reserved {
		s.reserved = append(s.reserved, int(number(a)-s.base))
	}
	slices.Sort(s.reserved)
	s.reserved = slices.Compact(s.reserved)
	return s
}

// reservedIn counts the reserved offsets from lo to hi.
func (s *space) reservedIn(lo, hi int) int {
	from, _ := slices.BinarySearch(s.reserved, lo)
	to, _ := slices.BinarySearch(s.reserved, hi+1)
	return to - from
}

// addr is the inverse of offset.
func (s *space) addr(offset int) netip.Addr { return address(s.base + uint32(offset)) }

// offset finds a's place in the subnet.
func (s *space) offset(a netip.Addr) (int, error) {
	a = a.Unmap()
	if !a.Is4() || number(a)-s.base >= uint32(s.size) {
		return 0, &AddrError{Addr: a, Subnet: s.subnet, Err: ErrOutOfRange}
	}
	return int(number(a) - s.base), nil
}

func (s *space) isReserved(offset int) bool {
	_, found := slices.BinarySearch(s.reserved, offset)
	return found
}

// refusal is the error for an offset whose bit is set.
func (s *space) refusal(offset int, owner Owner) error {
	e := &AddrError{Addr: s.addr(offset), Subnet: s.subnet, Owner: owner, Err: ErrTaken}
	if !s.isReserved(offset) {
		return e
	}
	e.Err = ErrReserved
	switch offset {
	case 0:
		e.What = "the network address"
	case s.size - 1:
		e.What = "the broadcast address"
	case s.gateway:
		e.What = "the gateway"
	default:
		e.What = "kept back by the network's configuration"
	}
	return e
}

// exhausted is the error for a pool without a free address.
func (s *space) exhausted() error {
	if s.dynamic != s.subnet {
		return fmt.Errorf("range %s of subnet %s: %w", s.dynamic, s.subnet, ErrFull)
	}
	return fmt.Errorf("subnet %s: %w", s.subnet, ErrFull)
}
