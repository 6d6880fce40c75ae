package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/plan"
)

// attach orders the steps so that the host's end is complete before the
// container's comes up: what the container announces then, the host can answer.
func (d ptpDriver) attach(ep *Endpoint, mk *mark, ns *os.File) plan.Plan {
	c := &container{ep: ep, ns: ns}
	p := plan.Plan{Title: "attach " + ep.ContainerName + " to network " + ep.NetworkName}
	c.begin(&p)
	p.Add(c.ptpSteps(d.m, mk)...)
	p.Add(d.m.publishSteps(ep)...)
	return c.closedAfter(p)
}

// ptpSteps lay a cable, and give both of its ends what they need.
func (c *container) ptpSteps(m *Manager, mk *mark) []plan.Step {
	places := c.ep.places()
	steps := []plan.Step{c.stepPtpVeth(m, mk)}
	for _, s := range c.ep.ptpSettings(mk) {
		steps = append(steps, s.step())
	}
	for _, at := range places {
		steps = append(steps, m.stepPtpGateway(c.ep, at))
	}
	steps = append(steps, c.ep.stepPtpOn())
	for _, at := range places {
		steps = append(steps, m.stepPtpRoute(c.ep, at), c.stepPtpAddress(at))
	}
	steps = append(steps, c.stepPtpUp(m, mk))
	for _, at := range places {
		steps = append(steps, c.stepPtpRoutes(at))
	}
	return append(steps, c.stepRoutes()...)
}

func (c *container) stepPtpVeth(m *Manager, mk *mark) plan.Step {
	ep := c.ep
	v := vethPair{Host: ep.HostLink, Peer: ep.Interface, HostMAC: ep.hostMAC(), PeerMAC: net.HardwareAddr(ep.MAC), MTU: mk.MTU}
	mtu := fmt.Sprint(v.MTU)
	return plan.Step{
		Name: "lay a cable from the host to the container's " + ep.Interface,
		Why:  "A veth pair: what enters one end leaves the other. The container's end is born inside it, which is far quicker than moving it there. No bridge is between them and others: the host routes what the container sends.",
		Cmds: []string{plan.Command("ip", "link", "add", "name", v.Host, "address", v.HostMAC.String(), "mtu", mtu,
			"type", "veth", "peer", "name", v.Peer, "address", v.PeerMAC.String(), "mtu", mtu, "netns", ep.NamespaceName())},
		Do:   func(context.Context) error { return c.lay(m, v) },
		Undo: func(context.Context) error { return m.DeleteLink(ep) },
	}
}

// ptpSetting is a sysctl of the host's end of a cable.
type ptpSetting struct{ key, value, why, harm string } // harm: what is wrong without it

func (s ptpSetting) step() plan.Step {
	return plan.Step{
		Name: "set " + s.key + " to " + s.value, Why: s.why,
		Cmds: []string{sysctlCommand(s.key, s.value)},
		Do:   func(context.Context) error { _, err := setSysctl(s.key, s.value); return err },
	}
}

func (ep *Endpoint) ptpSettings(mk *mark) (all []ptpSetting) {
	if ep.Localnet {
		all = append(all, ptpSetting{linkKey("ipv4", ep.HostLink, "route_localnet"), "1",
			"A connection to 127.0.0.1 and a published port is routed to the container with a loopback source address, which the kernel otherwise refuses. Only this cable is opened.",
			"published ports do not answer at 127.0.0.1"})
	}
	if !ep.IP.IsValid() {
		all = append(all, ptpSetting{linkKey("ipv4", ep.HostLink, "rp_filter"), "1", whyNoIPv4, "the container may send packets of IPv4 that no rule of its network is for"})
	}
	key := func(name string) string { return linkKey("ipv6", ep.HostLink, name) }
	switch {
	case ep.IP6.IsValid():
		return append(all, ptpSetting{key("disable_ipv6"), "0", "The host's end needs IPv6, also where the administrator has switched it off for new links.", "the container has no gateway of IPv6"},
			ptpSetting{key("accept_ra"), "0", "The host takes no routes from a container.",
				"the container can send router advertisements and lead the host's own packets its way"},
			ptpSetting{key("accept_dad"), "0", "Nobody else is on the cable: the kernel need not ask for a second whether its own address there is in use.",
				"the gateway's address answers a second late"})
	case mk.mayHaveIPv6():
		return append(all, ptpSetting{key("disable_ipv6"), "1", "The network has no IPv6: the host shall not be reached by an address that no rule guards.",
			"the container may reach the host by an address that no rule guards"})
	}
	return all
}

