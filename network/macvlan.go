package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/netns"
	"github.com/minirt/mini/plan"
)

// DriverMacvlan gives each container a link of its own on one of the host's
// links, its parent: the container is a neighbour of the host's neighbours, with
// an address of their network. There is no bridge, no address translation and no
// rule, so nothing is to be brought up or taken down. The host itself and its
// containers do not reach each other: that is macvlan's way, see ip-link(8).
const DriverMacvlan = "macvlan"

// macvlanModes are the values of the option macvlan_mode.
var macvlanModes = map[string]netlink.MacvlanMode{
	"bridge": netlink.MACVLAN_MODE_BRIDGE, "private": netlink.MACVLAN_MODE_PRIVATE,
	"vepa": netlink.MACVLAN_MODE_VEPA, "passthru": netlink.MACVLAN_MODE_PASSTHRU,
}

// checkMacvlan checks what macvlan needs, and that other drivers do not have it.
func checkMacvlan(opt *CreateOptions) error {
	if opt.Driver != DriverMacvlan {
		if opt.Parent != "" || opt.MacvlanMode != "" {
			return fmt.Errorf("the options parent and macvlan_mode need --driver macvlan")
		}
		return nil
	}
	if opt.Parent == "" {
		return fmt.Errorf("macvlan needs a parent: -o parent=LINK, one of the host's links")
	}
	if err := checkLink(opt.Parent); err != nil {
		return err
	}
	if opt.Bridge != "" || opt.NoICC || opt.NoMasquerade || opt.InhibitIPv4 || opt.GatewayMode+opt.GatewayMode6 != "" || opt.Options[hostBinding]+opt.Options[optIsolate] != "" {
		return fmt.Errorf("macvlan has no bridge, no address translation and no rules: its options are parent, macvlan_mode and mtu")
	}
	return nil
}

func setMacvlanMode(o *CreateOptions, v string) error {
	if _, ok := macvlanModes[v]; !ok {
		return fmt.Errorf("%q is no mode: want bridge, private, vepa or passthru", v)
	}
	o.MacvlanMode = v
	return nil
}

// placeOnParent checks the parent and fills in or checks the subnet. It may be
// the one that the host has on the parent: that is the point of macvlan.
func (m *Manager) placeOnParent(n *Network) error {
	if _, err := m.parent(n.Parent); err != nil {
		return err
	}
	nets, err := m.stored()
	if err != nil {
		return err
	}
	used := subnetsOf(nets, n)
	if n.AnySubnet || n.AnySubnet6 {
		if used, err = m.usedPrefixes(n); err != nil {
			return err
		}
	}
	err = m.takeSubnets(n, used)
	n.AnySubnet, n.AnySubnet6 = false, false // it does not move: the wire has its own plan of addresses
	return err
}

// parent looks for a link of the host that can have children.
func (m *Manager) parent(name string) (netlink.Link, error) {
	h, err := m.host()
	if err != nil {
		return nil, err
	}
	link, err := findLink(h, name)
	switch {
	case err != nil:
		return nil, err
	case link == nil:
		return nil, errorf(ErrNotFound, "the host has no link %s to be the parent", name)
	case link.Attrs().Flags&net.FlagLoopback != 0:
		return nil, errorf(ErrInvalid, "link %s cannot be a parent: it is the loopback", name)
	}
	return link, nil
}

// onParent records what the endpoint's link is made of.
func (ep *Endpoint) onParent(n *Network) {
	ep.Parent, ep.ParentMode, ep.MTU = n.Parent, n.MacvlanMode, n.MTU
	if ep.ParentMode == "" {
		ep.ParentMode = "bridge"
	}
}

// attachMacvlan is attachPlan for a child of one of the host's links.
func (m *Manager) attachMacvlan(ep *Endpoint, ns *os.File) plan.Plan {
	c := &container{ep: ep, ns: ns}
	p := plan.Plan{Title: "attach " + ep.ContainerName + " to network " + ep.NetworkName}
	c.begin(&p)
	p.Add(c.stepChild(m))
	p.Add(c.stepAddresses()...)
	p.Add(c.stepChildUp())
	p.Add(c.stepRoutes()...)
	return c.closedAfter(p)
}

// childName is the link's name until it has the container's: the host may have a
// link of that name, and the kernel looks there too.
func (ep *Endpoint) childName() string { return "mv" + ep.ContainerID[:7] + ep.Interface }

