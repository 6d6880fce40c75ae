package network

import (
	"net/netip"
	"slices"

	"github.com/minirt/mini/ipam"
)

// family is what a network has of IPv4 or of IPv6.
type family struct {
	v6      bool
	subnet  netip.Prefix
	gateway netip.Addr
	ipRange netip.Prefix
}

// HasIPv4 says whether containers on the network get IPv4 addresses.
func (n *Network) HasIPv4() bool { return n.Subnet.IsValid() }

// HasIPv6 says whether containers on the network get IPv6 addresses.
func (n *Network) HasIPv6() bool { return n.Subnet6.IsValid() }

func (n *Network) family(v6 bool) family {
	if v6 {
		return family{v6, n.Subnet6, n.Gateway6, n.IPRange6}
	}
	return family{v6, n.Subnet, n.Gateway, n.IPRange}
}

// families gives those that the network has, IPv4 first.
func (n *Network) families() []family {
	return slices.DeleteFunc([]family{n.family(false), n.family(true)}, func(f family) bool { return !f.subnet.IsValid() })
}

// mainGateway is the address that the MAC address of the bridge is made of.
func (n *Network) mainGateway() netip.Addr {
	if n.Gateway.IsValid() {
		return n.Gateway
	}
	return n.Gateway6
}

// subnets names them for people.
func (n *Network) subnets() string {
	text := ""
	for i, f := range n.families() {
		if i > 0 {
			text += " and "
		}
		text += f.subnet.String()
	}
	return text
}

// Contains says whether an address is one of the network's.
func (n *Network) Contains(ip netip.Addr) bool {
	return n.Subnet.Contains(ip) || n.Subnet6.Contains(ip)
}

// pool describes the addresses of a family that the network has.
func (n *Network) pool(v6 bool) ipam.Config {
	f := n.family(v6)
	cfg := ipam.Config{Subnet: f.subnet, Gateway: f.gateway, Range: f.ipRange}
	for _, ip := range n.Reserved {
		if ip.Is6() == v6 {
			cfg.Reserved = append(cfg.Reserved, ip)
		}
	}
	return cfg
}

// place is where an endpoint is in one family.
type place struct {
	v6          bool
	ip, gateway netip.Addr
	bits        int
	route       bool // the default route of the family
}

// places gives those of the families in which the endpoint has an address, IPv4
// first.
func (ep *Endpoint) places() []place {
	all := []place{
		{false, ep.IP, ep.Gateway, ep.PrefixLen, ep.DefaultRoute},
		{true, ep.IP6, ep.Gateway6, ep.PrefixLen6, ep.DefaultRoute6},
	}
	return slices.DeleteFunc(all, func(p place) bool { return !p.ip.IsValid() })
}

// place gives where the endpoint is in one family.
func (ep *Endpoint) place(v6 bool) place {
	for _, p := range ep.places() {
		if p.v6 == v6 {
			return p
		}
	}
	return place{v6: v6}
}

// HasAddress says that the endpoint is more than an intent, see [Endpoint].
func (ep *Endpoint) HasAddress() bool { return ep.IP.IsValid() || ep.IP6.IsValid() }

// Addresses gives the container's addresses on the network, IPv4 first.
func (ep *Endpoint) Addresses() []netip.Addr {
	var all []netip.Addr
	for _, p := range ep.places() {
		all = append(all, p.ip)
	}
	return all
}

// Gateways gives the addresses of the network's gateway, IPv4 first.
func (ep *Endpoint) Gateways() []netip.Addr {
	var all []netip.Addr
	for _, p := range ep.places() {
		if p.gateway.IsValid() {
			all = append(all, p.gateway)
		}
	}
	return all
}

// mainAddress is the address that the endpoint's MAC addresses are made of: that
// of IPv4, if there is one. It is not valid for an intent.
func (ep *Endpoint) mainAddress() netip.Addr {
	if ep.IP.IsValid() {
		return ep.IP
	}
	return ep.IP6
}

// mainGateway is [Network.mainGateway], as the endpoint knows it.
func (ep *Endpoint) mainGateway() netip.Addr {
	if ep.Gateway.IsValid() {
		return ep.Gateway
	}
	return ep.Gateway6
}
