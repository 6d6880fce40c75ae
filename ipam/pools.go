package ipam

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Pool is a stock of subnets: Base cut into prefixes of Bits bits.
type Pool struct {
	Base netip.Prefix
	Bits int
}

// String gives for example "192.168.0.0/16 in /24s".
func (p Pool) String() string { return fmt.Sprintf("%s in /%ds", p.Base, p.Bits) }

// Validate says what is wrong with the pool.
func (p Pool) Validate() error {
	switch {
	case !p.Base.IsValid() || !p.Base.Addr().Is4():
		return fmt.Errorf("pool base %s is not an IPv4 prefix such as 10.0.0.0/8", p.Base)
	case p.Base != p.Base.Masked():
		return fmt.Errorf("pool base %s has host bits set: did you mean %s?", p.Base, p.Base.Masked())
	case p.Bits < max(p.Base.Bits(), minBits) || p.Bits > maxBits:
		return fmt.Errorf("pool %s cannot be cut into /%ds: want /%d to /%d", p.Base, p.Bits, max(p.Base.Bits(), minBits), maxBits)
	}
	return nil
}

// DefaultPools returns the stock for networks whose subnet nobody chose: /24s
// of 172.17.0.0/16 to 172.31.0.0/16, where Docker begins too, then of
// 192.168.0.0/16 and 10.0.0.0/8. 172.16.0.0/16 is left to the site, as Docker
// leaves it.
func DefaultPools() []Pool {
	var pools []Pool
	for i := byte(17); i <= 31; i++ {
		pools = append(pools, Pool{netip.PrefixFrom(netip.AddrFrom4([4]byte{172, i}), 16), 24})
	}
	return append(pools,
		Pool{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168}), 16), 24},
		Pool{netip.PrefixFrom(netip.AddrFrom4([4]byte{10}), 8), 24})
}

// Used is a prefix that a new subnet must not overlap.
type Used struct {
	Prefix netip.Prefix
	By     string // what uses it, as in "route on eth0" or "network web"
}

// counts reports whether u is a claim on addresses. A default route is not:
// it covers what nothing else does.
func (u Used) counts() bool { return u.Prefix.IsValid() && u.Prefix.Bits() > 0 }

// OverlapError names what a subnet overlaps. It is an ErrOverlap.
type OverlapError struct {
	Subnet netip.Prefix
	Used   Used
}

func (e *OverlapError) Error() string {
	return fmt.Sprintf("subnet %s overlaps %s (%s)", e.Subnet, e.Used.Prefix, e.Used.By)
}

// Unwrap gives ErrOverlap.
func (e *OverlapError) Unwrap() error { return ErrOverlap }

// CheckOverlap returns an [*OverlapError] for the first of used that p
// overlaps, or nil. Prefixes of length 0, default routes, do not count.
func CheckOverlap(p netip.Prefix, used []Used) error {
	for _, u := range used {
		if u.counts() && u.Prefix.Overlaps(p) {
			return &OverlapError{Subnet: p, Used: u}
		}
	}
	return nil
}

// NextSubnet returns the first subnet of pools, in their order, that overlaps
// none of used. It fails with ErrNoSubnet. For n used prefixes it takes
// O(n log n), however large the pools are.
func NextSubnet(pools []Pool, used []Used) (netip.Prefix, error) {
	for _, p := range pools {
		if err := p.Validate(); err != nil {
			return netip.Prefix{}, err
		}
	}
	busy := intervals(used)
	for _, p := range pools {
		if found, ok := p.next(busy); ok {
			return found, nil
		}
	}
	names := make([]string, len(pools))
	for i, p := range pools {
		names[i] = p.String()
	}
	return netip.Prefix{}, fmt.Errorf("%w: %d prefixes are in use and nothing is left of %s",
		ErrNoSubnet, len(used), strings.Join(names, ", "))
}

// interval is the addresses from first to last. They are 64 bits wide so that
// the address after 255.255.255.255 has a number.
type interval struct{ first, last uint64 }

func toInterval(p netip.Prefix) interval {
	p = p.Masked()
	return interval{uint64(number(p.Addr())), uint64(number(lastAddr(p)))}
}

// intervals returns what is used, sorted by where it begins. Prefixes are
// nested or apart, so of those that overlap the widest comes first.
func intervals(used []Used) []interval {
	var busy []interval
	for _, u := range used {
		if u.counts() && u.Prefix.Addr().Is4() {
			busy = append(busy, toInterval(u.Prefix))
		}
	}
	slices.SortFunc(busy, func(a, b interval) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(b.last, a.last))
	})
	return busy
}

// next returns the pool's first subnet that touches none of busy.
func (p Pool) next(busy []interval) (netip.Prefix, bool) {
	all := toInterval(p.Base)
	size := uint64(1) << (32 - p.Bits)
	at := all.first
	for _, b := range busy {
		if b.last < at {
			continue
		}
		if b.first >= at+size {
			break
		}
		at = (b.last + size) / size * size
	}
	if at > all.last {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(address(uint32(at)), p.Bits), true
}
