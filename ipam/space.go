package ipam

import (
	"fmt"
	"net/netip"
	"slices"
)

// space is a valid Config turned into offsets from the first address of a window.
// The window of an IPv4 subnet is all of it. That of an IPv6 subnet is what is
// given out dynamically; the rest is beyond, and kept by name.
type space struct {
	subnet    netip.Prefix
	v6        bool
	dynamic   netip.Prefix // Range, or all of the subnet
	high, low uint64       // the window's first address, see halves
	size      int
	lo, hi    int          // first and last offset that may be given out dynamically
	gateway   netip.Addr   // the subnet's
	reserved  []int        // sorted, each once: those of the subnet's first and last address, the gateway, Reserved in the window
	beyond    []netip.Addr // sorted, each once: those outside the window
}

func newSpace(c Config) *space {
	s := &space{subnet: c.Subnet, v6: c.Subnet.Addr().Is6(), dynamic: c.Subnet, gateway: c.GatewayAddr()}
	if c.Range.IsValid() {
		s.dynamic = c.Range
	}
	if s.v6 {
		s.high, s.low = halves(s.dynamic.Addr())
		s.size = 1 << min(128-s.dynamic.Bits(), windowBits)
		s.hi = s.size - 1
	} else {
		s.low = uint64(number(c.Subnet.Addr()))
		s.size = 1 << (32 - c.Subnet.Bits())
		s.lo = int(number(s.dynamic.Addr())) - int(s.low)
		s.hi = s.lo + 1<<(32-s.dynamic.Bits()) - 1
		s.reserved = append(s.reserved, s.size-1)
	}
	s.keep(c.Subnet.Addr())
	s.keep(s.gateway)
	for _, a := range c.Reserved {
		s.keep(a)
	}
	slices.Sort(s.reserved)
	s.reserved = slices.Compact(s.reserved)
	slices.SortFunc(s.beyond, netip.Addr.Compare)
	s.beyond = slices.Compact(s.beyond)
	return s
}

// keep reserves an address of the subnet.
func (s *space) keep(a netip.Addr) {
	if i, inside := s.inside(a); inside {
		s.reserved = append(s.reserved, i)
	} else {
		s.beyond = append(s.beyond, a)
	}
}

// inside finds the place in the window of an address of the subnet.
func (s *space) inside(a netip.Addr) (offset int, ok bool) {
	high, low := halves(a)
	return int(low - s.low), high == s.high && low-s.low < uint64(s.size)
}

// reservedIn counts the reserved offsets from lo to hi.
func (s *space) reservedIn(lo, hi int) int {
	from, _ := slices.BinarySearch(s.reserved, lo)
	to, _ := slices.BinarySearch(s.reserved, hi+1)
	return to - from
}

// addr is the inverse of offset.
func (s *space) addr(offset int) netip.Addr {
	if !s.v6 {
		return address(uint32(s.low) + uint32(offset))
	}
	return joined(s.high, s.low+uint64(offset))
}

// outside is the offset of the addresses of the subnet that have none.
const outside = -1

// offset finds a's place in the window: outside, when the subnet has the address
// and the window has not.
func (s *space) offset(a netip.Addr) (int, error) {
	if !s.v6 {
		if a = a.Unmap(); a.Is4() {
			if i := number(a) - uint32(s.low); i < uint32(s.size) {
				return int(i), nil
			}
		}
	} else if s.subnet.Contains(a) {
		if i, ok := s.inside(a); ok {
			return i, nil
		}
		return outside, nil
	}
	return 0, &AddrError{Addr: a, Subnet: s.subnet, Err: ErrOutOfRange}
}

func (s *space) isReserved(offset int) bool {
	_, found := slices.BinarySearch(s.reserved, offset)
	return found
}

// isKept is isReserved for an address outside the window.
func (s *space) isKept(a netip.Addr) bool {
	_, found := slices.BinarySearchFunc(s.beyond, a, netip.Addr.Compare)
	return found
}

// refusal is the error for an offset whose bit is set.
func (s *space) refusal(offset int, owner Owner) error {
	return s.refuse(s.addr(offset), s.isReserved(offset), owner)
}

// refuse is the error for an address that is reserved or has an owner.
func (s *space) refuse(a netip.Addr, reserved bool, owner Owner) error {
	e := &AddrError{Addr: a, Subnet: s.subnet, Owner: owner, Err: ErrTaken}
	if !reserved {
		return e
	}
	e.Err, e.Owner = ErrReserved, 0
	switch {
	case a == s.subnet.Addr():
		e.What = firstName(s.subnet)
	case a.Is4() && a == lastAddr(s.subnet):
		e.What = "the broadcast address"
	case a == s.gateway:
		e.What = "the gateway"
	default:
		e.What = "kept back by the network's configuration"
	}
	return e
}

// exhausted is the error for a pool without a free address.
func (s *space) exhausted() error {
	what := fmt.Sprintf("subnet %s", s.subnet)
	if s.dynamic != s.subnet {
		what = fmt.Sprintf("range %s of subnet %s", s.dynamic, s.subnet)
	}
	if s.v6 && s.dynamic.Bits() < 128-windowBits {
		what = fmt.Sprintf("the first %d addresses of %s", s.size, what)
	}
	return fmt.Errorf("%s: %w", what, ErrFull)
}
