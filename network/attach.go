package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/port"
	"github.com/minirt/mini/plan"
)

// AttachPlan gives the steps that connect a container's network namespace, an
// open /proc/PID/ns/net, to the network, which must be up. The printed commands
// call the namespace by [Endpoint.NamespaceName].
func (m *Manager) AttachPlan(ep *Endpoint, ns *os.File) (plan.Plan, error) {
	links := m.links(ep.driver())
	if ep.Parent != "" {
		return links.attach(ep, nil, ns), nil
	}
	mk, err := m.readMark(networkOf(ep))
	if err != nil {
		return plan.Plan{}, err
	}
	if mk == nil || !mk.Ready {
		return plan.Plan{}, fmt.Errorf("attaching %s: network %s is not up", ep.ContainerName, ep.NetworkName)
	}
	changed := ep.settleOn(mk)
	if ep.publishes() && ep.Prefix != mk.Prefix {
		// Every network went down since Reserve, and the chains have another
		// name now. What is on record must be what will be added.
		ep.publish(mk.Prefix)
		changed = true
	}
	if changed {
		if err := m.save(ep); err != nil {
			return plan.Plan{}, err
		}
	}
	return links.attach(ep, mk, ns), nil
}

// attachPlan orders the steps so that the container is announced once it can
// answer, and published once it is connected.
func (m *Manager) attachPlan(ep *Endpoint, mk *mark, ns *os.File) plan.Plan {
	c := &container{ep: ep, ns: ns}
	p := plan.Plan{Title: "attach " + ep.ContainerName + " to network " + ep.NetworkName}
	c.begin(&p)
	p.Add(c.stepVeth(m, mk), c.stepTag(mk))
	if ep.Isolated {
		p.Add(c.stepHandOver(mk))
	}
	p.Add(c.stepAddresses()...)
	p.Add(c.stepUp(m, mk))
	p.Add(c.stepRoutes()...)
	p.Add(m.publishSteps(ep)...)
	return c.closedAfter(p)
}

// publishSteps open a connected container's ports.
func (m *Manager) publishSteps(ep *Endpoint) (steps []plan.Step) {
	if len(ep.Rules) > 0 {
		steps = append(steps, m.stepPublish(ep))
	}
	if len(ep.udpPorts()) > 0 {
		steps = append(steps, stepFlush(ep.udpPorts()))
	}
	return append(steps, stepServe6(&Endpoint{}, ep)...)
}

func (c *container) stepVeth(m *Manager, mk *mark) plan.Step {
	ep := c.ep
	v := vethPair{
		Host: ep.HostLink, Peer: ep.Interface, HostMAC: ep.hostMAC(), PeerMAC: net.HardwareAddr(ep.MAC),
		MTU: mk.MTU, Master: mk.Index,
	}
	mtu := fmt.Sprint(v.MTU)
	return plan.Step{
		Name: "lay a cable from " + mk.Bridge + " to the container's " + ep.Interface,
		Why:  "A veth pair: what enters one end leaves the other. One end is born on the bridge, the other inside the container, which is far quicker than moving it there.",
		Cmds: []string{plan.Command("ip", "link", "add", "name", v.Host, "address", v.HostMAC.String(), "mtu", mtu, "master", mk.Bridge, "up",
			"type", "veth", "peer", "name", v.Peer, "address", v.PeerMAC.String(), "mtu", mtu, "netns", ep.NamespaceName())},
		Do: func(context.Context) error {
			v.Master = mk.Index // a repair may have made the bridge anew
			return c.lay(m, v)
		},
		Undo: func(context.Context) error { return m.DeleteLink(ep) },
	}
}

// lay makes the container's cable.
func (c *container) lay(m *Manager, v vethPair) error {
	v.PeerNS = int(c.ns.Fd())
	err := addVeth(v)
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	// The pair of the container's last life, with the same random part.
	if err := m.DeleteLink(c.ep); err != nil {
		return err
	}
	return addVeth(v)
}

func (c *container) stepTag(mk *mark) plan.Step {
	ep, quiet := c.ep, mk.mayHaveIPv6()
	slave := []string{"ip", "link", "set", "dev", ep.HostLink, "type", "bridge_slave", "hairpin", "on"}
	why := "The alias says whose it is. Hairpin mode lets a container reach its own published port: the packet leaves the bridge where it came in."
	if ep.Isolated {
		slave = append(slave, "isolated", "on")
		why += " The bridge passes nothing between isolated ports: the network is without communication between its containers."
	}
	step := plan.Step{
		Name: "tag " + ep.HostLink + " and let it talk to itself", Why: why,
		Cmds: []string{plan.Command("ip", "link", "set", "dev", ep.HostLink, "alias", ep.alias()), plan.Command(slave...)},
		Do: func(context.Context) error {
			return tagPort(bridgePort{Name: ep.HostLink, Alias: ep.alias(), Isolated: ep.Isolated, Quiet: quiet})
		},
	}
	if quiet {
		step.Why += " The port needs no IPv6 address of its own."
		step.Cmds = append(step.Cmds, plan.Command("ip", "link", "set", "dev", ep.HostLink, "addrgenmode", "none"))
	}
	return step
}

