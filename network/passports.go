package network

import (
	"errors"
	"slices"

	"github.com/minirt/mini/network/port"
)

// takePorts decides which ports the new gateway publishes, and takes them: from
// the former gateway as far as it holds them, with the numbers that they have.
func (m *Manager) takePorts(n *Network, s HandoverSpec, next *Endpoint) (err error) {
	if len(s.From.Ports) == 0 || len(s.From.Open) > 0 {
		next.Ports = slices.Clone(s.Ports)
		err = n.addHostIP(next.Ports, s.HostIP)
	} else {
		next.Ports, err = n.adapt(s)
	}
	if err != nil {
		return err
	}
	m.placePorts(n, next)
	next.sockets, next.widened = make([]*port.Socket, len(next.Ports)), nil
	for i, p := range next.Ports {
		at := s.From.heldFor(p, next.sockets)
		if at < 0 {
			continue
		}
		next.sockets[i], next.Ports[i].HostPort, next.Ports[i].HostPortEnd = s.From.sockets[at], s.From.Ports[at].HostPort, 0
		if err := m.widen(next, i); err != nil {
			return errors.Join(err, next.unbind(s.From.sockets))
		}
	}
	if err := m.bindPorts(next); err != nil {
		return errors.Join(err, next.unbind(s.From.sockets))
	}
	return nil
}

// adapt gives the ports of the former gateway as they are on the network n. Those
// that were asked for without a host address are for the families that n has.
func (n *Network) adapt(s HandoverSpec) ([]port.Mapping, error) {
	ports := slices.Clone(s.From.Ports)
	for i, p := range ports {
		asked := len(s.Ports) != len(ports) || s.Ports[i].HostIP.IsValid() && !s.Ports[i].Dual
		if p.HostIP.IsUnspecified() && (p.Dual || !asked) {
			ports[i] = n.onAll(p)
		} else if err := n.checkHostIP(p, ""); err != nil {
			return nil, err
		}
	}
	return ports, nil
}

// heldFor gives the position of the port of ep that p is, or becomes, or -1. It is
// none whose socket is taken already.
func (ep *Endpoint) heldFor(p port.Mapping, taken []*port.Socket) int {
	found := -1
	for i, h := range ep.Ports {
		number := p.HostPort == 0 || h.HostPort >= p.HostPort && h.HostPort <= max(p.HostPort, p.HostPortEnd)
		if h.Exposed() != p.Exposed() || !number || slices.Contains(taken, ep.sockets[i]) {
			continue
		}
		if h.Overlaps(p) {
			return i
		}
		if h.HostIP.IsUnspecified() && p.HostIP.IsUnspecified() {
			found = i
		}
	}
	return found
}

// widen takes the port at i for the family that its socket does not hold. A
// socket that holds too much stays as it is.
func (m *Manager) widen(ep *Endpoint, i int) error {
	part, missing := ep.sockets[i].Missing(ep.Ports[i])
	if !missing {
		return nil
	}
	s, _, err := port.Reserve(part)
	if err != nil {
		return m.explainBind(ep, err)
	}
	ep.sockets[i].Add(s)
	ep.widened = append(ep.widened, ep.sockets[i])
	return nil
}

// unbind gives back what was bound, except for keep.
func (ep *Endpoint) unbind(keep []*port.Socket) error {
	var errs []error
	for _, s := range ep.sockets {
		if s != nil && !slices.Contains(keep, s) {
			errs = append(errs, s.Close())
		}
	}
	for _, s := range ep.widened {
		errs = append(errs, s.Shed())
	}
	return errors.Join(errs...)
}
