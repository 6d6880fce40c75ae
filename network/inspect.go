package network

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strconv"
	"time"

	"github.com/minirt/mini/ipam"
)

// Inspection is what `network inspect` prints: Docker's names and nesting.
type Inspection struct {
	Name       string
	ID         string `json:"Id"`
	Created    time.Time
	Scope      string
	Driver     string
	EnableIPv4 bool
	EnableIPv6 bool
	IPAM       InspectionIPAM
	Internal   bool
	Attachable bool
	Ingress    bool
	// ConfigFrom and ConfigOnly are of Docker's swarm: here empty.
	ConfigFrom InspectionSource
	ConfigOnly bool
	Containers map[string]InspectionContainer
	Options    map[string]string
	Labels     map[string]string
	Status     InspectionStatus
}

// InspectionSource names the network that another takes its configuration from.
type InspectionSource struct{ Network string }

// InspectionStatus is what changes with every container.
type InspectionStatus struct{ IPAM InspectionUsage }

// InspectionUsage counts addresses, by subnet.
type InspectionUsage struct{ Subnets map[string]InspectionSubnet }

// InspectionSubnet counts the addresses of one subnet.
type InspectionSubnet struct {
	IPsInUse            int // containers, gateway, network and broadcast address, auxiliary addresses
	DynamicIPsAvailable int // free ones of the ip-range
}

// InspectionIPAM is the part of an [Inspection] about addresses.
type InspectionIPAM struct {
	Driver  string
	Options map[string]string
	Config  []InspectionPool
}

// InspectionPool is one subnet.
type InspectionPool struct {
	Subnet  string
	IPRange string `json:",omitempty"`
	Gateway string `json:",omitempty"`
	// AuxiliaryAddresses are those that no container gets, by name.
	AuxiliaryAddresses map[string]string `json:",omitempty"`
}

// InspectionContainer is one container on the network.
type InspectionContainer struct {
	Name        string
	EndpointID  string
	MacAddress  string
	IPv4Address string
	IPv6Address string
	// These are mini's own: the two ends of the cable, and the number of the host's
	// end, 0 when it is gone.
	Interface     string
	HostLink      string
	HostLinkIndex int
}

// Inspect collects all there is to say about a network.
func (m *Manager) Inspect(n *Network) (*Inspection, error) {
	eps, err := m.Endpoints(n)
	if err != nil {
		return nil, err
	}
	in := &Inspection{
		Name: n.Name, ID: n.ID, Created: n.Created, Scope: "local", Driver: n.Driver,
		IPAM:       InspectionIPAM{Driver: "default", Options: map[string]string{}, Config: []InspectionPool{}},
		EnableIPv4: n.HasIPv4() || !n.HasIPv6(), EnableIPv6: n.HasIPv6(), Internal: n.Internal, Containers: make(map[string]InspectionContainer, len(eps)),
		Options: nonNil(n.Options), Labels: nonNil(n.Labels),
	}
	for _, f := range n.families() {
		in.IPAM.Config = append(in.IPAM.Config, n.inspectPool(f))
	}
	if in.Status.IPAM.Subnets, err = m.usage(n); err != nil {
		return nil, err
	}
	if n.Bridge != "" {
		in.Options[optBridge] = m.linkOf(n)
	}
	if n.MTU != 0 {
		in.Options[optMTU] = strconv.Itoa(n.MTU)
	}
	for _, ep := range eps {
		if !ep.HasAddress() {
			continue // its owner is only about to connect
		}
		if in.Containers[ep.ContainerID], err = m.inspectContainer(&ep); err != nil {
			return nil, err
		}
	}
	return in, nil
}

func (n *Network) inspectPool(f family) InspectionPool {
	pool := InspectionPool{Subnet: f.subnet.String(), Gateway: f.gateway.String()}
	if f.ipRange.IsValid() {
		pool.IPRange = f.ipRange.String()
	}
	for name, ip := range n.Reserved {
		if ip.Is6() != f.v6 {
			continue
		}
		if pool.AuxiliaryAddresses == nil {
			pool.AuxiliaryAddresses = make(map[string]string, len(n.Reserved))
		}
		pool.AuxiliaryAddresses[name] = ip.String()
	}
	return pool
}

func (m *Manager) inspectContainer(ep *Endpoint) (InspectionContainer, error) {
	c := InspectionContainer{
		Name: ep.ContainerName, EndpointID: ep.ID, MacAddress: ep.MAC.String(),
		Interface: ep.Interface, HostLink: ep.HostLink,
	}
	for _, at := range ep.places() {
		text := netip.PrefixFrom(at.ip, at.bits).String()
		if at.v6 {
			c.IPv6Address = text
		} else {
			c.IPv4Address = text
		}
	}
	h, err := m.host()
	if err != nil {
		return c, err
	}
	link, err := findLink(h, ep.HostLink)
	if link != nil && ep.owns(link) {
		c.HostLinkIndex = link.Attrs().Index
	}
	return c, err
}

// usage counts the addresses of a network.
func (m *Manager) usage(n *Network) (map[string]InspectionSubnet, error) {
	all := make(map[string]InspectionSubnet)
	for _, f := range n.families() {
		count, err := m.usageOf(n, f.v6)
		if err != nil {
			return nil, fmt.Errorf("counting the addresses of network %s: %w", n.Name, err)
		}
		all[f.subnet.String()] = count
	}
	return all, nil
}

func (m *Manager) usageOf(n *Network, v6 bool) (count InspectionSubnet, err error) {
	pool, err := ipam.OpenFile(m.leasePath(n, v6), n.pool(v6))
	if err != nil {
		return count, err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	used, err := pool.Used()
	if err != nil {
		return count, err
	}
	free, err := pool.Free()
	return InspectionSubnet{IPsInUse: used + n.pool(v6).Kept(), DynamicIPsAvailable: free}, err
}

// linkOf gives the bridge in use, or the one that would be tried first.
func (m *Manager) linkOf(n *Network) string {
	if mk, err := m.readMark(n); mk != nil && err == nil {
		return mk.Bridge
	}
	return n.Bridge
}

func nonNil(in map[string]string) map[string]string {
	out := make(map[string]string, len(in))
	maps.Copy(out, in)
	return out
}