// stepAddresses gives a step for the address of each family.
func (c *container) stepAddresses() []plan.Step {
	var steps []plan.Step
	for _, at := range c.ep.places() {
		steps = append(steps, c.stepAddress(at))
	}
	return steps
}

func (c *container) stepAddress(at place) plan.Step {
	ep, addr := c.ep, netip.PrefixFrom(at.ip, at.bits)
	step := plan.Step{
		Name: "give the container the address " + addr.String(),
		Why:  "It was taken from the network's pool, and is on record as this container's.",
		Cmds: []string{c.inside(addressWords(addr, ep.Interface)...)},
		Do: func(context.Context) (err error) {
			if c.link, err = c.nl.LinkByName(ep.Interface); err != nil {
				return linkErr("looking in the container for", ep.Interface, err)
			}
			return setAddress(c.nl, c.link, at.ip, at.bits)
		},
	}
	if at.v6 {
		step.Why += " So nobody else has it: without nodad the kernel would ask for a second, and not use it meanwhile."
	}
	return step
}

func (c *container) stepUp(m *Manager, mk *mark) plan.Step {
	name, mac := c.ep.Interface, net.HardwareAddr(c.ep.MAC)
	return plan.Step{
		Name: "switch the container's " + name + " on",
		Why:  "The address came first, so that the link can announce it now. The port of the bridge listens a moment later: setting the MAC address to what it is announces it again, to whoever knows a former owner of the address.",
		Cmds: []string{c.inside("link", "set", "dev", name, "up"), c.inside("link", "set", "dev", name, "address", mac.String())},
		Do: func(context.Context) error {
			if err := c.nl.LinkSetUp(c.link); err != nil {
				return linkErr("switching on the container's", name, err)
			}
			if err := c.settle(m, mk); err != nil {
				return err
			}
			return linkErr("announcing the address of the container's", name, c.nl.LinkSetHardwareAddr(c.link, mac))
		},
	}
}

func (ep *Endpoint) whyRoute(v6 bool) string {
	way, why := "The bridge's address is the way to the world. ", ep.routeWhy
	if ep.Driver == DriverPtp {
		way = "The host's end of the cable is the way to the world. "
	}
	if v6 {
		why = ep.routeWhy6
	}
	return strings.TrimSpace(way + why)
}

// stepRoutes gives a step for the default route of each family that is by this
// network.
func (c *container) stepRoutes() []plan.Step {
	var steps []plan.Step
	for _, at := range c.ep.places() {
		if at.route {
			steps = append(steps, c.stepRoute(at))
		}
	}
	return steps
}

func (c *container) stepRoute(at place) plan.Step {
	ep := c.ep
	return plan.Step{
		Name: "route everything else through " + at.gateway.String(),
		Why:  ep.whyRoute(at.v6),
		Cmds: []string{c.inside(routeWords("add", at, ep.Interface)...)},
		Do: func(context.Context) error {
			r := &netlink.Route{LinkIndex: c.link.Attrs().Index, Gw: at.gateway.AsSlice()}
			return linkErr("adding the default route to", ep.Interface, c.nl.RouteAdd(r))
		},
	}
}

// routeWords are those of ip-route(8) about the default route of a family.
func routeWords(verb string, at place, link string) []string {
	words := []string{"route", verb, "default", "via", at.gateway.String(), "dev", link}
	if at.v6 {
		return append([]string{"-6"}, words...)
	}
	return words
}

const whyPublish = "What arrives for the host's port is sent on to the container. A socket of mini already holds the port, so that no other program can take it."

// stepPublish adds the rules of all ports with one program run.
func (m *Manager) stepPublish(ep *Endpoint) plan.Step {
	step := plan.Step{
		Name: "publish " + ep.portsText(),
		Why:  whyPublish,
		Do:   func(ctx context.Context) error { return m.publish(ctx, ep) },
		Undo: func(ctx context.Context) error { return m.fw().RemoveAll(ctx, ep.Rules) },
	}
	if len(ep.Ports) == 0 {
		step.Why = "The network is routed: what has a route to the container and comes for one of these ports may pass."
	}
	for _, r := range ep.Rules {
		step.Cmds = append(step.Cmds, m.fw().AddCommand(r))
	}
	return step
}

func portList(ports []port.Mapping) string {
	text := ports[0].String()
	if len(ports) > 1 {
		text += fmt.Sprintf(" and %d more", len(ports)-1)
	}
	return text
}

// stepFlush makes the kernel forget UDP flows to the host ports. UDP has no
// connection: a client that goes on sending keeps an old flow alive, and with
// it the decision that was taken before the rules changed.
func stepFlush(ports []port.Mapping) plan.Step {
	step := plan.Step{
		Name: "forget old UDP flows",
		Why:  "Connection tracking remembers where a client's packets went before the rules changed, and would keep sending them there.",
		Do:   func(context.Context) error { return flushUDP(ports) },
	}
	for _, p := range port.Split(ports) {
		step.Cmds = append(step.Cmds, flushCommand(p))
	}
	return step
}
