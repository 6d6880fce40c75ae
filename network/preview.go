package network

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/minirt/mini/ipam"
	"github.com/minirt/mini/network/port"
	"github.com/minirt/mini/plan"
)

// Preview gives the complete plan that [Manager.Up] and [Manager.AttachPlan]
// would run for a container on an empty host, and the endpoint they would make.
// It takes nothing: the address and a port that the kernel would choose are
// those that are free now.
func (m *Manager) Preview(n *Network, spec EndpointSpec) (plan.Plan, *Endpoint, error) {
	ep, err := m.newEndpoint(n, spec)
	if err != nil {
		return plan.Plan{}, nil, err
	}
	ip, err := m.peek(n, ep, spec.IP)
	if err != nil {
		return plan.Plan{}, nil, err
	}
	ep.setIP(ip)
	if err := previewPorts(ep); err != nil {
		return plan.Plan{}, nil, err
	}
	prefix, err := m.prefix()
	if err != nil {
		return plan.Plan{}, nil, err
	}
	mk, err := m.layout(n, prefix)
	if err != nil {
		return plan.Plan{}, nil, err
	}
	ep.publish(prefix)
	attach := m.attachPlan(ep, mk, nil)
	return plan.Join(attach.Title, m.upPlan(n, mk, true), attach), ep, nil
}

// previewPorts asks the kernel for ports that it may choose, and lets go of
// them at once.
func previewPorts(ep *Endpoint) error {
	for i, p := range ep.Ports {
		if p.HostPort != 0 {
			ep.Ports[i].HostPortEnd = 0
			continue
		}
		s, got, err := port.Reserve(p)
		if err != nil {
			return err
		}
		ep.Ports[i] = got
		if err := s.Close(); err != nil {
			return fmt.Errorf("closing a port that was looked at: %w", err)
		}
	}
	return nil
}

// peek is allocate without taking the address.
func (m *Manager) peek(n *Network, ep *Endpoint, want netip.Addr) (ip netip.Addr, err error) {
	pool, err := ipam.OpenFile(m.leasePath(n), n.pool())
	if err != nil {
		return ip, fmt.Errorf("opening the addresses of network %s: %w", n.Name, err)
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	if !want.IsValid() {
		if ip, err = pool.Peek(); err != nil {
			return ip, fmt.Errorf("network %s: %w", n.Name, err)
		}
		return ip, nil
	}
	owner, err := pool.Owner(want)
	if err != nil {
		return ip, fmt.Errorf("network %s: %w", n.Name, err)
	}
	if owner != 0 {
		taken := &ipam.AddrError{Addr: want, Subnet: n.Subnet, Owner: owner, Err: ipam.ErrTaken}
		return ip, m.explainTaken(n, ep.ContainerID, want, taken)
	}
	return want, nil
}
