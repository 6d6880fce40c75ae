package network

import (
	"github.com/vishvananda/netlink"

	"github.com/minirt/mini/network/netns"
	"github.com/minirt/mini/plan"
)

// reconnect lays a new cable.
func (p *wired) reconnect() {
	p.addInside("its cable "+p.ep.HostLink+" is gone", "nobody reaches it", p.wiring())
}

// wiring lays a cable anew. The defaults of the namespace may be those of another
// network's link by now.
func (p *wired) wiring() (gaps []gap) {
	steps := []plan.Step{p.c.stepDefaults()}
	if p.w.n.Driver == DriverPtp {
		steps = append(steps, p.c.ptpSteps(p.d.m, p.w.mk)...)
	} else {
		steps = append(append(steps, p.c.stepVeth(p.d.m, p.w.mk)), portSteps(p.c, p.w.mk)...)
		steps = append(steps, p.c.stepAddresses()...)
		steps = append(steps, p.c.stepUp(p.d.m, p.w.mk))
		steps = append(steps, p.c.stepRoutes()...)
	}
	for _, s := range steps {
		gaps = append(gaps, gap{step: s})
	}
	return gaps
}

// isCable tells whether the link with the cable's name is the cable, whatever its
// alias says: it has the MAC address that mini gave it, and its other end is the
// container's interface.
func (p *wired) isCable() (bool, error) {
	a := p.host.Attrs()
	if p.host.Type() != "veth" || a.HardwareAddr.String() != p.ep.hostMAC().String() {
		return false, nil
	}
	h, err := netns.Open(p.c.ns, nil)
	if err != nil {
		return false, err
	}
	defer h.Close()
	inner, err := findLink(h, p.ep.Interface)
	if inner == nil || err != nil {
		return false, err
	}
	return inner.Attrs().ParentIndex == a.Index && a.ParentIndex == inner.Attrs().Index, nil
}

// notOurs is for a link of somebody else that has the cable's name. He may need it.
func (p *wired) notOurs() {
	name := p.ep.HostLink
	p.d.foreign(Wrong, p.subject(), "its cable "+name+" is gone, and somebody else's link has that name", "nobody reaches the container",
		plan.Command("ip", "link", "set", "dev", name, "down"), plan.Command("ip", "link", "set", "dev", name, "name", "x"+name[1:]), "mini doctor --fix")
}

func (d *doctor) stepAlias(ep *Endpoint) plan.Step {
	return d.stepLink("tag "+ep.HostLink, "The alias says whose it is.", ep.HostLink,
		func(l netlink.Link) error { return d.h.LinkSetAlias(l, ep.alias()) }, "alias", ep.alias())
}
