package network

import (
	"context"
	"os"

	"github.com/vishvananda/netlink"

	"github.com/minirt/mini/network/netns"
	"github.com/minirt/mini/plan"
)

// HandoverSpec says which of a running container's endpoints takes the default
// route and the published ports over from which.
type HandoverSpec struct {
	From, To  *Endpoint
	Namespace *os.File // the container's, an open /proc/PID/ns/net
	Why       string   // for explanations; may be empty
}

// Handover moves the default route and the published ports from one network of
// a running container to another. The host ports stay held meanwhile. What was
// connected over TCP goes on as long as the container stays on the first network.
func (m *Manager) Handover(ctx context.Context, s HandoverSpec, observe plan.Observer) error {
	p, changes := m.handover(s)
	return m.apply(ctx, p, changes, observe)
}

func (m *Manager) handover(s HandoverSpec) (plan.Plan, []*change) {
	from, to := changeOf(s.From), changeOf(s.To)
	to.next.DefaultRoute, to.next.routeWhy = true, s.Why
	to.next.Ports, to.next.sockets = s.From.Ports, s.From.sockets
	if len(to.next.Ports) > 0 {
		to.next.publish(s.From.Prefix)
	}
	from.next.DefaultRoute, from.next.Ports, from.next.sockets, from.next.Rules = false, nil, nil, nil
	p := plan.Plan{Title: "let network " + s.To.NetworkName + " take over from " + s.From.NetworkName}
	p.Add(stepReroute(s.From, &to.next, s.Namespace))
	p.Add(m.stepRules("send published ports to "+s.To.IP.String(),
		"They belong to the network with the default route: the answers leave that way.",
		s.From.Rules, to.next.Rules)...)
	p.Add(stepFlushSome(s.From.Ports)...)
	return p, []*change{to, from}
}

// stepReroute replaces the default route inside the container.
func stepReroute(from, to *Endpoint, ns *os.File) plan.Step {
	c := &container{ep: to, ns: ns}
	return plan.Step{
		Name: "route everything else through " + to.Gateway.String(),
		Why:  to.whyRoute(),
		Cmds: []string{c.inside("route", "replace", "default", "via", to.Gateway.String(), "dev", to.Interface)},
		Do:   func(context.Context) error { return replaceRoute(to, ns) },
		Undo: func(context.Context) error { return replaceRoute(from, ns) },
	}
}

func replaceRoute(ep *Endpoint, ns *os.File) error {
	h, err := netns.Open(ns, nil)
	if err != nil {
		return err
	}
	defer h.Close()
	link, err := h.LinkByName(ep.Interface)
	if err != nil {
		return linkErr("looking in the container for", ep.Interface, err)
	}
	r := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: ep.Gateway.AsSlice()}
	return linkErr("replacing the default route by one through", ep.Interface, h.RouteReplace(r))
}