func (c *container) stepChild(m *Manager) plan.Step {
	ep := c.ep
	add := []string{"ip", "link", "add", "link", ep.Parent, "name", ep.childName(), "address", ep.MAC.String()}
	if ep.MTU > 0 {
		add = append(add, "mtu", fmt.Sprint(ep.MTU))
	}
	add = append(add, "netns", ep.NamespaceName(), "type", "macvlan", "mode", ep.ParentMode)
	return plan.Step{
		Name: "give the container a child of " + ep.Parent + " as " + ep.Interface,
		Why:  "A macvlan link: it shares the parent's wire, and has a MAC address of its own. It is born in the container, and gets its name there.",
		Cmds: []string{plan.Command(add...), c.inside("link", "set", "dev", ep.childName(), "name", ep.Interface)},
		Do: func(context.Context) error {
			parent, err := m.parent(ep.Parent)
			if err != nil {
				return err
			}
			h, err := m.host()
			if err != nil {
				return err
			}
			attrs := netlink.NewLinkAttrs()
			attrs.Name, attrs.ParentIndex, attrs.HardwareAddr, attrs.MTU = ep.childName(), parent.Attrs().Index, net.HardwareAddr(ep.MAC), ep.MTU
			attrs.Namespace = netlink.NsFd(int(c.ns.Fd()))
			link := &netlink.Macvlan{LinkAttrs: attrs, Mode: macvlanModes[ep.ParentMode]}
			if err := ep.afterFormer(func() error { return h.LinkAdd(link) }); err != nil {
				return linkErr("making a macvlan link on", ep.Parent, err)
			}
			child, err := c.nl.LinkByName(ep.childName())
			if err != nil {
				return linkErr("looking in the container for", ep.childName(), err)
			}
			return linkErr("naming the container's", ep.Interface, c.nl.LinkSetName(child, ep.Interface))
		},
		Undo: func(context.Context) error { return c.deleteChild() },
	}
}

// How long a clash may last that a former container leaves, and how often it is
// looked at. A link dies with its namespace: that takes the kernel some 30 ms, and
// more where many end at once.
const (
	formerPause = 5 * time.Millisecond
	formerTries = 400
)

// afterFormer makes or switches on a macvlan link. The container that had the same
// MAC address, or the parent alone, may have ended just now: in a restart it has.
func (ep *Endpoint) afterFormer(do func() error) error {
	err := do()
	for tries := 0; tries < formerTries && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EADDRINUSE)); tries++ {
		time.Sleep(formerPause)
		err = do()
	}
	return ep.explainMacvlan(err)
}

// explainMacvlan adds what the kernel means: drivers/net/macvlan.c.
func (ep *Endpoint) explainMacvlan(err error) error {
	switch {
	case errors.Is(err, unix.EINVAL) && ep.ParentMode == "passthru":
		return fmt.Errorf("%w: the mode passthru wants %s for one container alone, and it has another macvlan link", err, ep.Parent)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w: perhaps %s has a macvlan link of the mode passthru, which wants it alone", err, ep.Parent)
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%w: %s, or another macvlan link on it, has the MAC address %s: choose one with --mac-address", err, ep.Parent, ep.MAC)
	}
	return err
}

// deleteChild removes the link from a container that lives on. One that is gone
// is no error.
func (c *container) deleteChild() error {
	for _, name := range []string{c.ep.childName(), c.ep.Interface} {
		link, err := findLink(c.nl, name)
		if err != nil {
			return err
		}
		if link == nil || link.Type() != "macvlan" || !strings.EqualFold(link.Attrs().HardwareAddr.String(), c.ep.MAC.String()) {
			continue
		}
		if err := c.nl.LinkDel(link); err != nil && !isNoLink(err) {
			return linkErr("deleting link", name, err)
		}
	}
	return nil
}

func (c *container) stepChildUp() plan.Step {
	name := c.ep.Interface
	return plan.Step{
		Name: "switch the container's " + name + " on",
		Why:  "The address came first, so that the link can announce it now.",
		Cmds: []string{c.inside("link", "set", "dev", name, "up")},
		Do: func(context.Context) error {
			if err := c.ep.afterFormer(func() error { return c.nl.LinkSetUp(c.link) }); err != nil {
				return linkErr("switching on the container's", name, err)
			}
			if c.ep.IP6.IsValid() {
				settleIPv6(c.nl, c.ep.IP6)
			}
			return nil
		},
	}
}

func stepDeleteChild(c *container) plan.Step {
	return plan.Step{
		Name: "delete the container's " + c.ep.Interface,
		Why:  "The container lives on without it.",
		Cmds: []string{c.inside("link", "delete", "dev", c.ep.Interface)},
		Do: func(context.Context) (err error) {
			if c.nl, err = netns.Open(c.ns, nil); err != nil {
				return err
			}
			defer c.close()
			return c.deleteChild()
		},
	}
}
