package network

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/minirt/mini/ipam"
	"github.com/minirt/mini/network/port"
	"github.com/minirt/mini/plan"
)

// Request is one connection that [Manager.PreviewAll] shall show.
type Request struct {
	Network *Network
	Spec    EndpointSpec
}

// Preview is [Manager.PreviewAll] for one network.
func (m *Manager) Preview(n *Network, spec EndpointSpec) (plan.Plan, *Endpoint, error) {
	p, eps, err := m.PreviewAll([]Request{{Network: n, Spec: spec}})
	if err != nil {
		return plan.Plan{}, nil, err
	}
	return p, eps[0], nil
}

// PreviewAll gives the complete plan that [Manager.Up] and [Manager.AttachPlan]
// would run for a container on an empty host, and the endpoints they would make.
// It takes nothing: the addresses, and the ports that the kernel would choose,
// are those that are free now.
func (m *Manager) PreviewAll(requests []Request) (all plan.Plan, eps []*Endpoint, err error) {
	var families []bool
	for _, r := range requests {
		families = append(families, r.Network.ruleFamilies()...)
	}
	prefix, err := m.prefix(families)
	if err != nil {
		return all, nil, err
	}
	var earlier []met // the shared chains are in the plan of the first of a family
	for i, r := range requests {
		ep, err := m.previewEndpoint(r.Network, r.Spec)
		if err != nil {
			return plan.Plan{}, nil, err
		}
		up, attach, err := m.previewPlans(r.Network, ep, prefix, &earlier)
		if err != nil {
			return plan.Plan{}, nil, err
		}
		if i == 0 {
			all.Title = attach.Title
		}
		all = plan.Join(all.Title, all, up, attach)
		eps = append(eps, ep)
	}
	if !slices.ContainsFunc(requests, func(r Request) bool { return r.Network.HasNames() }) {
		return all, eps, nil
	}
	names, err := m.previewNames(eps[0])
	if err != nil {
		return plan.Plan{}, nil, err
	}
	return plan.Join(all.Title, all, names), eps, nil
}

// previewPlans gives the plans for one network that comes up after others.
func (m *Manager) previewPlans(n *Network, ep *Endpoint, prefix string, earlier *[]met) (up, attach plan.Plan, err error) {
	if ep.Parent != "" {
		_, err := m.parent(ep.Parent)
		return plan.Plan{}, m.links(ep.driver()).attach(ep, nil, nil), err
	}
	mk, err := m.layout(n, prefix)
	if err != nil {
		return up, attach, err
	}
	var chains chainState
	for _, o := range *earlier {
		meet(o, met{n, mk})
		for _, v6 := range o.n.ruleFamilies() {
			*chains.stage(v6) = baseUp
		}
	}
	*earlier = append(*earlier, met{n, mk})
	ep.publish(prefix)
	ep.settleOn(mk)
	return m.upPlan(n, mk, chains), m.links(ep.driver()).attach(ep, mk, nil), nil
}

// previewEndpoint is Reserve without taking anything.
func (m *Manager) previewEndpoint(n *Network, spec EndpointSpec) (*Endpoint, error) {
	ep, err := m.newEndpoint(n, spec)
	if err != nil {
		return nil, err
	}
	if err := m.takeAddresses(n, ep, spec, m.peek); err != nil {
		return nil, err
	}
	return ep, previewPorts(ep)
}

// previewPorts asks the kernel for ports that it may choose, and lets go of
// them when it has them all.
func previewPorts(ep *Endpoint) (err error) {
	defer func() { err = errors.Join(err, ep.Close()) }()
	for i, p := range ep.Ports {
		if isFixed(p) {
			continue
		}
		s, got, err := port.Reserve(p)
		if err != nil {
			return err
		}
		ep.sockets = append(ep.sockets, s)
		ep.Ports[i] = got
	}
	return nil
}

// peek is allocate without taking the address.
func (m *Manager) peek(n *Network, ep *Endpoint, want wish) (ip netip.Addr, err error) {
	pool, err := ipam.OpenFile(m.leasePath(n, want.v6), n.pool(want.v6))
	if err != nil {
		return ip, fmt.Errorf("opening the addresses of network %s: %w", n.Name, err)
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	if !want.addr.IsValid() {
		if ip, err = pool.Peek(); err != nil {
			return ip, fmt.Errorf("network %s: %w", n.Name, err)
		}
		return ip, nil
	}
	if err := pool.Check(want.addr); err != nil {
		return ip, m.explainTaken(n, ep.ContainerID, want.addr, err)
	}
	return want.addr, nil
}