// cable finds the host's end, and fails when it is gone.
func (m *Manager) cable(ep *Endpoint) (*netlink.Handle, netlink.Link, error) {
	h, err := m.host()
	if err != nil {
		return nil, nil, err
	}
	link, err := h.LinkByName(ep.HostLink)
	return h, link, linkErr("looking for", ep.HostLink, err)
}

func (m *Manager) stepPtpGateway(ep *Endpoint, at place) plan.Step {
	return plan.Step{
		Name: "give " + ep.HostLink + " the gateway's address " + at.gateway.String(),
		Why:  "Every cable of the network has it at the host's end: each container finds its gateway at the other end of its own.",
		Cmds: []string{plan.Command(append([]string{"ip"}, loneWords(at.gateway, ep.HostLink)...)...)},
		Do: func(context.Context) error {
			h, link, err := m.cable(ep)
			if err != nil {
				return err
			}
			return addLone(h, link, at.gateway)
		},
	}
}

// lone is the address alone, with no network around it.
func lone(ip netip.Addr) netip.Prefix { return netip.PrefixFrom(ip, ip.BitLen()) }

// addLone gives a link an address without a network around it, so that the kernel
// makes no route of it. That it is there already is no error.
func addLone(h *netlink.Handle, link netlink.Link, ip netip.Addr) error {
	a := &netlink.Addr{IPNet: ipNet(lone(ip))}
	if ip.Is6() {
		a.Flags = unix.IFA_F_NODAD | unix.IFA_F_NOPREFIXROUTE
	}
	if err := h.AddrAdd(link, a); err != nil && !errors.Is(err, unix.EEXIST) {
		return linkErr("adding address "+ip.String()+" to", link.Attrs().Name, err)
	}
	return nil
}

// loneWords are those of ip-address(8) that addLone stands for.
func loneWords(ip netip.Addr, link string) []string {
	words := []string{"address", "add", lone(ip).String(), "dev", link}
	if ip.Is6() {
		words = append(words, "nodad", "noprefixroute")
	}
	return words
}

func (ep *Endpoint) stepPtpOn() plan.Step {
	return plan.Step{
		Name: "tag " + ep.HostLink + " and switch it on",
		Why:  "The alias says whose it is.",
		Cmds: []string{plan.Command("ip", "link", "set", "dev", ep.HostLink, "alias", ep.alias(), "up")},
		Do:   func(context.Context) error { return tagAndUp(ep.HostLink, ep.alias()) },
	}
}

// tagAndUp does both in one message. The kernel finds the link by name.
func tagAndUp(name, alias string) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Flags, msg.Change = unix.IFF_UP, unix.IFF_UP
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(alias)))
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return linkErr("switching on", name, err)
}

func (c *container) stepPtpAddress(at place) plan.Step {
	ep := c.ep
	return plan.Step{
		Name: "give the container the address " + lone(at.ip).String(),
		Why:  "It was taken from the network's pool, and is on record as this container's. It has no neighbours: nobody else is on the cable.",
		Cmds: []string{c.inside(loneWords(at.ip, ep.Interface)...)},
		Do: func(context.Context) (err error) {
			if c.link, err = c.nl.LinkByName(ep.Interface); err != nil {
				return linkErr("looking in the container for", ep.Interface, err)
			}
			return addLone(c.nl, c.link, at.ip)
		},
	}
}

func (c *container) stepPtpUp(m *Manager, mk *mark) plan.Step {
	name := c.ep.Interface
	return plan.Step{
		Name: "switch the container's " + name + " on",
		Why:  "Now both ends of the cable are on.",
		Cmds: []string{c.inside("link", "set", "dev", name, "up")},
		Do: func(context.Context) error {
			if err := c.nl.LinkSetUp(c.link); err != nil {
				return linkErr("switching on the container's", name, err)
			}
			return c.settle(m, mk)
		},
	}
}
