package network

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/plan"
)

// ptpRoute is the host's route to the container.
func ptpRoute(link netlink.Link, at place) *netlink.Route {
	r := &netlink.Route{LinkIndex: link.Attrs().Index, Src: at.gateway.AsSlice(), Dst: ipNet(lone(at.ip))}
	if !at.v6 {
		r.Scope = netlink.SCOPE_LINK
	}
	return r
}

func (m *Manager) stepPtpRoute(ep *Endpoint, at place) plan.Step {
	words := append(ipRoute(at.ip, "add"), lone(at.ip).String(), "dev", ep.HostLink, "src", at.gateway.String())
	return plan.Step{
		Name: "route " + at.ip.String() + " to " + ep.HostLink,
		Why:  "The container's address is the only one behind its cable. What the host itself sends there comes from the gateway's address.",
		Cmds: []string{plan.Command(words...)},
		Do: func(context.Context) error {
			h, link, err := m.cable(ep)
			if err != nil {
				return err
			}
			err = h.RouteAdd(ptpRoute(link, at))
			if !errors.Is(err, unix.EEXIST) {
				return linkErr("routing "+at.ip.String()+" to", ep.HostLink, err)
			}
			return ep.takeRoute(h, link, at)
		},
	}
}

// takeRoute is for a route that is there. That of a cable of the network is of a
// container that had the address before, and is about to be gone.
func (ep *Endpoint) takeRoute(h *netlink.Handle, link netlink.Link, at place) error {
	want := ptpRoute(link, at)
	routes, err := listRoutes(h, familyOf(at.ip), &netlink.Route{Table: unix.RT_TABLE_MAIN, Dst: want.Dst}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST)
	if err != nil {
		return linkErr("listing routes beside", ep.HostLink, err)
	}
	for _, r := range routes {
		other, err := h.LinkByIndex(r.LinkIndex)
		switch {
		case r.LinkIndex == link.Attrs().Index:
			return nil
		case err == nil && strings.HasPrefix(other.Attrs().Name, ep.HostLink[:len("pt")+ptpDigits]):
			return linkErr("routing "+at.ip.String()+" to", ep.HostLink, h.RouteReplace(want))
		}
	}
	return errorf(ErrExists, "routing %s to %s: the host has another route to %s: delete it, or use another address", at.ip, ep.HostLink, lone(at.ip))
}

// hasRoute tells whether the main table leads to dst by the link.
func hasRoute(h *netlink.Handle, link netlink.Link, dst netip.Prefix) (bool, error) {
	routes, err := listRoutes(h, familyOf(dst.Addr()), &netlink.Route{Table: unix.RT_TABLE_MAIN, LinkIndex: link.Attrs().Index, Dst: ipNet(dst)},
		netlink.RT_FILTER_TABLE|netlink.RT_FILTER_OIF|netlink.RT_FILTER_DST)
	return len(routes) > 0, linkErr("listing routes of", link.Attrs().Name, err)
}

// stepUnroute is what unplugging from a bridge is elsewhere.
func (m *Manager) stepUnroute(ep *Endpoint, at place) plan.Step {
	words := append(ipRoute(at.ip, "delete"), lone(at.ip).String(), "dev", ep.HostLink)
	return plan.Step{
		Name: "route " + at.ip.String() + " to " + ep.HostLink + " no more",
		Why:  "From now on no packet reaches the container. The cable itself dies with the container's namespace; waiting for that would take some 20 ms. One that is still there a moment later is deleted.",
		Cmds: []string{plan.Command(words...)},
		Do: func(context.Context) error {
			h, err := m.host()
			if err != nil {
				return err
			}
			link, err := findLink(h, ep.HostLink)
			if link == nil || err != nil || !ep.owns(link) {
				return err
			}
			err = h.RouteDel(ptpRoute(link, at))
			if err == nil || errors.Is(err, unix.ESRCH) || isNoLink(err) {
				return nil
			}
			return linkErr("deleting the route to", ep.HostLink, err)
		},
	}
}

// stepPtpRoutes: the gateway is at the other end of the cable, and the way to
// the other containers of the network.
func (c *container) stepPtpRoutes(at place) plan.Step {
	ep, subnet := c.ep, c.ep.subnet(at)
	words := ipRoute(at.ip, "replace")[1:]
	return plan.Step{
		Name: "route " + subnet.String() + " through " + at.gateway.String(),
		Why:  "The gateway is at the other end of the cable. The other containers of the network are behind it.",
		Cmds: []string{
			c.inside(append(words, at.gateway.String(), "dev", ep.Interface)...),
			c.inside(append(words, subnet.String(), "via", at.gateway.String(), "dev", ep.Interface)...),
		},
		Do: func(context.Context) error {
			direct := &netlink.Route{LinkIndex: c.link.Attrs().Index, Dst: ipNet(lone(at.gateway))}
			if !at.v6 {
				direct.Scope = netlink.SCOPE_LINK
			}
			if err := c.nl.RouteReplace(direct); err != nil {
				return linkErr("adding the route to "+at.gateway.String()+" by", ep.Interface, err)
			}
			others := &netlink.Route{LinkIndex: c.link.Attrs().Index, Gw: at.gateway.AsSlice(), Dst: ipNet(subnet)}
			return linkErr("adding the route to "+subnet.String()+" by", ep.Interface, c.nl.RouteReplace(others))
		},
	}
}

// subnet is the network's, of one family.
func (ep *Endpoint) subnet(at place) netip.Prefix {
	if at.v6 {
		return ep.Subnet6
	}
	return ep.Subnet
}
