package network

import (
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// How long settle waits at most, and how often it looks.
const (
	settlePause = 200 * time.Microsecond
	settleTries = 100
)

// settle waits until the carrier has made its way from the container's link over
// the host's end to the bridge. The kernel leaves that to a worker, and a packet
// that is faster than the worker is lost. If it is an ARP request, the next one
// follows a second later.
//
// Newer kernels do the work at once when a link is asked for (linkwatch_sync_dev
// in rtnl_getlink), so that the first look is the last. With older ones it takes
// some looks more. A link that does not come up in time is no error here: the
// worker goes on.
func (c *container) settle(m *Manager, mk *mark) error {
	h, err := m.host()
	if err != nil {
		return err
	}
	looks := []func() (netlink.Link, error){
		func() (netlink.Link, error) { return c.nl.LinkByIndex(c.link.Attrs().Index) },
		func() (netlink.Link, error) { return h.LinkByName(c.ep.HostLink) },
	}
	if mk.Index != 0 { // a bridge
		looks = append(looks, func() (netlink.Link, error) { return h.LinkByIndex(mk.Index) })
	}
	tries := 0
	for _, look := range looks {
		for {
			link, err := look()
			if err != nil {
				return linkErr("waiting for the links of", c.ep.ContainerName, err)
			}
			if link.Attrs().OperState == netlink.OperUp || tries == settleTries {
				break
			}
			tries++
			time.Sleep(settlePause)
		}
	}
	if c.ep.IP6.IsValid() {
		settleIPv6(c.nl, c.ep.IP6)
	}
	return nil
}

// settleIPv6 waits until an IPv6 address that a link got, and which is on, is the
// kernel's own. A worker joins the multicast group at which neighbours ask for it,
// and adds the local route, also without duplicate address detection: see
// addrconf_dad_work in the kernel's net/ipv6/addrconf.c. A neighbour who asks before
// gets no answer, and asks again a second later.
func settleIPv6(h *netlink.Handle, ip netip.Addr) {
	for range settleTries {
		routes, err := h.RouteGet(ip.AsSlice())
		if err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL {
			return
		}
		time.Sleep(settlePause)
	}
}
