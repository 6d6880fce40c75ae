package network

import (
	"errors"
	"slices"

	"github.com/minirt/mini/network/port"
)

// bindPorts opens a socket for every port and fills in the ports that were
// chosen. Those that leave no choice come first, those that leave any choice
// last, so that none takes what another needs. Those that have a socket keep it.
func (m *Manager) bindPorts(ep *Endpoint) error {
	if ep.sockets == nil {
		ep.sockets = make([]*port.Socket, len(ep.Ports))
	}
	for _, wanted := range []func(port.Mapping) bool{isFixed, isRange, isAny} {
		for i, p := range ep.Ports {
			if ep.sockets[i] != nil || !wanted(p) {
				continue
			}
			s, got, err := port.Reserve(p)
			if err != nil {
				return m.explainBind(ep, err)
			}
			ep.sockets[i], ep.Ports[i] = s, got
		}
	}
	return nil
}

func isFixed(p port.Mapping) bool { return p.HostPort != 0 && p.HostPortEnd == 0 }
func isRange(p port.Mapping) bool { return p.HostPort != 0 && p.HostPortEnd != 0 }
func isAny(p port.Mapping) bool   { return p.HostPort == 0 }

// explainBind adds who holds the port: one of our containers, or the program
// that has the socket.
func (m *Manager) explainBind(self *Endpoint, err error) error {
	var bind *port.BindError
	if !errors.As(err, &bind) || !errors.Is(bind.Err, port.ErrInUse) {
		return err
	}
	if self.heldAlready(bind) {
		bind.Holder = "container " + self.ContainerName + " itself"
		return err
	}
	nets, listErr := m.stored()
	if listErr != nil {
		return err
	}
	for _, n := range nets {
		eps, listErr := m.Endpoints(n)
		for _, ep := range eps {
			if listErr == nil && ep.ContainerID != self.ContainerID && ep.holds(bind) {
				bind.Holder = "container " + ep.ContainerName
				return err
			}
		}
	}
	bind.Holder = port.Holder(bind.Wanted())
	return err
}

func (ep *Endpoint) holds(b *port.BindError) bool {
	wanted := b.Wanted()
	return slices.ContainsFunc(ep.Ports, func(p port.Mapping) bool { return p.HostPort == b.Port && p.Overlaps(wanted) })
}

// heldAlready tells whether one of the endpoint's own ports is in the way.
func (ep *Endpoint) heldAlready(b *port.BindError) bool {
	return slices.ContainsFunc(ep.sockets, func(s *port.Socket) bool { return s.Holds(b.Wanted()) })
}
