package network

import (
	"context"

	"github.com/minirt/mini/plan"
)

// remakeSteps make the bridge again, or put back what it lacks, and say so on
// record: later steps need the number of the link.
func (m *Manager) remakeSteps(n *Network, mk *mark) []plan.Step {
	steps := m.nets(n).up(n, mk)
	last := &steps[len(steps)-1]
	do := last.Do
	last.Do = func(ctx context.Context) error {
		if err := do(ctx); err != nil {
			return err
		}
		return m.markReady(n, mk)
	}
	return steps
}

// replugSteps plug the cables of containers in again that hang loose, because
// somebody deleted the bridge or unplugged them, and put back what ports have lost.
func (m *Manager) replugSteps(n *Network, mk *mark) ([]plan.Step, error) {
	if n.Driver == DriverPtp {
		return m.ptpReplug(n, mk)
	}
	eps, err := m.Endpoints(n)
	if err != nil || len(eps) == 0 {
		return nil, err
	}
	h, err := m.host()
	if err != nil {
		return nil, err
	}
	bridge, err := findLink(h, mk.Bridge)
	if err != nil {
		return nil, err
	}
	told, err := toldMACs(h)
	if err != nil {
		return nil, err
	}
	var steps []plan.Step
	for _, ep := range eps {
		link, err := findLink(h, ep.HostLink)
		if err != nil {
			return nil, err
		}
		if link == nil || !ep.owns(link) {
			continue // it is only about to connect, or Doctor's to lay anew
		}
		more, err := m.replugPort(&ep, mk, cabled{link, bridge, told})
		if err != nil {
			return nil, err
		}
		steps = append(steps, more...)
	}
	return steps, nil
}

// replugPort gives what one cable needs. at.bridge is nil when that is gone.
func (m *Manager) replugPort(ep *Endpoint, mk *mark, at cabled) ([]plan.Step, error) {
	c := &container{ep: ep}
	if at.bridge == nil || at.host.Attrs().MasterIndex != at.bridge.Attrs().Index {
		return append([]plan.Step{m.stepPlug(ep, mk)}, portSteps(c, mk)...), nil
	}
	if at.host.Attrs().Alias == "" {
		return nil, nil // it is only about to be connected
	}
	h, err := m.host()
	if err != nil {
		return nil, err
	}
	gaps, err := c.portGaps(h, mk, at)
	var p plan.Plan
	for _, g := range gaps {
		if !isPlanned(p, g.step) { // one step puts several things back
			p.Add(g.step)
		}
	}
	return p.Steps, err
}

// stepPlug makes the host's end of a cable a port of the bridge.
func (m *Manager) stepPlug(ep *Endpoint, mk *mark) plan.Step {
	return plan.Step{
		Name: "plug " + ep.HostLink + " into " + mk.Bridge,
		Why:  "The bridge joins the containers of network " + ep.NetworkName + ". A port that was unplugged has lost its settings, too.",
		Cmds: []string{plan.Command("ip", "link", "set", "dev", ep.HostLink, "master", mk.Bridge)},
		Do: func(context.Context) error {
			h, err := m.host()
			if err != nil {
				return err
			}
			link, err := h.LinkByName(ep.HostLink)
			if err != nil {
				return linkErr("looking for", ep.HostLink, err)
			}
			bridge, err := h.LinkByName(mk.Bridge)
			if err != nil {
				return linkErr("looking for bridge", mk.Bridge, err)
			}
			return linkErr("plugging in", ep.HostLink, h.LinkSetMasterByIndex(link, bridge.Attrs().Index))
		},
	}
}

// portSteps set what is set on a port of the bridge after its birth.
func portSteps(c *container, mk *mark) []plan.Step {
	steps := []plan.Step{c.stepTag(mk)}
	if c.ep.Isolated {
		step := c.stepHandOver(mk)
		// By hand it may be there already, and lead to a bridge that is gone.
		step.Cmds = append([]string{plan.Command("tc", "qdisc", "del", "dev", c.ep.HostLink, "clsact") + " 2>/dev/null || true"}, step.Cmds...)
		steps = append(steps, step)
	}
	return steps
}
