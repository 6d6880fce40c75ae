package ipam

import (
	"encoding/binary"
	"net/netip"
)

// number is an IPv4 address as an integer. It panics on any other address.
func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// address is the inverse of number.
func address(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

// halves are an IPv6 address as two integers. For an IPv4 address, the lower one
// is its number.
func halves(a netip.Addr) (high, low uint64) {
	if a.Is4() {
		return 0, uint64(number(a))
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

// joined is the inverse of halves for IPv6.
func joined(high, low uint64) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], high)
	binary.BigEndian.PutUint64(b[8:], low)
	return netip.AddrFrom16(b)
}

// lastAddr is the highest address of a prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	if p.Addr().Is4() {
		return address(number(p.Masked().Addr()) + uint32(uint64(1)<<(32-p.Bits())-1))
	}
	high, low := halves(p.Masked().Addr())
	// A shift by 64 or more gives 0, and so a half of ones.
	if p.Bits() < 64 {
		return joined(high|(1<<(64-p.Bits())-1), ^uint64(0))
	}
	return joined(high, low|(1<<(128-p.Bits())-1))
}

// span is the text "first - last" of all addresses of p.
func span(p netip.Prefix) string { return p.Addr().String() + " - " + lastAddr(p).String() }

// hosts is the text "first - last" of the addresses a host can have in p. IPv6
// has no broadcast address.
func hosts(p netip.Prefix) string {
	last := lastAddr(p)
	if p.Addr().Is4() {
		last = last.Prev()
	}
	return p.Addr().Next().String() + " - " + last.String()
}
