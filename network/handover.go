package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/minirt/mini/network/netns"
	"github.com/minirt/mini/network/port"
	"github.com/minirt/mini/plan"
)

// HandoverSpec says which of a running container's endpoints takes what over from
// which.
type HandoverSpec struct {
	From, To  *Endpoint
	Namespace *os.File       // the container's, an open /proc/PID/ns/net
	Moves     Gateway        // what moves
	Ports     []port.Mapping // as they were asked for
	HostIP    netip.Addr     // of Ports that name none
	Why, Why6 string         // for explanations of the routes; may be empty
}

// Gateway is what a container's network has that leads to the world.
type Gateway struct {
	Route4, Route6 bool // the default routes
	Ports          bool // the published ports
}

// Handover moves default routes and the published ports from one network of a
// running container to another. The host ports stay held meanwhile. What was
// connected over TCP goes on as long as the container stays on the first network.
func (m *Manager) Handover(ctx context.Context, s HandoverSpec, observe plan.Observer) error {
	if err := errors.Join(m.ready(ctx, s.From, observe), m.followMove(s.To)); err != nil {
		return err
	}
	p, changes, err := m.handover(s)
	if err != nil {
		return err
	}
	to, held := changes[0], s.From.sockets
	if err := m.apply(ctx, p, changes, observe); err != nil {
		if s.Moves.Ports {
			err = errors.Join(err, to.next.unbind(held))
		}
		return err
	}
	if !s.Moves.Ports {
		return nil
	}
	s.To.widened = nil
	return (&Endpoint{sockets: held}).unbind(s.To.sockets) // a network that is routed needs none
}

// handover plans it: the first change is that of the new gateway.
func (m *Manager) handover(s HandoverSpec) (p plan.Plan, changes []*change, err error) {
	from, to := changeOf(s.From), changeOf(s.To)
	changes = []*change{to, from}
	p.Title = "let network " + s.To.NetworkName + " take over from " + s.From.NetworkName
	if s.Moves.Route4 {
		from.next.DefaultRoute, to.next.DefaultRoute, to.next.routeWhy = false, true, s.Why
		p.Add(s.stepReroute(&to.next, false))
	}
	if s.Moves.Route6 {
		from.next.DefaultRoute6, to.next.DefaultRoute6, to.next.routeWhy6 = false, true, s.Why6
		p.Add(s.stepReroute(&to.next, true))
	}
	if !s.Moves.Ports {
		return p, changes, nil
	}
	if err := m.passPorts(s, &to.next); err != nil {
		return p, nil, err
	}
	from.next.Ports, from.next.Open, from.next.sockets, from.next.Rules = nil, nil, nil, nil
	to.next.relay, from.next.relay = s.From.relay, nil // with the connections that it carries
	p.Add(m.stepRules("send published ports to "+s.To.mainAddress().String(),
		"They belong to the network with the default route: the answers leave that way.",
		s.From.Rules, to.next.Rules)...)
	p.Add(stepFlushSome(append(slices.Clone(s.From.Ports), missingPorts(s.From.Ports, to.next.Ports)...))...)
	p.Add(stepServe6(s.From, &to.next)...)
	return p, changes, nil
}

// passPorts gives the ports to the new gateway. Between two networks with address
// translation their sockets go along. One that is routed has no use for them.
func (m *Manager) passPorts(s HandoverSpec, next *Endpoint) error {
	n, err := m.definition(s.To)
	if err != nil || n == nil {
		return errors.Join(err, notConnected(networkOf(s.To), s.To.ContainerID))
	}
	mk, err := m.readMark(n)
	if n.Driver == DriverMacvlan {
		mk = &mark{}
	}
	if err != nil || mk == nil {
		return errors.Join(err, fmt.Errorf("network %s is not up", n.Name))
	}
	if err := m.takePorts(n, s, next); err != nil {
		return err
	}
	if next.publishes() {
		next.publish(mk.Prefix)
	}
	return nil
}

// stepReroute replaces the default route inside the container.
func (s HandoverSpec) stepReroute(to *Endpoint, v6 bool) plan.Step {
	old, now := s.From.place(v6), to.place(v6)
	c := &container{ep: to, ns: s.Namespace}
	return plan.Step{
		Name: "route everything else through " + now.gateway.String(),
		Why:  to.whyRoute(v6),
		Cmds: []string{c.inside(routeWords("replace", now, to.Interface)...)},
		Do:   func(context.Context) error { return replaceRoute(to.Interface, now, s.Namespace) },
		Undo: func(context.Context) error { return replaceRoute(s.From.Interface, old, s.Namespace) },
	}
}

func replaceRoute(name string, at place, ns *os.File) error {
	h, err := netns.Open(ns, nil)
	if err != nil {
		return err
	}
	defer h.Close()
	link, err := h.LinkByName(name)
	if err != nil {
		return linkErr("looking in the container for", name, err)
	}
	r := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: at.gateway.AsSlice()}
	return linkErr("replacing the default route by one through", name, h.RouteReplace(r))
}
