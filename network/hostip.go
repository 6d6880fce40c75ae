package network

import (
	"fmt"
	"net/netip"

	"github.com/minirt/mini/network/port"
)

// hostBinding is the driver option that names the host address of the ports
// that containers of the network publish without naming one. In spite of its
// name it may be one of IPv6, as in Docker.
const hostBinding = "com.docker.network.bridge.host_binding_ipv4"

// publishes says whether ports can be published on the network at all.
func (n *Network) publishes() bool { return n.Driver != DriverMacvlan && !n.Internal }

// addHostIP completes ports that name no host address: with the network's own
// default, else with general, else with all addresses of the families that the
// network has. It refuses host addresses of a family that the network lacks.
func (n *Network) addHostIP(ports []port.Mapping, general netip.Addr) error {
	def, whose := general, "the default host address"
	if own, err := port.ParseHostIP(n.Options[hostBinding]); err == nil {
		def, whose = own, "the network's option "+hostBinding
	}
	// A default of 0.0.0.0 is Docker's own, and means all addresses of both families.
	if def == netip.IPv4Unspecified() {
		def = netip.Addr{}
	}
	for i, p := range ports {
		var err error
		switch {
		case p.Dual:
			ports[i] = n.onAll(p)
		case p.HostIP.IsValid():
			err = n.checkHostIP(p, "")
		case def.IsValid():
			ports[i].HostIP = def
			err = n.checkHostIP(ports[i], fmt.Sprintf(", and %s is %s", whose, def))
		default:
			ports[i] = n.onAll(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// onAll publishes a port on all host addresses.
func (n *Network) onAll(p port.Mapping) port.Mapping {
	four, six := n.HasIPv4(), n.HasIPv6()
	p.HostIP, p.Dual = netip.IPv4Unspecified(), four && six
	if six && !four {
		p.HostIP = netip.IPv6Unspecified()
	}
	return p
}

// checkHostIP refuses a host address that a port cannot be published on. Whose
// tells where it comes from, unless the port was asked for with it.
func (n *Network) checkHostIP(p port.Mapping, whose string) error {
	instead := n.onAll(p)
	switch {
	case !n.publishes():
	case p.HostIP.Is4() && !n.HasIPv4():
		return errorf(ErrInvalid, "cannot publish %s on network %s: it has no IPv4%s: name an IPv6 address of the host, as in -p %s", p, n.Name, whose, instead.Spec())
	case p.HostIP.Is6() && !n.HasIPv6():
		return errorf(ErrInvalid, "cannot publish %s on network %s: it has no IPv6%s: name an IPv4 address of the host, as in -p %s, or use a network made with --ipv6", p, n.Name, whose, instead.Spec())
	case p.HostIP == netip.IPv6Loopback() && p.Proto == port.SCTP:
		return errorf(ErrInvalid, "cannot publish %s: at [::1] mini serves tcp and udp only: name another address of the host, or 127.0.0.1", p)
	}
	return nil
}
