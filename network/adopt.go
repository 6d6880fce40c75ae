package network

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A network whose bridge has a name of the user's choice uses a bridge of that
// name which is there already. It stays its owner's: mini gives it what the
// network lacks, writes down what that was, and takes it back in the end.

// found is how somebody else's bridge was before mini used it.
type found struct {
	Index int `json:"index"` // of the link: another one is another bridge
	MAC   MAC `json:"mac"`
	// HasAddress: it has an address of the subnet, and needs none of mini.
	HasAddress  bool `json:"has_address"`
	HasAddress6 bool `json:"has_address6,omitempty"`
	// Gateways are those of the network's gateways that it had. A record of an older
	// mini has none.
	Gateways []netip.Addr `json:"gateways,omitempty"`
	Up       bool         `json:"up"`
	Localnet string       `json:"route_localnet"`         // the sysctl's value
	NoIPv6   string       `json:"disable_ipv6,omitempty"` // the sysctl's value, if the network has IPv6
}

// mayAdopt says that the bridge's name is the user's choice.
func (n *Network) mayAdopt() bool {
	return n.Driver == DriverBridge && n.Name != Bridge && n.Bridge != "br-"+short(n.ID)
}

// uses says that a link is the network's bridge, or will be, or one of its cables.
func (n *Network) uses(link netlink.Link) bool {
	return n.owns(link) || n.wants(link) || n.hasCable(link)
}

// wants says that a link is what the network would adopt.
func (n *Network) wants(link netlink.Link) bool {
	return n.mayAdopt() && link.Attrs().Name == n.Bridge
}

// checkFound says whether a link can be a network's bridge.
func checkFound(link netlink.Link) error {
	a := link.Attrs()
	switch {
	case link.Type() != "bridge":
		return errorf(ErrExists, "link %s exists and is no bridge, but of type %s", a.Name, link.Type())
	case strings.HasPrefix(a.Alias, "mini:"):
		return errorf(ErrExists, "link %s exists and is the bridge of another network, with the tag %s", a.Name, a.Alias)
	}
	return nil
}

// planFor fits a network that is about to be defined to a bridge that is there:
// the bridge's address is the gateway and says which subnet, unless the user did.
func (m *Manager) planFor(n *Network) error {
	if !n.mayAdopt() {
		return nil
	}
	h, err := m.host()
	if err != nil {
		return err
	}
	link, err := findLink(h, n.Bridge)
	if link == nil || err != nil {
		return err
	}
	if err := checkFound(link); err != nil {
		return err
	}
	for _, v6 := range []bool{false, true} {
		if err := n.fitTo(h, link, v6); err != nil {
			return err
		}
	}
	return nil
}

// fitTo fits what the network has of a family to the addresses of a bridge.
func (n *Network) fitTo(h *netlink.Handle, link netlink.Link, v6 bool) error {
	subnet, gateway, any, kind := &n.Subnet, &n.Gateway, &n.AnySubnet, unix.AF_INET
	if v6 {
		subnet, gateway, any, kind = &n.Subnet6, &n.Gateway6, &n.AnySubnet6, unix.AF_INET6
	}
	addrs, err := addresses(h, link, kind)
	if err != nil {
		return err
	}
	if *any && len(addrs) > 0 {
		*subnet, *any = addrs[0].Masked(), false
	}
	for _, a := range addrs {
		switch {
		case !subnet.Contains(a.Addr()) || a.Addr() == *gateway:
		case !gateway.IsValid():
			*gateway = a.Addr()
		default:
			n.reserve(a.Addr())
		}
	}
	return nil
}

// reserve keeps an address of the bridge from the containers.
func (n *Network) reserve(ip netip.Addr) {
	for _, have := range n.Reserved {
		if have == ip {
			return
		}
	}
	if n.Reserved == nil {
		n.Reserved = make(map[string]netip.Addr)
	}
	n.Reserved[n.Bridge+"-"+ip.String()] = ip
}

// addresses gives the addresses of a link, without those of IPv6 that every link
// has of its own.
func addresses(h *netlink.Handle, link netlink.Link, family int) ([]netip.Prefix, error) {
	list, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(link, family) })
	if err != nil {
		return nil, linkErr("listing the addresses of", link.Attrs().Name, err)
	}
	var out []netip.Prefix
	for _, a := range list {
		ip, ok := netip.AddrFromSlice(a.IP)
		if ip = ip.Unmap(); ok && (ip.Is4() || !ip.IsLinkLocalUnicast()) {
			bits, _ := a.Mask.Size()
			out = append(out, netip.PrefixFrom(ip, bits))
		}
	}
	return out, nil
}

