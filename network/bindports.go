package network

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/minirt/mini/network/port"
)

// hostBinding is the driver option that names the host address of the ports
// that containers of the network publish without naming one.
const hostBinding = "com.docker.network.bridge.host_binding_ipv4"

// addHostIP completes ports that name no host address: with the network's own
// default, else with general, else with all addresses.
func (n *Network) addHostIP(ports []port.Mapping, general netip.Addr) {
	def := netip.IPv4Unspecified()
	if general.IsValid() {
		def = general
	}
	if own, err := port.ParseHostIP(n.Options[hostBinding]); err == nil {
		def = own
	}
	for i := range ports {
		if !ports[i].HostIP.IsValid() {
			ports[i].HostIP = def
		}
	}
}

// bindPorts opens a socket for every port and fills in the ports that were
// chosen. Those that leave no choice come first, those that leave any choice
// last, so that none takes what another needs.
func (m *Manager) bindPorts(ep *Endpoint) error {
	ep.sockets = make([]*port.Socket, len(ep.Ports))
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
	bind.Holder = port.Holder(bind.HostIP, bind.Port, bind.Proto)
	return err
}

func (ep *Endpoint) holds(b *port.BindError) bool {
	return slices.ContainsFunc(ep.Ports, func(p port.Mapping) bool {
		return p.HostPort == b.Port && p.Proto == b.Proto &&
			(p.HostIP == b.HostIP || p.HostIP.IsUnspecified() || b.HostIP.IsUnspecified())
	})
}
