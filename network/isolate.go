package network

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/plan"
)

// On a network without communication between its containers (Docker's icc=false)
// every port of the bridge is isolated: the bridge passes nothing from one such
// port to another. The host is no port, so containers reach it, the world, and
// published ports of each other, which the host sends on.
//
// With bridge-nf-call-iptables=1 the last would fail: the packet is rewritten
// inside the bridge, which sees then that it is for a container on the same
// bridge, takes the short way, and drops it there. See br_nf_pre_routing_finish in
// the kernel's net/bridge/br_netfilter_hooks.c. So IP packets that a container
// sends to the bridge's MAC address are taken past the bridge: a filter where
// they arrive hands them to the host as if the bridge had.

// hostMAC is the address of the host's end of the veth pair. A filter that
// hands packets to the host works only on a link with the bridge's own address: the
// kernel takes packets for another address as somebody else's.
func (ep *Endpoint) hostMAC() net.HardwareAddr {
	switch {
	case ep.Isolated && ep.BridgeMAC != nil:
		return net.HardwareAddr(ep.BridgeMAC)
	case ep.Isolated:
		return macFor(ep.mainGateway())
	}
	return hostMACFor(ep.mainAddress())
}

// stepHandOver takes what an isolated container sends to the host past the bridge.
func (c *container) stepHandOver(mk *mark) plan.Step {
	ep := c.ep
	cmds := []string{plan.Command("tc", "qdisc", "add", "dev", ep.HostLink, "clsact")}
	for _, f := range ep.handOvers() {
		cmds = append(cmds, plan.Command("tc", "filter", "add", "dev", ep.HostLink, "ingress", "protocol", f.name, "pref", fmt.Sprint(f.pref), "u32",
			"match", "ether", "dst", ep.hostMAC().String(), "action", "mirred", "ingress", "redirect", "dev", mk.Bridge))
	}
	return plan.Step{
		Name: "hand packets for the host past " + mk.Bridge,
		Why: "With bridge-nf-call-iptables=1 the bridge itself would rewrite a packet to a published port of a neighbour, and then not pass it from one isolated port to another. " +
			"The filter hands IP packets for the bridge's MAC address to the host at once. As the bridge does not see them, it is told where the container is.",
		Cmds: append(cmds, plan.Command("bridge", "fdb", "replace", ep.MAC.String(), "dev", ep.HostLink, "master", "static")),
		Do:   func(context.Context) error { return handOver(ep, mk.Bridge) },
	}
}

func handOver(ep *Endpoint, bridge string) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("opening a netlink socket: %w", err)
	}
	defer h.Close()
	link, err := h.LinkByName(ep.HostLink)
	if err != nil {
		return linkErr("looking for link", ep.HostLink, err)
	}
	to, err := h.LinkByName(bridge)
	if err != nil {
		return linkErr("looking for bridge", bridge, err)
	}
	if err := ep.filterTo(h, link, to); err != nil {
		return err
	}
	index := link.Attrs().Index
	neigh := &netlink.Neigh{
		LinkIndex: index, Family: unix.AF_BRIDGE, State: netlink.NUD_NOARP, Flags: netlink.NTF_MASTER,
		HardwareAddr: net.HardwareAddr(ep.MAC),
	}
	return linkErr("telling the bridge the address behind", ep.HostLink, h.NeighSet(neigh))
}

// filterTo adds the filters, or replaces those that are there.
func (ep *Endpoint) filterTo(h *netlink.Handle, link, to netlink.Link) error {
	index := link.Attrs().Index
	qdisc := &netlink.GenericQdisc{QdiscType: "clsact", QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	add := func() error {
		if err := h.QdiscAdd(qdisc); err != nil && !errors.Is(err, unix.EEXIST) {
			return linkErr("adding an ingress qdisc (sch_ingress) to", ep.HostLink, err)
		}
		for _, f := range ep.handOvers() {
			if err := h.FilterReplace(f.filter(index, to.Attrs().Index, ep.hostMAC())); err != nil {
				return linkErr("adding a filter (cls_u32, act_mirred) to", ep.HostLink, err)
			}
		}
		return nil
	}
	err := add()
	if !errors.Is(err, unix.EINVAL) {
		return err
	}
	// Somebody deleted one of the filters, or made them by hand: the kernel gives a new
	// table another number, so that ours cannot be replaced. All begin anew.
	if err := h.QdiscDel(qdisc); err != nil {
		return linkErr("deleting the ingress qdisc of", ep.HostLink, err)
	}
	return add()
}

// toHost is a filter for the packets of one family.
type toHost struct {
	name   string // as tc(8) has it
	proto  uint16
	pref   uint16
	handle uint32 // of its first entry, so that adding it again replaces it
}

// handOvers gives those for the families that the endpoint has. The kernel numbers
// the tables of a link's filters, each preference has one: 800, 801.
func (ep *Endpoint) handOvers() (all []toHost) {
	handle := uint32(0x80000800)
	for _, at := range ep.places() {
		f := toHost{"ip", unix.ETH_P_IP, 1, handle}
		if at.v6 {
			f = toHost{"ipv6", unix.ETH_P_IPV6, 2, handle}
		}
		all = append(all, f)
		handle += 0x100000
	}
	return all
}

// filter is the one on link that hands packets for mac to the bridge link, as if
// they had come in there. See tc-u32(8) and tc-mirred(8).
func (f toHost) filter(link, bridge int, mac net.HardwareAddr) *netlink.U32 {
	redirect := netlink.NewMirredAction(bridge)
	redirect.MirredAction = netlink.TCA_INGRESS_REDIR
	return &netlink.U32{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: link, Parent: netlink.HANDLE_MIN_INGRESS, Priority: f.pref, Protocol: f.proto, Handle: f.handle,
		},
		// The Ethernet header ends where offsets begin: the receiver's address
		// is in the 14 bytes before.
		Sel: &nl.TcU32Sel{Flags: nl.TC_U32_TERMINAL, Keys: []nl.TcU32Key{
			{Mask: 0x0000ffff, Val: uint32(binary.BigEndian.Uint16(mac)), Off: -16},
			{Mask: 0xffffffff, Val: binary.BigEndian.Uint32(mac[2:]), Off: -12},
		}},
		Actions: []netlink.Action{redirect},
	}
}