// findings gives how the bridge is, or was when the network first used it.
func (m *Manager) findings(n *Network, link netlink.Link, before *found) (*found, error) {
	a := link.Attrs()
	if before != nil && before.Index == a.Index {
		return before, nil
	}
	h, err := m.host()
	if err != nil {
		return nil, err
	}
	value, err := os.ReadFile(sysctlPath(linkKey("ipv4", a.Name, "route_localnet")))
	if err != nil {
		return nil, fmt.Errorf("reading how bridge %s is set: %w", a.Name, err)
	}
	f := &found{Index: a.Index, MAC: MAC(a.HardwareAddr), Up: a.Flags&net.FlagUp != 0, Localnet: string(bytes.TrimSpace(value))}
	if f.Gateways, err = gatewaysOn(h, link, n); err != nil {
		return nil, err
	}
	if f.HasAddress, err = hasAny(h, link, n.Subnet); err != nil {
		return nil, err
	}
	if !n.HasIPv6() {
		return f, nil
	}
	if value, err = os.ReadFile(sysctlPath(linkKey("ipv6", a.Name, "disable_ipv6"))); err != nil {
		return nil, fmt.Errorf("reading how bridge %s is set: %w", a.Name, err)
	}
	f.NoIPv6 = string(bytes.TrimSpace(value))
	f.HasAddress6, err = hasAny(h, link, n.Subnet6)
	return f, err
}

// hasAny says whether a link has an address of a subnet, which may be zero.
func hasAny(h *netlink.Handle, link netlink.Link, subnet netip.Prefix) (bool, error) {
	if !subnet.IsValid() {
		return false, nil
	}
	addrs, err := addresses(h, link, familyOf(subnet.Addr()))
	return slices.ContainsFunc(addrs, func(p netip.Prefix) bool { return subnet.Contains(p.Addr()) }), err
}

// gatewaysOn gives those of the network's gateways that a link has.
func gatewaysOn(h *netlink.Handle, link netlink.Link, n *Network) (all []netip.Addr, err error) {
	for _, f := range n.families() {
		has, err := hasAny(h, link, lone(f.gateway))
		if err != nil {
			return nil, err
		}
		if has {
			all = append(all, f.gateway)
		}
	}
	return all, nil
}

// adopt fits a network's layout to a bridge that is there.
func (m *Manager) adopt(n *Network, mk *mark, link netlink.Link) (err error) {
	if mtu := link.Attrs().MTU; n.MTU != 0 && n.MTU != mtu {
		return errorf(ErrInvalid, "bridge %s has the MTU %d and is not mini's to change: network %s cannot have the MTU %d", mk.Bridge, mtu, n.Name, n.MTU)
	}
	mk.MTU = link.Attrs().MTU
	if n.HasIPv6() && mk.MTU < minMTU6 {
		return errorf(ErrInvalid, "bridge %s has the MTU %d, too small for IPv6: network %s needs at least %d", mk.Bridge, mk.MTU, n.Name, minMTU6)
	}
	mk.Found, err = m.findings(n, link, mk.Found)
	return err
}

// findAgain looks whether the bridge that a network uses is still the same. One
// that was deleted cannot be made again by mini, but a new one is taken.
func (m *Manager) findAgain(n *Network, mk *mark) error {
	if mk.Found == nil {
		return nil
	}
	h, err := m.host()
	if err != nil {
		return err
	}
	link, err := findLink(h, mk.Bridge)
	if err != nil {
		return err
	}
	if link == nil {
		return errorf(ErrNotFound, "bridge %s of network %s is gone, and not mini's to make: make it, then reload the network", mk.Bridge, n.Name)
	}
	if err := checkFound(link); err != nil {
		return err
	}
	if err := m.adopt(n, mk, link); err != nil {
		return err
	}
	return replaceJSON(m.markPath(n), mk)
}

// settleOn fits an endpoint to the bridge it will be on. It says whether the
// record changes.
func (ep *Endpoint) settleOn(mk *mark) (changed bool) {
	if !ep.Isolated || mk.Found == nil || slices.Equal(ep.BridgeMAC, mk.Found.MAC) {
		return false
	}
	ep.BridgeMAC = mk.Found.MAC
	return true
}
