package network

import (
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/plan"
)

// wired is one running container on one network, while it is looked at.
type wired struct {
	d    *doctor
	w    *ward
	ep   *Endpoint
	pid  int
	c    *container
	host netlink.Link // its end of the cable, nil when it is gone
}

func (p *wired) subject() string { return "container " + p.ep.ContainerName }

// checkEndpoint looks at the cable, the addresses and the rules of a container.
// One that does not run is no patient: its owner's death is looked for elsewhere.
func (d *doctor) checkEndpoint(w *ward, ep *Endpoint) error {
	if d.who.Running == nil || !ep.HasAddress() {
		return nil
	}
	r := d.who.Running(ep.ContainerID)
	if r == nil {
		return nil
	}
	at := len(d.found)
	p := &wired{d: d, w: w, ep: ep, pid: r.Pid, c: &container{ep: ep, ns: r.Netns}, host: d.link(ep.HostLink)}
	if w.up() {
		if err := p.checkSelf(); err != nil {
			return err
		}
	}
	switch {
	case w.mk == nil:
		d.add(NewFinding(p.subject(), "its network "+w.n.Name+" is not up", "nobody reaches it", d.stepFinish(w)))
	case !w.up():
		return nil // finishing the network comes first
	case p.host == nil:
		p.reconnect()
	default:
		if err := p.checkBoth(); err != nil {
			return err
		}
	}
	d.checkPublished(p)
	d.fine(at, p.subject(), fmt.Sprintf("%s %s is connected to %s by %s", ep.Interface, joinAddrs(ep.Addresses()), w.n.Name, ep.HostLink))
	return nil
}

// checkBoth looks at both ends of the cable.
func (p *wired) checkBoth() error {
	if !p.ep.owns(p.host) {
		ours, err := p.isCable()
		if err != nil {
			return err
		}
		if !ours {
			p.notOurs()
			return nil
		}
		p.d.add(NewFinding(p.subject(), fmt.Sprintf("its cable %s has the alias %q, not mini's", p.ep.HostLink, p.host.Attrs().Alias), "the alias says whose it is", p.d.stepAlias(p.ep)))
	}
	if err := p.checkCable(); err != nil {
		return err
	}
	return p.checkInside()
}

// checkCable looks at the host's end.
func (p *wired) checkCable() error {
	a := p.host.Attrs()
	if mtu := p.w.mk.MTU; a.MTU != mtu {
		p.d.add(NewFinding(p.subject(), fmt.Sprintf("its cable %s has the MTU %d, not %d", a.Name, a.MTU, mtu), "large packets do not reach it",
			p.d.stepLink("give "+a.Name+" its MTU", "It is that of the network.", a.Name, func(l netlink.Link) error { return p.d.h.LinkSetMTU(l, mtu) }, "mtu", fmt.Sprint(mtu))))
	}
	if p.w.n.Driver == DriverPtp {
		return p.checkPtpCable()
	}
	bridge := p.d.link(p.w.mk.Bridge)
	if bridge == nil || a.MasterIndex != bridge.Attrs().Index {
		p.d.add(NewFinding(p.subject(), "its cable "+a.Name+" is not plugged into "+p.w.mk.Bridge, "nobody reaches it", append([]plan.Step{p.d.m.stepPlug(p.ep, p.w.mk)}, portSteps(p.c, p.w.mk)...)...))
	} else if err := p.checkPort(bridge); err != nil {
		return err
	}
	if a.Flags&net.FlagUp == 0 {
		p.d.add(NewFinding(p.subject(), "its cable "+a.Name+" is down", "nobody reaches it",
			p.d.stepLink("switch "+a.Name+" on", "It is the host's end of the cable.", a.Name, p.d.h.LinkSetUp, "up")))
	}
	return nil
}

// checkPort looks at what is set on the host's end as a port of the bridge.
func (p *wired) checkPort(bridge netlink.Link) error {
	if p.d.told == nil {
		told, err := toldMACs(p.d.h)
		if err != nil {
			return err
		}
		p.d.told = told
	}
	gaps, err := p.c.portGaps(p.d.h, p.w.mk, cabled{p.host, bridge, p.d.told})
	for _, g := range gaps {
		p.d.add(NewFinding(p.subject(), "the port "+p.ep.HostLink+" "+g.what, g.why, g.step))
	}
	return err
}

// checkPublished looks for the rules of a container's ports.
func (d *doctor) checkPublished(p *wired) {
	var missing []firewall.Rule
	for _, r := range p.ep.Rules {
		if !d.hasRule(r) {
			missing = append(missing, r)
		}
	}
	if len(missing) == 0 {
		return
	}
	step := d.m.stepRepublish(p.ep)
	step.Name += " for " + p.ep.ContainerName
	step.Cmds = nil
	for _, r := range missing {
		step.Cmds = append(step.Cmds, p.d.m.fw().AddCommand(r))
	}
	var steps []plan.Step
	for _, v6 := range bothFamilies {
		for _, table := range []string{"nat", "filter"} { // a routed network's are in filter
			if slices.ContainsFunc(missing, func(r firewall.Rule) bool { return r.Table == table && r.V6 == v6 }) {
				steps = append(steps, d.missingChains(table, v6)...)
			}
		}
	}
	steps = append(steps, step)
	d.add(NewFinding(p.subject(), fmt.Sprintf("%d of the %d rules of its published ports are gone", len(missing), len(p.ep.Rules)),
		"nobody reaches these ports", steps...))
}
