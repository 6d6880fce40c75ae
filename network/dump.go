package network

import (
	"errors"

	"github.com/vishvananda/netlink"
)

// dumpTries bounds how often a list is asked for that others keep changing.
const dumpTries = 20

// dump asks the kernel for a list, and asks again where others changed it
// meanwhile, so that it may lack something: see NLM_F_DUMP_INTR in netlink(7).
func dump[T any](list func() ([]T, error)) (all []T, err error) {
	for range dumpTries {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}

// listRoutes gives the routes that are like want in what mask names, see
// [netlink.Handle.RouteListFiltered].
func listRoutes(h *netlink.Handle, family int, want *netlink.Route, mask uint64) ([]netlink.Route, error) {
	return dump(func() ([]netlink.Route, error) { return h.RouteListFiltered(family, want, mask) })
}
