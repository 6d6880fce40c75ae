package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/network/port"
)

// gatewayModes are those of Docker's gateway_mode_ipv4.
var gatewayModes = []string{firewall.ModeNAT, firewall.ModeRouted, firewall.ModeIsolated, firewall.ModeUnprotected}

func setGatewayMode(mode *string, v string) error {
	if !slices.Contains(gatewayModes, v) {
		return fmt.Errorf("%q is not a gateway mode: want %s", v, strings.Join(gatewayModes, ", "))
	}
	if *mode == "" {
		*mode = v
	}
	return nil
}

// checkGatewayMode checks what depends on other options.
func checkGatewayMode(o *CreateOptions) error {
	for _, mode := range []string{o.GatewayMode, o.GatewayMode6} {
		if mode != "" && !slices.Contains(gatewayModes, mode) {
			return fmt.Errorf("%q is not a gateway mode: want %s", mode, strings.Join(gatewayModes, ", "))
		}
		if mode == firewall.ModeIsolated && !o.Internal {
			return fmt.Errorf("gateway mode isolated is for internal networks: want --internal too")
		}
	}
	return nil
}

// hasAddress says whether the bridge has the gateway's address.
func (n *Network) hasAddress() bool {
	return n.HasIPv4() && n.GatewayMode != firewall.ModeIsolated && !n.InhibitIPv4
}

// hasAddress6 is hasAddress for IPv6.
func (n *Network) hasAddress6() bool { return n.HasIPv6() && n.GatewayMode6 != firewall.ModeIsolated }

// translates says whether packets to the host's ports become the containers'.
func (n *Network) translates() bool {
	return n.HasRules() && n.HasIPv4() && !n.Internal && n.GatewayMode != firewall.ModeRouted
}

// translates6 is translates for IPv6.
func (n *Network) translates6() bool {
	return n.HasRules() && n.HasIPv6() && !n.Internal && n.GatewayMode6 != firewall.ModeRouted
}

// unprotected says that all who have a route reach the containers by a family,
// except those of other networks.
func (n *Network) unprotected(v6 bool) bool {
	mode := n.GatewayMode
	if v6 {
		mode = n.GatewayMode6
	}
	return mode == firewall.ModeUnprotected && !n.Internal
}

// meetAll notes which networks that are up must be kept from this one, or it from
// them.
func (m *Manager) meetAll(n *Network, mk *mark) error {
	mk.From, mk.To, mk.From6, mk.To6 = nil, nil, nil, nil
	nets, err := m.stored()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(nets, func(o *Network) bool { return o.unprotected(false) || o.unprotected(true) }) {
		return nil
	}
	marks, err := m.marks()
	if err != nil {
		return err
	}
	for _, o := range nets {
		if up := marks[o.ID]; up != nil && o.ID != n.ID {
			meet(met{o, up}, met{n, mk})
		}
	}
	return nil
}

// met is a network that is up, or about to be.
type met struct {
	n  *Network
	mk *mark
}

// meet notes in the mark of the network that comes later what has to be between
// it and one that is up.
func meet(up, later met) {
	if !up.n.HasRules() || !later.n.HasRules() || up.n.Internal || later.n.Internal {
		return
	}
	note := func(list *[]string, v6, unprotected bool) {
		both := slices.Contains(up.n.ruleFamilies(), v6) && slices.Contains(later.n.ruleFamilies(), v6)
		if unprotected && both && !slices.Contains(*list, up.mk.Bridge) {
			*list = append(*list, up.mk.Bridge)
		}
	}
	note(&later.mk.From, false, later.n.unprotected(false))
	note(&later.mk.To, false, up.n.unprotected(false))
	note(&later.mk.From6, true, later.n.unprotected(true))
	note(&later.mk.To6, true, up.n.unprotected(true))
}

// placePorts decides what becomes of the ports that a container publishes.
func (m *Manager) placePorts(n *Network, ep *Endpoint) {
	if n.InhibitIPv4 && !n.Internal && slices.ContainsFunc(ep.Ports, port.Mapping.Has4) {
		m.opt.Notice("the host has no address on network " + n.Name + ": published ports of " + ep.ContainerName + " answer only if it has a route to the subnet " + n.Subnet.String())
	}
	switch {
	case len(ep.Ports) == 0:
	case n.Driver == DriverMacvlan:
		ep.Ports = nil
		m.opt.Notice("network " + n.Name + " is a macvlan: no ports are published for " + ep.ContainerName + ", all of its own can be reached at its address")
	case n.Internal:
		ep.Ports = nil
		m.opt.Notice("network " + n.Name + " is internal: no ports are published for " + ep.ContainerName)
	case n.routes(ep.Ports):
		var all []port.Mapping
		unused := false
		all, ep.Ports = ep.Ports, nil
		for _, p := range all {
			held, open := n.place(p)
			ep.Ports, ep.Open = append(ep.Ports, held...), append(ep.Open, open...)
			unused = unused || len(held) == 0 && (p.HostPort != 0 || !p.HostIP.IsUnspecified())
		}
		if unused {
			m.opt.Notice("network " + n.Name + " is routed: the host's ports and addresses are not used for " + ep.ContainerName + ", its own ports are open to all")
		}
	}
}

// routes says whether one of the ports is for a family that is routed.
func (n *Network) routes(ports []port.Mapping) bool {
	return slices.ContainsFunc(ports, func(p port.Mapping) bool { return p.Has4() && !n.translates() || p.Has6() && !n.translates6() })
}

// place parts a port into what a port of the host stands for, and what is open
// on the container's own address, as the network is routed.
func (n *Network) place(p port.Mapping) (held, open []port.Mapping) {
	four, six := n.translates(), n.translates6()
	own := port.Mapping{HostIP: netip.IPv4Unspecified(), Dual: p.Dual, ContainerPort: p.ContainerPort, Proto: p.Proto}
	if p.Dual && four == six {
		if four {
			return []port.Mapping{p}, nil
		}
		return nil, []port.Mapping{own}
	}
	for _, part := range port.Split([]port.Mapping{p}) {
		if four && part.HostIP.Is4() || six && part.HostIP.Is6() {
			held = append(held, part)
			continue
		}
		own.Dual, own.HostIP = false, netip.IPv4Unspecified()
		if part.HostIP.Is6() {
			own.HostIP = netip.IPv6Unspecified()
		}
		open = append(open, own)
	}
	return held, open
}

// portsText names the ports for a step.
func (ep *Endpoint) portsText() string {
	if len(ep.Ports) == 0 {
		return openText(ep.Open)
	}
	return portList(ep.Ports)
}

func openText(ports []port.Mapping) string {
	var words []string
	for _, p := range ports {
		words = append(words, fmt.Sprintf("%d/%s", p.ContainerPort, p.Proto))
	}
	return strings.Join(slices.Compact(words), ", ")
}
