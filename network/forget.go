package network

import (
	"context"
	"errors"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/plan"
)

// forgetSteps let the host forget at which MAC address the container was. There is
// nothing to forget of an intent, or when the bridge is unknown.
func (m *Manager) forgetSteps(ep *Endpoint) []plan.Step {
	mk, err := m.readMark(networkOf(ep))
	if mk == nil || err != nil || !ep.HasAddress() {
		return nil
	}
	step := plan.Step{
		Name: "forget where " + joinAddrs(ep.Addresses()) + " was",
		Why:  "The next owner of the address may have another MAC address, and the host's table of neighbours has room for some hundreds.",
		Do:   func(context.Context) error { return m.forget(ep, mk.Bridge) },
	}
	for _, at := range ep.places() {
		words := []string{"ip", "neighbour", "flush", "to", at.ip.String(), "dev", mk.Bridge}
		if at.v6 {
			words = append([]string{"ip", "-6"}, words[1:]...)
		}
		step.Cmds = append(step.Cmds, plan.Command(words...))
	}
	return []plan.Step{step}
}

func (m *Manager) forget(ep *Endpoint, bridge string) error {
	h, err := m.host()
	if err != nil {
		return err
	}
	link, err := findLink(h, bridge)
	if link == nil || err != nil {
		return err
	}
	for _, at := range ep.places() {
		neigh := &netlink.Neigh{LinkIndex: link.Attrs().Index, Family: familyOf(at.ip), IP: at.ip.AsSlice()}
		if err := h.NeighDel(neigh); err != nil && !errors.Is(err, unix.ENOENT) {
			return linkErr("forgetting "+at.ip.String()+" on", bridge, err)
		}
	}
	return nil
}
