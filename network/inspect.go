package network

import (
	"fmt"
	"maps"
	"strconv"
	"time"
)

// Inspection is what `network inspect` prints: Docker's names and nesting.
type Inspection struct {
	Name       string
	ID         string `json:"Id"`
	Created    time.Time
	Scope      string
	Driver     string
	EnableIPv6 bool
	IPAM       InspectionIPAM
	Internal   bool
	Attachable bool
	Ingress    bool
	Containers map[string]InspectionContainer
	Options    map[string]string
	Labels     map[string]string
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
	Gateway string `json:",omitempty"`
	IPRange string `json:",omitempty"`
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
}

// Inspect collects all there is to say about a network.
func (m *Manager) Inspect(n *Network) (*Inspection, error) {
	eps, err := m.Endpoints(n)
	if err != nil {
		return nil, err
	}
	in := &Inspection{
		Name: n.Name, ID: n.ID, Created: n.Created, Scope: "local", Driver: n.Driver,
		IPAM:     InspectionIPAM{Driver: "default", Options: map[string]string{}, Config: []InspectionPool{}},
		Internal: n.Internal, Containers: make(map[string]InspectionContainer, len(eps)),
		Options: nonNil(n.Options), Labels: nonNil(n.Labels),
	}
	if n.Subnet.IsValid() {
		pool := InspectionPool{Subnet: n.Subnet.String(), Gateway: n.Gateway.String()}
		if n.IPRange.IsValid() {
			pool.IPRange = n.IPRange.String()
		}
		for name, ip := range n.Reserved {
			if pool.AuxiliaryAddresses == nil {
				pool.AuxiliaryAddresses = make(map[string]string, len(n.Reserved))
			}
			pool.AuxiliaryAddresses[name] = ip.String()
		}
		in.IPAM.Config = append(in.IPAM.Config, pool)
	}
	if n.Bridge != "" {
		in.Options[optBridge] = m.linkOf(n)
	}
	if n.MTU != 0 {
		in.Options[optMTU] = strconv.Itoa(n.MTU)
	}
	for _, ep := range eps {
		if !ep.IP.IsValid() {
			continue // its owner is only about to connect
		}
		in.Containers[ep.ContainerID] = InspectionContainer{
			Name: ep.ContainerName, EndpointID: ep.ID, MacAddress: ep.MAC.String(),
			IPv4Address: fmt.Sprintf("%s/%d", ep.IP, ep.PrefixLen),
		}
	}
	return in, nil
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
