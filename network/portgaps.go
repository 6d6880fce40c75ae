package network

import (
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// cabled is the host's end of a cable that is plugged into a bridge.
type cabled struct {
	host, bridge netlink.Link
	told         map[int][]string // see [toldMACs]
}

// toldMACs gives the MAC addresses that bridges were told are behind a port, by the
// port's index: those that they did not learn from packets.
func toldMACs(h *netlink.Handle) (map[int][]string, error) {
	all, err := dump(func() ([]netlink.Neigh, error) { return h.NeighList(0, unix.AF_BRIDGE) })
	if err != nil {
		return nil, fmt.Errorf("listing the addresses behind bridges' ports: %w", err)
	}
	told := make(map[int][]string)
	for _, n := range all {
		if n.MasterIndex != 0 && n.State&netlink.NUD_NOARP != 0 {
			told[n.LinkIndex] = append(told[n.LinkIndex], n.HardwareAddr.String())
		}
	}
	return told, nil
}

// portGaps looks at what is set on a port of the bridge after its birth.
func (c *container) portGaps(h *netlink.Handle, mk *mark, at cabled) (gaps []gap, err error) {
	info, err := h.LinkGetProtinfo(at.host)
	if err != nil {
		return nil, linkErr("looking at the port", c.ep.HostLink, err)
	}
	lack := func(what, why string) { gaps = append(gaps, gap{what: what, why: why, step: c.stepTag(mk)}) }
	if at.host.Attrs().Alias == "" {
		lack("has lost its tag", "the alias says whose it is")
	}
	if !info.Hairpin {
		lack("has lost its hairpin mode", "the container does not reach its own published ports")
	}
	if !c.ep.Isolated {
		return gaps, nil
	}
	if !info.Isolated {
		lack("is not isolated", "containers of "+c.ep.NetworkName+" reach each other")
	}
	handed, err := c.ep.handedOver(h, at)
	if err != nil {
		return nil, err
	}
	if handOver := portSteps(c, mk)[1]; !handed {
		gaps = append(gaps, gap{what: "has lost the filter that hands packets to the host", step: handOver,
			why: "with bridge-nf-call-iptables=1 the container does not reach published ports of its neighbours"})
	} else if !slices.Contains(at.told[at.host.Attrs().Index], c.ep.MAC.String()) {
		gaps = append(gaps, gap{what: "has lost the entry that tells the bridge where " + c.ep.MAC.String() + " is", step: handOver,
			why: "the bridge sends what is for the container to all its ports"})
	}
	return gaps, nil
}

// handedOver tells whether the filters of [container.stepHandOver] are in place.
func (ep *Endpoint) handedOver(h *netlink.Handle, at cabled) (bool, error) {
	filters, err := dump(func() ([]netlink.Filter, error) { return h.FilterList(at.host, netlink.HANDLE_MIN_INGRESS) })
	if err != nil {
		return false, linkErr("listing the filters of", ep.HostLink, err)
	}
	for _, f := range ep.handOvers() {
		want := f.filter(at.host.Attrs().Index, at.bridge.Attrs().Index, ep.hostMAC())
		if !slices.ContainsFunc(filters, func(have netlink.Filter) bool { return handsOver(have, want, at.bridge.Attrs().Index) }) {
			return false, nil
		}
	}
	return true, nil
}

// handsOver compares what decides: packets of which family and for whom, and where
// they go.
func handsOver(have netlink.Filter, want *netlink.U32, bridge int) bool {
	u, ok := have.(*netlink.U32)
	if !ok || u.Protocol != want.Protocol || u.Sel == nil || !slices.Equal(u.Sel.Keys, want.Sel.Keys) {
		return false
	}
	return slices.ContainsFunc(u.Actions, func(a netlink.Action) bool {
		m, ok := a.(*netlink.MirredAction)
		return ok && m.Ifindex == bridge
	})
}
