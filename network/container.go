package network

import (
	"context"
	"os"

	"github.com/vishvananda/netlink"

	"github.com/minirt/mini/network/netns"
	"github.com/minirt/mini/plan"
)

// container is the side of the plan that acts inside the namespace, through a
// netlink socket that stays open from the first such step to the last.
type container struct {
	ep   *Endpoint
	ns   *os.File
	nl   *netlink.Handle
	link netlink.Link
}

func (c *container) close() {
	if c.nl != nil {
		c.nl.Close()
		c.nl = nil
	}
}

// inside prints a command that is run in the container's namespace.
func (c *container) inside(words ...string) string {
	return plan.Command(append([]string{"ip", "-n", c.ep.NamespaceName()}, words...)...)
}

func stepNamespace(ep *Endpoint) plan.Step {
	return plan.Step{
		Name: "make the container's network namespace",
		Why:  "It has links, addresses, routes and rules of its own. The container's first process is born in it with clone(CLONE_NEWNET); by hand it gets a name.",
		Cmds: []string{plan.Command("ip", "netns", "add", ep.NamespaceName())},
	}
}

// setting is the key and the value of a sysctl.
type setting [2]string

// onLinks6 are the settings of a container's link with IPv6.
var onLinks6 = []setting{{"accept_ra", "0"}, {"accept_dad", "0"}, {"ndisc_notify", "1"}}

// forLinks gives the defaults for the endpoint's link, which is yet to be born, and
// the reason.
func (ep *Endpoint) forLinks() (why string, settings []setting) {
	settings = []setting{{"net.ipv4.conf.default.arp_notify", "1"}}
	why = "arp_notify makes the link announce its address when it comes up, so that neighbours forget a former owner of the address."
	const conf = "net.ipv6.conf.default."
	switch {
	case ep.IP6.IsValid():
		why += " ndisc_notify does so for IPv6. The address is mini's to choose: the link takes none from a router's advertisements, and asks nobody whether its own are in use."
		settings = append(settings, setting{conf + "disable_ipv6", "0"})
		for _, s := range onLinks6 {
			settings = append(settings, setting{conf + s[0], s[1]})
		}
	case hasIPv6():
		settings = append(settings, setting{conf + "disable_ipv6", "1"})
		why += " The network has no IPv6, so the link gets no IPv6 address that no rule guards."
	}
	return why, settings
}

// forUsers gives what a namespace of its own makes harmless, and the reason,
// see ip-sysctl in the kernel's documentation.
func forUsers() (why string, settings []setting) {
	return "Whoever the program runs as may bind a port below 1024 and ping: these are not the host's ports.", []setting{
		{"net.ipv4.ip_unprivileged_port_start", "0"}, {"net.ipv4.ping_group_range", "0 2147483647"},
	}
}

// stepPrepare sets sysctls of the namespace.
func (c *container) stepPrepare(why string, settings []setting) plan.Step {
	step := plan.Step{
		Name: "set the container's network sysctls", Why: why,
		Do: func(context.Context) (err error) {
			c.nl, err = netns.Open(c.ns, func() error {
				for _, s := range settings {
					if err := writeSysctl(s[0], s[1]); err != nil {
						return err
					}
				}
				return nil
			})
			return err
		},
		Undo: func(context.Context) error { c.close(); return nil },
	}
	for _, s := range settings {
		step.Cmds = append(step.Cmds, plan.Command("ip", "netns", "exec", c.ep.NamespaceName())+" "+sysctlCommand(s[0], s[1]))
	}
	return step
}

func (c *container) stepLoopback() plan.Step {
	return plan.Step{
		Name: "switch lo on", Why: "A new namespace has a loopback link, but it is off.",
		Cmds: []string{c.inside("link", "set", "dev", "lo", "up")},
		Do:   func(context.Context) error { return loopbackUp(c.nl) },
	}
}

func loopbackUp(h *netlink.Handle) error {
	// lo has index 1 in every namespace: LOOPBACK_IFINDEX in the kernel.
	lo := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Name: "lo", Index: 1}}
	return linkErr("switching on", "lo", h.LinkSetUp(lo))
}

// begin makes the namespace ready for a link.
func (c *container) begin(p *plan.Plan) {
	why, links := c.ep.forLinks()
	if first := c.ep.Interface == "eth0"; !first {
		p.Add(c.stepPrepare(why, links)) // the namespace is there, and lo is on
		return
	}
	whyUsers, users := forUsers()
	p.Add(stepNamespace(c.ep), c.stepPrepare(why+" "+whyUsers, append(links, users...)), c.stepLoopback())
}

// closedAfter closes the netlink socket after the last step.
func (c *container) closedAfter(p plan.Plan) plan.Plan {
	last := &p.Steps[len(p.Steps)-1]
	do := last.Do
	last.Do = func(ctx context.Context) error {
		defer c.close()
		return do(ctx)
	}
	return p
}

// LoopbackPlan gives the steps that a container without a network needs.
func (m *Manager) LoopbackPlan(name string, ns *os.File) plan.Plan {
	c := &container{ep: &Endpoint{ContainerName: name}, ns: ns}
	p := plan.Plan{Title: "give " + name + " a loopback link"}
	p.Add(stepNamespace(c.ep), c.stepPrepare(forUsers()), c.stepLoopback())
	return c.closedAfter(p)
}
