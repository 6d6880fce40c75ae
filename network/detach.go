package network

import (
	"context"
	"os"

	"github.com/minirt/mini/plan"
)

// DetachPlan gives the steps that disconnect a container that is dying: they
// are safe to repeat, and after a crash at any point. The veth pair mostly dies
// with the container's namespace; [Manager.DeleteLink] is for what is left.
func (m *Manager) DetachPlan(ep *Endpoint) plan.Plan {
	p := plan.Plan{Title: "detach " + ep.ContainerName + " from network " + ep.NetworkName}
	p.Add(m.links(ep.driver()).detach(ep)...)
	return m.unpublish(p, ep)
}

// DisconnectPlan is DetachPlan for a container that lives on, in the network
// namespace ns: its link is deleted.
func (m *Manager) DisconnectPlan(ep *Endpoint, ns *os.File) plan.Plan {
	p := plan.Plan{Title: "disconnect " + ep.ContainerName + " from network " + ep.NetworkName}
	p.Add(m.links(ep.driver()).disconnect(ep, ns)...)
	return m.unpublish(p, ep)
}

func (m *Manager) stepDeleteCable(ep *Endpoint) plan.Step {
	return plan.Step{
		Name: "delete " + ep.HostLink,
		Why:  "The container lives on: both ends of its cable go at once.",
		Cmds: []string{plan.Command("ip", "link", "delete", "dev", ep.HostLink)},
		Do:   func(context.Context) error { return m.DeleteLink(ep) },
	}
}

func (m *Manager) unpublish(p plan.Plan, ep *Endpoint) plan.Plan {
	if len(ep.Rules) > 0 {
		p.Add(m.stepDropRules("stop publishing "+ep.portsText(), "The container is gone. Exactly the rules on record are deleted.", ep.Rules))
	}
	if len(ep.udpPorts()) > 0 {
		p.Add(stepFlush(ep.udpPorts()))
	}
	return p
}

func (m *Manager) stepUnplug(ep *Endpoint) plan.Step {
	return plan.Step{
		Name: "unplug " + ep.HostLink + " from the bridge",
		Why:  "From now on no packet reaches the container. The cable itself dies with the container's namespace; waiting for that would take some 20 ms. One that is still there a moment later is deleted.",
		Cmds: []string{plan.Command("ip", "link", "set", "dev", ep.HostLink, "nomaster")},
		Do: func(context.Context) error {
			h, err := m.host()
			if err != nil {
				return err
			}
			link, err := findLink(h, ep.HostLink)
			if link == nil || err != nil {
				return err
			}
			if !ep.owns(link) {
				return nil
			}
			if err := h.LinkSetNoMaster(link); err != nil && !isNoLink(err) {
				return linkErr("unplugging", ep.HostLink, err)
			}
			return nil
		},
	}
}
