package network

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/plan"
)

// adoptSteps give a bridge what the network needs and it lacks.
func (m *Manager) adoptSteps(n *Network, mk *mark) []plan.Step {
	steps := []plan.Step{m.stepPin(mk)}
	if n.hasAddress6() && mk.Found.NoIPv6 == "1" {
		on := stepFoundIPv6(mk)
		on.Undo = m.stepResetIPv6(mk).Do
		steps = append(steps, on)
	}
	for _, a := range n.bridgeAddresses(mk) {
		gateway := m.stepGateway(mk, a)
		gateway.Undo = m.stepDropAddress(mk, a).Do
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
	for _, a := range n.bridgeAddresses(mk) {
		steps = append(steps, m.stepDropAddress(mk, a))
	}
	if n.hasAddress6() && mk.Found.NoIPv6 == "1" {
		steps = append(steps, m.stepResetIPv6(mk))
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

func (m *Manager) stepDropAddress(mk *mark, addr netip.Prefix) plan.Step {
	return plan.Step{
		Name: "take the address " + addr.String() + " off " + mk.Bridge, Why: "Mini gave it to the bridge, which is somebody else's.",
		Cmds: []string{plan.Command("ip", "address", "delete", addr.String(), "dev", mk.Bridge)},
		Do: m.onFound(mk, func(h *netlink.Handle, link netlink.Link) error {
			if err := h.AddrDel(link, &netlink.Addr{IPNet: ipNet(addr)}); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
				return linkErr("taking address "+addr.String()+" off", mk.Bridge, err)
			}
			return nil
		}),
	}
}

func stepFoundIPv6(mk *mark) plan.Step {
	return stepSettings("let "+mk.Bridge+" have IPv6", "It is switched off on the bridge, and the network has IPv6.",
		[]setting{{linkKey("ipv6", mk.Bridge, "disable_ipv6"), "0"}})
}

func (m *Manager) stepResetIPv6(mk *mark) plan.Step {
	key := linkKey("ipv6", mk.Bridge, "disable_ipv6")
	return plan.Step{
		Name: "set " + key + " as it was", Why: "Mini switched it for the network, which goes.",
		Cmds: []string{sysctlCommand(key, mk.Found.NoIPv6)},
		Do: m.onFound(mk, func(*netlink.Handle, netlink.Link) error {
			_, err := setSysctl(key, mk.Found.NoIPv6)
			return err
		}),
	}
}

func (m *Manager) stepResetLocalnet(mk *mark) plan.Step {
	key, value := linkKey("ipv4", mk.Bridge, "route_localnet"), mk.Found.Localnet
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
