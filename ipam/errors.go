package ipam

import (
	"errors"
	"fmt"
	"net/netip"
)

// The kinds of refusal, for errors.Is. What is returned is an [*AddrError], an
// [*OverlapError] or an error that wraps one of these with the details.
var (
	// ErrFull: no address is left to give out.
	ErrFull = errors.New("no free address")
	// ErrTaken: the address has an owner.
	ErrTaken = errors.New("address is taken")
	// ErrOutOfRange: the address is not in the subnet.
	ErrOutOfRange = errors.New("address is outside the subnet")
	// ErrReserved: the address is the network's, the broadcast or the gateway
	// address, or one the configuration reserves.
	ErrReserved = errors.New("address is reserved")
	// ErrMismatch: the file was made for another configuration.
	ErrMismatch = errors.New("pool file does not match")
	// ErrOverlap: the subnet overlaps one that is in use.
	ErrOverlap = errors.New("subnet overlaps")
	// ErrNoSubnet: the pools have no free subnet left.
	ErrNoSubnet = errors.New("no free subnet")
)

// AddrError says why one address cannot be had.
type AddrError struct {
	Addr   netip.Addr
	Subnet netip.Prefix
	Owner  Owner  // who has it, when Err is ErrTaken and the owner is known
	What   string // what it is reserved for, when Err is ErrReserved
	Err    error  // ErrTaken, ErrOutOfRange or ErrReserved
}

func (e *AddrError) Error() string {
	switch {
	case e.Err == ErrOutOfRange:
		return fmt.Sprintf("address %s is outside subnet %s", e.Addr, e.Subnet)
	case e.Err == ErrReserved:
		return fmt.Sprintf("address %s is reserved in subnet %s: it is %s", e.Addr, e.Subnet, e.What)
	case e.Owner != 0:
		return fmt.Sprintf("address %s in subnet %s is taken by %s", e.Addr, e.Subnet, e.Owner)
	}
	return fmt.Sprintf("address %s in subnet %s is taken", e.Addr, e.Subnet)
}

// Unwrap gives the kind.
func (e *AddrError) Unwrap() error { return e.Err }
