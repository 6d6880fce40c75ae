package network

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/netns"
	"github.com/minirt/mini/plan"
)

// checkInside looks at the container's own end.
func (p *wired) checkInside() error {
	h, err := netns.Open(p.c.ns, nil)
	if err != nil {
		return err
	}
	defer h.Close()
	link, err := findLink(h, p.ep.Interface)
	if err != nil {
		return err
	}
	if link == nil {
		p.d.foreign(Wrong, p.subject(), "it has no "+p.ep.Interface, "somebody renamed or moved its end of the cable: restart it",
			plan.Command("mini", "restart", p.ep.ContainerName))
		return nil
	}
	var gaps []gap
	look := p.bridgeInside
	if p.w.n.Driver == DriverPtp {
		look = p.ptpInside
	}
	for _, look := range []func(*netlink.Handle, netlink.Link) ([]gap, error){p.settingsInside, look, p.missingRoutes} {
		more, err := look(h, link)
		if err != nil {
			return err
		}
		gaps = append(gaps, more...)
	}
	p.addGaps("its "+p.ep.Interface, "it reaches nobody, or not the world", gaps)
	return nil
}

// missingRoutes looks for the default routes.
func (p *wired) missingRoutes(h *netlink.Handle, link netlink.Link) (gaps []gap, err error) {
	for _, at := range p.ep.places() {
		if !at.route {
			continue
		}
		routed, err := hasDefault(h, link, familyOf(at.gateway))
		if err != nil {
			return nil, err
		}
		if !routed {
			gaps = append(gaps, gap{what: "has no default route by " + at.gateway.String(), step: p.c.stepRoute(at), family: familyOf(at.ip)})
		}
	}
	return gaps, nil
}

func (p *wired) bridgeInside(h *netlink.Handle, link netlink.Link) (gaps []gap, err error) {
	for _, at := range p.ep.places() {
		has, err := hasAddress(h, link, netip.PrefixFrom(at.ip, at.bits))
		if err != nil {
			return nil, err
		}
		if !has {
			gaps = append(gaps, gap{what: "has lost the address " + at.ip.String(), step: p.c.stepAddress(at), family: familyOf(at.ip)})
		}
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		gaps = append(gaps, gap{what: "is down", step: p.c.stepUp(p.d.m, p.w.mk)})
	}
	return gaps, nil
}

func hasDefault(h *netlink.Handle, link netlink.Link, family int) (bool, error) {
	routes, err := listRoutes(h, family, &netlink.Route{Table: unix.RT_TABLE_MAIN, LinkIndex: link.Attrs().Index},
		netlink.RT_FILTER_TABLE|netlink.RT_FILTER_OIF)
	if err != nil {
		return false, linkErr("listing the container's routes of", link.Attrs().Name, err)
	}
	for _, r := range routes {
		if ones, _ := maskOf(r.Dst); ones == 0 {
			return true, nil
		}
	}
	return false, nil
}

func maskOf(n *net.IPNet) (ones, bits int) {
	if n == nil {
		return 0, 32
	}
	return n.Mask.Size()
}

// settingsInside looks at what comes before addresses: a link whose MTU is too small
// for IPv6 has none, nor has one where it is switched off.
func (p *wired) settingsInside(_ *netlink.Handle, link netlink.Link) (gaps []gap, err error) {
	if mtu := link.Attrs().MTU; mtu != p.w.mk.MTU {
		gaps = append(gaps, gap{what: fmt.Sprintf("has the MTU %d, not %d", mtu, p.w.mk.MTU), step: p.c.stepMTU(p.w.mk), family: unix.AF_INET6})
	}
	if !p.ep.IP6.IsValid() {
		return gaps, nil
	}
	on, err := p.c.hasIPv6On(p.ep.Interface)
	if err == nil && !on {
		gaps = append(gaps, gap{what: "is without IPv6", step: p.c.stepIPv6On(p.ep.Interface), family: unix.AF_INET6})
	}
	return gaps, err
}

// hasIPv6On looks at a link of the container.
func (c *container) hasIPv6On(link string) (on bool, err error) {
	err = netns.Do(c.ns, func() error {
		on = sysctlIs(linkKey("ipv6", link, "disable_ipv6"), "0")
		return nil
	})
	return on, err
}

func (c *container) stepMTU(mk *mark) plan.Step {
	name := c.ep.Interface
	return plan.Step{
		Name: "give the container's " + name + " its MTU", Why: "It is that of the network. Below 1280 a link has no IPv6.",
		Cmds: []string{c.inside("link", "set", "dev", name, "mtu", fmt.Sprint(mk.MTU))},
		Do: func(context.Context) error {
			return linkErr("changing the MTU of the container's", name, c.nl.LinkSetMTU(c.link, mk.MTU))
		},
	}
}

// stepIPv6On switches IPv6 on for one link: others of the container's may be on
// networks without it.
func (c *container) stepIPv6On(link string) plan.Step {
	var settings []setting
	if link != "lo" {
		for _, s := range onLinks6 {
			settings = append(settings, setting{linkKey("ipv6", link, s[0]), s[1]})
		}
	}
	settings = append(settings, setting{linkKey("ipv6", link, "disable_ipv6"), "0"}) // the link gets addresses at once
	return c.stepSysctls("let the container's "+link+" have IPv6", "It is switched off, or was while the MTU was too small for it.", settings)
}

// stepDefaults sets what a new link is born with.
func (c *container) stepDefaults() plan.Step {
	why, settings := c.ep.forLinks()
	return c.stepSysctls("set the container's network sysctls for "+c.ep.Interface, why, settings)
}

// stepSysctls sets sysctls of a namespace that lives already.
func (c *container) stepSysctls(name, why string, settings []setting) plan.Step {
	step := plan.Step{
		Name: name, Why: why,
		Do: func(context.Context) error {
			return netns.Do(c.ns, func() error {
				for _, s := range settings {
					if err := writeSysctl(s[0], s[1]); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	for _, s := range settings {
		step.Cmds = append(step.Cmds, plan.Command("ip", "netns", "exec", c.ep.NamespaceName())+" "+sysctlCommand(s[0], s[1]))
	}
	return step
}
