package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/plan"
)

func (b *builder) bridge(br *bridge) plan.Step {
	add := []string{"link", "add", br.name}
	if br.mtu != 0 {
		add = append(add, "mtu", strconv.Itoa(br.mtu))
	}
	step := plan.Step{
		Name: fmt.Sprintf("make bridge %s in %s", br.name, br.in.name),
		Why:  "It switches frames between the links that are its ports. It needs no address for that.",
		Cmds: []string{b.ip(br.in, append(add, "type", "bridge")...)},
	}
	var addresses []netip.Prefix
	if br.address.IsValid() {
		addresses = append(addresses, br.address)
		step.Why = "It switches frames between the links that are its ports. With an address it is " + br.in.name + "'s own link to them, too."
	}
	step.Cmds = append(step.Cmds, b.upCommands(end{in: br.in, link: br.name, addresses: addresses})...)
	step.Do = func(context.Context) error {
		h, err := b.s.handle(b.m.spaceName(br.in))
		if err != nil {
			return err
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU = br.name, br.mtu
		if err := h.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
			return fmt.Errorf("creating bridge %s: %w", br.name, err)
		}
		return bringUp(h, end{link: br.name, addresses: addresses})
	}
	return step
}

// cable gives the steps of a veth pair: the pair, then each end.
func (b *builder) cable(c cable) []plan.Step {
	mtu := strconv.Itoa(c.mtu)
	return []plan.Step{
		{
			Name: fmt.Sprintf("join %s and %s by a cable", c.a.in.name, c.b.in.name),
			Why:  "What goes into one end of a veth pair comes out of the other. The ends may be in different namespaces.",
			Cmds: []string{b.ip(c.a.in, "link", "add", c.a.link, "mtu", mtu, "type", "veth",
				"peer", "name", c.b.link, "mtu", mtu, "netns", b.m.spaceName(c.b.in))},
			Do: func(context.Context) error { return b.addCable(c) },
		},
		b.end(c.a), b.end(c.b),
	}
}

func (b *builder) addCable(c cable) error {
	h, err := b.s.handle(b.m.spaceName(c.a.in))
	if err != nil {
		return err
	}
	peer, err := b.s.file(b.m.spaceName(c.b.in))
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = c.a.link, c.mtu
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerMTU, veth.PeerNamespace = c.b.link, uint32(c.mtu), netlink.NsFd(peer.Fd())
	if err := h.LinkAdd(veth); err != nil {
		return fmt.Errorf("creating veth pair %s, %s: %w", c.a.link, c.b.link, err)
	}
	return nil
}

// end sets up one end of a cable.
func (b *builder) end(e end) plan.Step {
	step := plan.Step{
		Name: fmt.Sprintf("set up %s of %s", e.link, e.in.name),
		Why:  "An address makes a network of the cable: who has one in the same prefix is reached without a router.",
		Cmds: b.upCommands(e),
		Do: func(context.Context) error {
			h, err := b.s.handle(b.m.spaceName(e.in))
			if err != nil {
				return err
			}
			return bringUp(h, e)
		},
	}
	switch {
	case e.bridge != nil:
		step.Name = fmt.Sprintf("plug %s of %s into bridge %s", e.link, e.in.name, e.bridge.name)
		step.Why = "The port of a bridge has no address: what comes in belongs to the bridge."
	case len(e.addresses) == 0:
		step.Why = "A link that is down carries nothing."
	}
	return step
}

// upCommands are what bringUp does.
func (b *builder) upCommands(e end) (cmds []string) {
	for _, a := range e.addresses {
		cmds = append(cmds, b.ip(e.in, addressWords(a, e.link)...))
	}
	up := []string{"link", "set", "dev", e.link}
	if e.bridge != nil {
		up = append(up, "master", e.bridge.name)
	}
	return append(cmds, b.ip(e.in, append(up, "up")...))
}

// addressWords are those of ip-address(8). Nobody else in a lab has an IPv6 address: it is good at once.
func addressWords(a netip.Prefix, link string) []string {
	if a.Addr().Is6() {
		return []string{"address", "add", a.String(), "dev", link, "nodad"}
	}
	return []string{"address", "add", a.String(), "dev", link}
}

// bringUp gives a link its addresses, plugs it into its bridge and switches it on.
func bringUp(h *netlink.Handle, e end) error {
	link, err := h.LinkByName(e.link)
	if err != nil {
		return fmt.Errorf("looking for link %s: %w", e.link, err)
	}
	for _, a := range e.addresses {
		// As in the script, without a broadcast address, which the library would add.
		addr := &netlink.Addr{IPNet: ipNet(a), Broadcast: net.IPv4zero}
		if a.Addr().Is6() {
			addr.Flags, addr.Broadcast = unix.IFA_F_NODAD, nil
		}
		if err := h.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("adding address %s to %s: %w", a, e.link, err)
		}
	}
	if e.bridge != nil {
		if err := plug(h, link, e.bridge.name); err != nil {
			return err
		}
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("switching %s on: %w", e.link, err)
	}
	return nil
}

func plug(h *netlink.Handle, link netlink.Link, bridge string) error {
	master, err := h.LinkByName(bridge)
	if err == nil {
		err = h.LinkSetMaster(link, master)
	}
	if err != nil {
		return fmt.Errorf("plugging %s into bridge %s: %w", link.Attrs().Name, bridge, err)
	}
	return nil
}

func (b *builder) tunnel(t tunnel) plan.Step {
	e := end{in: t.in, link: t.name, bridge: t.bridge}
	return plan.Step{
		Name: fmt.Sprintf("dig tunnel %s from %s to %s", t.name, t.in.name, t.remote),
		Why: fmt.Sprintf("A VXLAN link packs whole Ethernet frames into UDP packets to port %d of the other end. They are 50 bytes longer, "+
			"so that there is room for %d bytes inside.", t.port, t.mtu),
		Cmds: append([]string{b.ip(t.in, "link", "add", t.name, "mtu", strconv.Itoa(t.mtu), "type", "vxlan", "id", strconv.Itoa(t.id),
			"local", t.local.String(), "remote", t.remote.String(), "dstport", strconv.Itoa(t.port))}, b.upCommands(e)...),
		Do: func(context.Context) error {
			h, err := b.s.handle(b.m.spaceName(t.in))
			if err != nil {
				return err
			}
			attrs := netlink.NewLinkAttrs()
			attrs.Name, attrs.MTU = t.name, t.mtu
			v := &netlink.Vxlan{LinkAttrs: attrs, VxlanId: t.id, SrcAddr: t.local.AsSlice(), Group: t.remote.AsSlice(), Port: t.port, Learning: true}
			if err := h.LinkAdd(v); err != nil {
				return fmt.Errorf("creating VXLAN link %s: %w", t.name, err)
			}
			return bringUp(h, e)
		},
	}
}
