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

// lastAddr is the highest address of an IPv4 prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	return address(number(p.Masked().Addr()) + uint32(uint64(1)<<(32-p.Bits())-1))
}

// span is the text "first - last" of all addresses of p.
func span(p netip.Prefix) string { return p.Addr().String() + " - " + lastAddr(p).String() }

// hosts is the text "first - last" of the addresses a host can have in p.
func hosts(p netip.Prefix) string {
	return p.Addr().Next().String() + " - " + lastAddr(p).Prev().String()
}
