package runtime

import (
	"context"
	"fmt"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/network/port"
	"github.com/minirt/mini/plan"
)

// gateway is the network that gives a container its default route of a family.
type gateway struct {
	name string // empty: none does
	why  string // it is this one; empty when there was no choice
}

// gateways are those of both families.
type gateways struct{ v4, v6 gateway }

// publisher is the network that has the published ports: the gateway of IPv4, or
// that of IPv6 where there is none.
func (g gateways) publisher() string {
	if g.v4.name != "" {
		return g.v4.name
	}
	return g.v6.name
}

// of gives what a network has to have.
func (g gateways) of(name string) network.Gateway {
	return network.Gateway{Route4: name == g.v4.name, Route6: name == g.v6.name, Ports: name == g.publisher()}
}

// gatewayOf chooses among a container's networks, for each family among those that
// have it: the highest priority, of equal ones the first. An internal network
// leads nowhere and never is it.
func (r *Runtime) gatewayOf(list []NetworkAttachment) (g gateways, err error) {
	v4, v6 := choice{family: "IPv4", total: len(list)}, choice{family: "IPv6", total: len(list)}
	for _, a := range list {
		n, err := r.Networks.Find(a.Network)
		if err != nil {
			return g, err
		}
		v4.consider(a, n.HasIPv4(), n.Internal)
		v6.consider(a, n.HasIPv6(), n.Internal)
	}
	return gateways{v4.made(), v6.made()}, nil
}

// choice is the choice of a gateway while the networks are looked at.
type choice struct {
	family        string
	total, rivals int
	lacking       bool // some of the networks do not have the family
	tied          bool
	best          NetworkAttachment
}

func (c *choice) consider(a NetworkAttachment, has, internal bool) {
	c.lacking = c.lacking || !has
	if !has || internal {
		return
	}
	c.rivals++
	switch {
	case c.rivals == 1 || a.GwPriority > c.best.GwPriority:
		c.best, c.tied = a, false
	case a.GwPriority == c.best.GwPriority:
		c.tied = true
	}
}

func (c *choice) made() gateway {
	gw := gateway{name: c.best.Network}
	if c.rivals == 0 || c.total == 1 {
		return gw
	}
	with := ""
	if c.lacking {
		with = " with " + c.family
	}
	switch {
	case c.rivals == 1:
		gw.why = fmt.Sprintf("Of the container's %d networks, %s is the one%s that is not internal.", c.total, gw.name, with)
	case c.tied:
		gw.why = fmt.Sprintf("Of the container's %d networks%s, %s is the first with the highest gw-priority, %d.", c.total, with, gw.name, c.best.GwPriority)
	default:
		gw.why = fmt.Sprintf("Of the container's %d networks%s, %s has the highest gw-priority, %d.", c.total, with, gw.name, c.best.GwPriority)
	}
	return gw
}

// give adds to an endpoint what the gateway has.
func (g gateways) give(spec *network.EndpointSpec, has network.Gateway, cfg *Config, ports []port.Mapping) {
	spec.DefaultRoute, spec.RouteWhy = has.Route4, g.v4.why
	spec.DefaultRoute6, spec.RouteWhy6 = has.Route6, g.v6.why
	if has.Ports {
		spec.Ports, spec.HostIP = ports, cfg.PublishIP
	}
}

// half says that ports are published by IPv4 alone, though the container has a way to
// the world by IPv6, on another network. It is empty where that is not so.
func (r *Runtime) half(gws gateways) (note string, err error) {
	if gws.v4.name == "" || gws.v6.name == "" || gws.v4.name == gws.v6.name {
		return "", nil
	}
	n, err := r.Networks.Find(gws.v4.name)
	if err != nil || n.HasIPv6() {
		return "", err
	}
	return fmt.Sprintf("ports are published by network %s, which has no IPv6, not by %s: give a network with both the highest gw-priority to publish for both",
		gws.v4.name, gws.v6.name), nil
}

