package runtime

import (
	"context"
	"fmt"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/network/port"
	"github.com/minirt/mini/plan"
)

// gateway is the network that gives a container its default route and has its
// published ports.
type gateway struct {
	name string // empty: none does
	why  string // it is this one; empty when there was no choice
}

// gatewayOf chooses among a container's networks: the highest priority, of
// equal ones the first. An internal network leads nowhere and never is it.
func (r *Runtime) gatewayOf(list []NetworkAttachment) (gw gateway, err error) {
	best, rivals, tied := NetworkAttachment{}, 0, false
	for _, a := range list {
		n, err := r.Networks.Find(a.Network)
		if err != nil {
			return gw, err
		}
		if n.Internal {
			continue
		}
		rivals++
		switch {
		case rivals == 1 || a.GwPriority > best.GwPriority:
			best, tied = a, false
		case a.GwPriority == best.GwPriority:
			tied = true
		}
	}
	gw.name = best.Network
	switch {
	case rivals == 0 || len(list) == 1:
	case rivals == 1:
		gw.why = fmt.Sprintf("Of the container's %d networks, %s is the one that is not internal.", len(list), gw.name)
	case tied:
		gw.why = fmt.Sprintf("Of the container's %d networks, %s is the first with the highest gw-priority, %d.", len(list), gw.name, best.GwPriority)
	default:
		gw.why = fmt.Sprintf("Of the container's %d networks, %s has the highest gw-priority, %d.", len(list), gw.name, best.GwPriority)
	}
	return gw, nil
}

// give adds to an endpoint what the gateway has.
func (gw gateway) give(spec *network.EndpointSpec, cfg *Config, ports []port.Mapping) {
	spec.DefaultRoute, spec.RouteWhy, spec.Ports, spec.HostIP = true, gw.why, ports, cfg.PublishIP
}

// requests describes the container's place on each of its networks.
func (r *Runtime) requests(cfg *Config) (out []network.Request, err error) {
	var gw gateway
	if len(cfg.Networks) == 1 {
		gw.name = cfg.Networks[0].Network // no choice, and nothing to look up
	} else if gw, err = r.gatewayOf(cfg.Networks); err != nil {
		return nil, err
	}
	for i, a := range cfg.Networks {
		n, err := r.Networks.Find(a.Network)
		if err != nil {
			return nil, err
		}
		spec := attachmentSpec(cfg, a, i)
		// With internal networks only, the first one says that it publishes nothing.
		if a.Network == gw.name || (gw.name == "" && i == 0) {
			gw.give(&spec, cfg, cfg.Published())
		}
		out = append(out, network.Request{Network: n, Spec: spec})
	}
	return out, nil
}

// succeed lets another network take over from one that the container leaves.
func (m *monitor) succeed(ctx context.Context, leaving *network.Endpoint, observe plan.Observer) error {
	if !leaving.DefaultRoute {
		return nil
	}
	left := m.c.Config
	left.Networks = append([]NetworkAttachment(nil), left.Networks...)
	left.leave(leaving.NetworkName)
	gw, err := m.r.gatewayOf(left.Networks)
	if err != nil {
		return err
	}
	for _, ep := range m.endpoints {
		if ep.NetworkName != gw.name {
			continue
		}
		ns, err := m.netns()
		if err != nil {
			return err
		}
		defer ns.Close()
		return m.handOver(ctx, network.HandoverSpec{From: leaving, To: ep, Namespace: ns, Why: gw.why}, observe)
	}
	return nil // none is left: the ports are given back with the endpoint
}

func (m *monitor) handOver(ctx context.Context, s network.HandoverSpec, observe plan.Observer) error {
	s.Ports, s.HostIP = m.wishes, m.c.Config.PublishIP
	return m.r.Networks.Handover(ctx, s, observe)
}
