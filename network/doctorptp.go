package network

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"

	"github.com/minirt/mini/plan"
)

// gap is something that a link lacks, with the step that puts it back.
type gap struct {
	what, why string
	step      plan.Step
	// family says for which one it is, AF_INET or AF_INET6. Zero: for both.
	family int
}

// ptpGaps looks at the host's end of a cable. The steps are in an order in which
// they build on each other.
func (m *Manager) ptpGaps(ep *Endpoint, mk *mark, link netlink.Link) (gaps []gap, err error) {
	h, err := m.host()
	if err != nil {
		return nil, err
	}
	lack := func(what, why string, step plan.Step) { gaps = append(gaps, gap{what: what, why: why, step: step}) }
	for _, s := range ep.ptpSettings(mk) {
		if !sysctlIs(s.key, s.value) {
			lack("is without "+s.key+"="+s.value, s.harm, s.step())
		}
	}
	gaps = append(gaps, ep.forwardGaps()...)
	switch a := link.Attrs(); {
	case a.Flags&net.FlagUp == 0:
		lack("is down", "nobody reaches it", ep.stepPtpOn())
	case a.Alias == "":
		lack("has lost its tag", "the alias says whose it is", ep.stepPtpOn())
	}
	for _, at := range ep.places() {
		has, err := hasAddress(h, link, lone(at.gateway))
		if err != nil {
			return nil, err
		}
		if !has {
			lack("has lost the gateway's address "+at.gateway.String(), "the container does not find its gateway", m.stepPtpGateway(ep, at))
		}
		if has, err = hasRoute(h, link, lone(at.ip)); err != nil {
			return nil, err
		}
		if !has {
			lack("has lost the route to "+at.ip.String(), "nobody reaches the container", m.stepPtpRoute(ep, at))
		}
	}
	return gaps, nil
}

// forwardGaps looks at forwarding of what comes from the cable, for each family that
// the container has.
func (ep *Endpoint) forwardGaps() (gaps []gap) {
	for _, at := range ep.places() {
		if key, why := forwardKey(ep.HostLink, at.v6); !isOn(key) {
			gaps = append(gaps, gap{what: "is without " + key + "=1", why: why, step: stepSysctl(key)})
		}
	}
	return gaps
}

// checkPtp looks at what a ptp network has beside its cables and rules.
func (d *doctor) checkPtp(w *ward) error {
	at := len(d.found)
	for _, subnet := range w.mk.Held {
		held, err := d.m.isUnreachable(subnet.Addr())
		if err != nil {
			return err
		}
		if !held {
			d.add(NewFinding(w.subject(), "the host has lost the route that keeps "+subnet.String(),
				"packets for an address that no container has leave by the host's default route", d.m.stepHold(w.n, subnet)))
		}
	}
	d.checkClash(w)
	d.fine(at, w.subject(), w.n.subnets()+" is routed to the containers' cables, "+w.mk.Bridge)
	return nil
}

// checkPtpCable looks at the host's end.
func (p *wired) checkPtpCable() error {
	gaps, err := p.d.m.ptpGaps(p.ep, p.w.mk, p.host)
	for _, g := range gaps {
		p.d.add(NewFinding(p.subject(), "its cable "+p.ep.HostLink+" "+g.what, g.why, g.step))
	}
	return err
}

// ptpInside looks at the container's end.
func (p *wired) ptpInside(h *netlink.Handle, link netlink.Link) (gaps []gap, err error) {
	for _, at := range p.ep.places() {
		has, err := hasAddress(h, link, lone(at.ip))
		if err != nil {
			return nil, err
		}
		if !has {
			gaps = append(gaps, gap{what: "has lost the address " + at.ip.String(), step: p.c.stepPtpAddress(at), family: familyOf(at.ip)})
		}
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		gaps = append(gaps, gap{what: "is down", step: p.c.stepPtpUp(p.d.m, p.w.mk)})
	}
	for _, at := range p.ep.places() {
		for _, dst := range []netip.Prefix{lone(at.gateway), p.ep.subnet(at)} {
			has, err := hasRoute(h, link, dst)
			if err != nil {
				return nil, err
			}
			if !has {
				gaps = append(gaps, gap{what: "has no route to " + dst.String(), step: p.c.stepPtpRoutes(at), family: familyOf(at.ip)})
				break
			}
		}
	}
	return gaps, nil
}

// ptpReplug puts back what the host's ends of cables lack.
func (m *Manager) ptpReplug(n *Network, mk *mark) (steps []plan.Step, err error) {
	eps, err := m.Endpoints(n)
	if err != nil || len(eps) == 0 {
		return nil, err
	}
	h, err := m.host()
	if err != nil {
		return nil, err
	}
	for _, ep := range eps {
		link, err := findLink(h, ep.HostLink)
		if err != nil {
			return nil, err
		}
		// A link without its alias is only about to be connected.
		if link == nil || !ep.owns(link) || link.Attrs().Alias == "" {
			continue
		}
		gaps, err := m.ptpGaps(&ep, mk, link)
		if err != nil {
			return nil, err
		}
		for _, g := range gaps {
			steps = append(steps, g.step)
		}
	}
	return steps, nil
}
