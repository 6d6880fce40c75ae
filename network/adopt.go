package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/plan"
)

// A network whose bridge has a name of the user's choice uses a bridge of that
// name which is there already. It stays its owner's: mini gives it what the
// network lacks, writes down what that was, and takes it back in the end.

// found is how somebody else's bridge was before mini used it.
type found struct {
	Index int `json:"index"` // of the link: another one is another bridge
	MAC   MAC `json:"mac"`
	// HasAddress: it has an address of the subnet, and needs none of mini.
	HasAddress bool   `json:"has_address"`
	Up         bool   `json:"up"`
	Localnet   string `json:"route_localnet"` // the sysctl's value
}

// mayAdopt says that the bridge's name is the user's choice.
func (n *Network) mayAdopt() bool {
	return n.Driver == DriverBridge && n.Name != Bridge && n.Bridge != "br-"+short(n.ID)
}

// uses says that a link is the network's bridge, or will be.
func (n *Network) uses(link netlink.Link) bool { return n.owns(link) || n.wants(link) }

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
	addrs, err := addresses(h, link)
	if err != nil {
		return err
	}
	if !n.Subnet.IsValid() && len(addrs) > 0 {
		n.Subnet = addrs[0].Masked()
	}
	for _, a := range addrs {
		switch {
		case !n.Subnet.Contains(a.Addr()) || a.Addr() == n.Gateway:
		case !n.Gateway.IsValid():
			n.Gateway = a.Addr()
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

// addresses gives the IPv4 addresses of a link.
func addresses(h *netlink.Handle, link netlink.Link) ([]netip.Prefix, error) {
	list, err := h.AddrList(link, unix.AF_INET)
	if err != nil {
		return nil, linkErr("listing the addresses of", link.Attrs().Name, err)
	}
	var out []netip.Prefix
	for _, a := range list {
		if ip, ok := netip.AddrFromSlice(a.IP.To4()); ok {
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
	addrs, err := addresses(h, link)
	if err != nil {
		return nil, err
	}
	value, err := os.ReadFile("/proc/sys/net/ipv4/conf/" + a.Name + "/route_localnet")
	if err != nil {
		return nil, fmt.Errorf("reading how bridge %s is set: %w", a.Name, err)
	}
	return &found{
		Index: a.Index, MAC: MAC(a.HardwareAddr), Up: a.Flags&net.FlagUp != 0, Localnet: string(bytes.TrimSpace(value)),
		HasAddress: slices.ContainsFunc(addrs, func(p netip.Prefix) bool { return n.Subnet.Contains(p.Addr()) }),
	}, nil
}

// adopt fits a network's layout to a bridge that is there.
func (m *Manager) adopt(n *Network, mk *mark, link netlink.Link) (err error) {
	if mtu := link.Attrs().MTU; n.MTU != 0 && n.MTU != mtu {
		return errorf(ErrInvalid, "bridge %s has the MTU %d and is not mini's to change: network %s cannot have the MTU %d", mk.Bridge, mtu, n.Name, n.MTU)
	}
	mk.MTU = link.Attrs().MTU
	mk.Found, err = m.findings(n, link, mk.Found)
	return err
}

// adoptSteps give a bridge what the network needs and it lacks.
func (m *Manager) adoptSteps(n *Network, mk *mark) []plan.Step {
	steps := []plan.Step{m.stepPin(mk)}
	if n.hasAddress() && !mk.Found.HasAddress {
		gateway := m.stepGateway(n, mk)
		gateway.Undo = m.stepDropAddress(n, mk).Do
		steps = append(steps, gateway)
	}
	if n.translates() {
		localnet := stepLocalnet(mk)
		localnet.Undo = m.stepResetLocalnet(mk).Do
		steps = append(steps, localnet)
	}
	if !mk.Found.Up {
		up := m.stepBridgeUp(mk)
		up.Undo = m.stepBridgeDown(mk).Do
		steps = append(steps, up)
	}
	return steps
}

// leaveSteps take back what adoptSteps did, in reverse order.
func (m *Manager) leaveSteps(n *Network, mk *mark) []plan.Step {
	var steps []plan.Step
	if !mk.Found.Up {
		steps = append(steps, m.stepBridgeDown(mk))
	}
	if n.translates() && mk.Found.Localnet != "1" {
		steps = append(steps, m.stepResetLocalnet(mk))
	}
	if n.hasAddress() && !mk.Found.HasAddress {
		steps = append(steps, m.stepDropAddress(n, mk))
	}
	return steps
}

// stepPin keeps the bridge's MAC address as it is. It has no undo: a bridge whose
// address was set keeps it.
func (m *Manager) stepPin(mk *mark) plan.Step {
	mac := mk.Found.MAC
	return plan.Step{
		Name: "use bridge " + mk.Bridge + ", which is there",
		Why:  "It is not mini's, and stays when the network goes. Its MAC address is set to what it is, or it would change with the cables that come and go.",
		Cmds: []string{plan.Command("ip", "link", "set", "dev", mk.Bridge, "address", mac.String())},
		Do: m.onFound(mk, func(h *netlink.Handle, link netlink.Link) error {
			return linkErr("pinning the MAC address of", mk.Bridge, h.LinkSetHardwareAddr(link, net.HardwareAddr(mac)))
		}),
	}
}

func (m *Manager) stepDropAddress(n *Network, mk *mark) plan.Step {
	addr := fmt.Sprintf("%s/%d", n.Gateway, n.Subnet.Bits())
	return plan.Step{
		Name: "take the address " + addr + " off " + mk.Bridge, Why: "Mini gave it to the bridge, which is somebody else's.",
		Cmds: []string{plan.Command("ip", "address", "delete", addr, "dev", mk.Bridge)},
		Do: m.onFound(mk, func(h *netlink.Handle, link netlink.Link) error {
			a := &netlink.Addr{IPNet: &net.IPNet{IP: n.Gateway.AsSlice(), Mask: net.CIDRMask(n.Subnet.Bits(), 32)}}
			if err := h.AddrDel(link, a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
				return linkErr("taking address "+addr+" off", mk.Bridge, err)
			}
			return nil
		}),
	}
}

func (m *Manager) stepResetLocalnet(mk *mark) plan.Step {
	key, value := "net.ipv4.conf."+mk.Bridge+".route_localnet", mk.Found.Localnet
	return plan.Step{
		Name: "set " + key + " as it was", Why: "Nobody on the bridge is to be reached at 127.0.0.1 any more.",
		Cmds: []string{sysctlCommand(key, value)},
		Do: m.onFound(mk, func(*netlink.Handle, netlink.Link) error {
			_, err := setSysctl(key, value)
			return err
		}),
	}
}

func (m *Manager) stepBridgeDown(mk *mark) plan.Step {
	return plan.Step{
		Name: "switch " + mk.Bridge + " off", Why: "It was off when mini found it.",
		Cmds: []string{plan.Command("ip", "link", "set", "dev", mk.Bridge, "down")},
		Do: m.onFound(mk, func(h *netlink.Handle, link netlink.Link) error {
			return linkErr("switching off", mk.Bridge, h.LinkSetDown(link))
		}),
	}
}

// onFound does something to the bridge that was found. When it is gone, or
// another has its name, there is nothing to do.
func (m *Manager) onFound(mk *mark, do func(*netlink.Handle, netlink.Link) error) func(context.Context) error {
	return func(context.Context) error {
		h, err := m.host()
		if err != nil {
			return err
		}
		link, err := findLink(h, mk.Bridge)
		if link == nil || err != nil || link.Attrs().Index != mk.Found.Index {
			return err
		}
		return do(h, link)
	}
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
