package ipam

import (
	"cmp"
	"crypto/sha256"
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

// maxPoolBits6 is the longest prefix of a subnet that is chosen from an IPv6 pool:
// a link's prefix has 64 bits, see RFC 4291, section 2.5.4.
const maxPoolBits6 = 64

// String gives for example "192.168.0.0/16 in /24s".
func (p Pool) String() string { return fmt.Sprintf("%s in /%ds", p.Base, p.Bits) }

// Validate says what is wrong with the pool.
func (p Pool) Validate() error {
	least, most := minBits, maxBits
	if p.Base.IsValid() && p.Base.Addr().Is6() {
		least, most = minBits6, maxPoolBits6
	}
	least = max(p.Base.Bits(), least)
	switch {
	case !p.Base.IsValid():
		return fmt.Errorf("pool base %s is not a prefix such as 10.0.0.0/8", p.Base)
	case p.Base != p.Base.Masked():
		return fmt.Errorf("pool base %s has host bits set: did you mean %s?", p.Base, p.Base.Masked())
	case p.Bits < least || p.Bits > most:
		return fmt.Errorf("pool %s cannot be cut into /%ds: want /%d to /%d", p.Base, p.Bits, least, most)
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

// UniqueLocal gives the /48 of unique local IPv6 addresses that belongs to a
// seed: fd, then 40 bits of a hash of it, see RFC 4193, section 3.2.2.
func UniqueLocal(seed []byte) Pool {
	sum := sha256.Sum256(seed)
	b := [16]byte{0xfd}
	copy(b[1:6], sum[:])
	return Pool{netip.PrefixFrom(netip.AddrFrom16(b), 48), maxPoolBits6}
}

// Used is a prefix that a new subnet must not overlap.
type Used struct {
	Prefix netip.Prefix
	By     string // what uses it, as in "route on eth0" or "network web"
	// Yields: it is for what nothing else is for, as a route that drops packets to
	// all private addresses. A subnet inside it is more specific, and no clash.
	Yields bool
}

// counts reports whether u is a claim on addresses of a subnet of that many bits.
// A default route is not: it covers what nothing else does.
func (u Used) counts(bits int) bool {
	return u.Prefix.IsValid() && u.Prefix.Bits() > 0 && (!u.Yields || u.Prefix.Bits() >= bits)
}

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
		if u.counts(p.Bits()) && u.Prefix.Overlaps(p) {
			return &OverlapError{Subnet: p, Used: u}
		}
	}
	return nil
}

// NextSubnet returns the first subnet of pools, in their order, that overlaps
// none of used. It fails with ErrNoSubnet. For n used prefixes it takes
// O(n log n) for each size of subnets, however large the pools are.
func NextSubnet(pools []Pool, used []Used) (netip.Prefix, error) {
	for _, p := range pools {
		if err := p.Validate(); err != nil {
			return netip.Prefix{}, err
		}
	}
	type kind struct {
		v6   bool
		bits int
	}
	busy := map[kind][]interval{}
	for _, p := range pools {
		k := kind{p.Base.Addr().Is6(), p.Bits}
		if busy[k] == nil {
			busy[k] = intervals(used, k.v6, k.bits)
		}
		if found, ok := p.next(busy[k]); ok {
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

// interval is the addresses from first to last, by their numbers. For IPv6 these
// are the upper halves of the addresses: what is longer than a /64 is rounded up.
// They are 64 bits wide so that the IPv4 address after 255.255.255.255 has one.
type interval struct{ first, last uint64 }

func toInterval(p netip.Prefix) interval {
	return interval{ordinal(p.Masked().Addr()), ordinal(lastAddr(p))}
}

func ordinal(a netip.Addr) uint64 {
	high, low := halves(a)
	if a.Is4() {
		return low
	}
	return high
}

// intervals returns what is used of one family by the measure of subnets of that
// many bits, sorted by where it begins. Prefixes are nested or apart, so of those
// that overlap the widest comes first.
func intervals(used []Used, v6 bool, bits int) []interval {
	var busy []interval
	for _, u := range used {
		if u.counts(bits) && u.Prefix.Addr().Is6() == v6 {
			busy = append(busy, toInterval(u.Prefix))
		}
	}
	slices.SortFunc(busy, func(a, b interval) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(b.last, a.last))
	})
	return busy
}

// next returns the pool's first subnet that touches none of busy, of its family.
func (p Pool) next(busy []interval) (netip.Prefix, bool) {
	all, width := toInterval(p.Base), 32
	if p.Base.Addr().Is6() {
		width = maxPoolBits6
	}
	size := uint64(1) << (width - p.Bits)
	at := all.first
	for _, b := range busy {
		if b.last < at {
			continue
		}
		if b.first > at+(size-1) {
			break
		}
		after := b.last/size*size + size
		if after < at { // it was the last one of all
			return netip.Prefix{}, false
		}
		at = after
	}
	if at > all.last {
		return netip.Prefix{}, false
	}
	if width == 32 {
		return netip.PrefixFrom(address(uint32(at)), p.Bits), true
	}
	return netip.PrefixFrom(joined(at, 0), p.Bits), true
}