// requests describes the container's place on each of its networks.
func (r *Runtime) requests(cfg *Config) (out []network.Request, err error) {
	var gws gateways
	if len(cfg.Networks) == 1 { // no choice, and nothing to look up
		gws = gateways{gateway{name: cfg.Networks[0].Network}, gateway{name: cfg.Networks[0].Network}}
	} else if gws, err = r.gatewayOf(cfg.Networks); err != nil {
		return nil, err
	}
	for i, a := range cfg.Networks {
		n, err := r.Networks.Find(a.Network)
		if err != nil {
			return nil, err
		}
		spec := attachmentSpec(cfg, a, i)
		// With internal networks only, the first one says that it publishes nothing.
		has := gws.of(a.Network)
		has.Ports = has.Ports || gws.publisher() == "" && i == 0
		gws.give(&spec, has, cfg, cfg.Published())
		out = append(out, network.Request{Network: n, Spec: spec})
	}
	return out, nil
}

// hasOf gives what an endpoint has. Publisher is the one with the ports, or nil.
func hasOf(ep, publisher *network.Endpoint) network.Gateway {
	return network.Gateway{Route4: ep.DefaultRoute, Route6: ep.DefaultRoute6, Ports: ep == publisher}
}

// gatewayParts gives the parts of a gateway, one by one.
func gatewayParts(g *network.Gateway) []*bool { return []*bool{&g.Route4, &g.Route6, &g.Ports} }

// free gives what of wanted no endpoint has.
func (m *monitor) free(wanted network.Gateway) network.Gateway {
	publisher := m.gateway()
	for _, ep := range m.endpoints {
		has := hasOf(ep, publisher)
		for i, part := range gatewayParts(&wanted) {
			*part = *part && !*gatewayParts(&has)[i]
		}
	}
	return wanted
}

// arrival is an endpoint that has come.
type arrival struct {
	ep        *network.Endpoint
	gws       gateways          // from now on
	publisher *network.Endpoint // until now, or nil
}

// takeFromOthers lets an endpoint that has come have what the gateways say, as far
// as others have it.
func (m *monitor) takeFromOthers(ctx context.Context, a arrival, observe plan.Observer) error {
	for _, from := range m.endpoints {
		moves := both(a.gws.of(a.ep.NetworkName), hasOf(from, a.publisher))
		if from == a.ep {
			continue
		}
		if err := m.handOver(ctx, move{from, a.ep, moves, a.gws}, observe); err != nil {
			return err
		}
	}
	return nil
}

// both gives what is in a and in b.
func both(a, b network.Gateway) network.Gateway {
	return network.Gateway{Route4: a.Route4 && b.Route4, Route6: a.Route6 && b.Route6, Ports: a.Ports && b.Ports}
}

// succeed lets other networks take over from one that the container leaves. What
// no other can have is given back with the endpoint.
func (m *monitor) succeed(ctx context.Context, leaving *network.Endpoint, observe plan.Observer) error {
	has := hasOf(leaving, m.gateway())
	if has == (network.Gateway{}) {
		return nil
	}
	left := m.c.Config
	left.Networks = append([]NetworkAttachment(nil), left.Networks...)
	left.leave(leaving.NetworkName)
	gws, err := m.r.gatewayOf(left.Networks)
	if err != nil {
		return err
	}
	for _, to := range m.endpoints {
		if to == leaving {
			continue
		}
		if err := m.handOver(ctx, move{leaving, to, both(has, gws.of(to.NetworkName)), gws}, observe); err != nil {
			return err
		}
	}
	return nil
}

// move is what goes from one endpoint to another, maybe nothing.
type move struct {
	from, to *network.Endpoint
	what     network.Gateway
	gws      gateways // the reason for it
}

func (m *monitor) handOver(ctx context.Context, mv move, observe plan.Observer) error {
	if mv.what == (network.Gateway{}) {
		return nil
	}
	ns, err := m.netns()
	if err != nil {
		return err
	}
	defer ns.Close()
	return m.r.Networks.Handover(ctx, network.HandoverSpec{
		From: mv.from, To: mv.to, Namespace: ns, Moves: mv.what, Why: mv.gws.v4.why, Why6: mv.gws.v6.why,
		Ports: m.wishes, HostIP: m.c.Config.PublishIP,
	}, observe)
}
