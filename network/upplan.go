package network

import (
	"context"
	"errors"
	"fmt"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/plan"
)

// UpPlan gives the complete plan that brings a network up on a host where
// nothing of it exists. Computing it changes nothing.
func (m *Manager) UpPlan(n *Network) (plan.Plan, error) {
	if n.Driver != DriverBridge {
		return plan.Plan{Title: "bring network " + n.Name + " up"}, nil
	}
	prefix, err := m.prefix()
	if err != nil {
		return plan.Plan{}, err
	}
	mk, err := m.layout(n, prefix)
	if err != nil {
		return plan.Plan{}, err
	}
	return m.upPlan(n, mk, true), nil
}

// upPlan orders the steps so that the bridge opens last: first forwarding, then
// the rules that guard it, then the link. Base says whether the chains that all
// networks share are part of it.
func (m *Manager) upPlan(n *Network, mk *mark, base bool) plan.Plan {
	p := plan.Plan{Title: "bring network " + n.Name + " up"}
	p.Add(stepForward())
	if base {
		set := firewall.Base(mk.Prefix, m.owner)
		p.Add(m.stepChains(set.Chains))
		user := len(set.Rules) - 1 // its place is before the jump to our chains
		for _, r := range set.Rules[:user] {
			p.Add(m.stepRule(r))
		}
		p.Add(m.stepUserJump(set.Rules[user], set.Rules[user-1].Rule))
	}
	for _, r := range firewall.Bridge(n.rules(mk)) {
		p.Add(m.stepRule(r))
	}
	p.Add(m.linkSteps(n, mk)...)
	return p
}

// linkSteps make the bridge and open it.
func (m *Manager) linkSteps(n *Network, mk *mark) []plan.Step {
	steps := []plan.Step{m.stepBridge(n, mk), m.stepGateway(n, mk)}
	if !n.Internal {
		steps = append(steps, stepLocalnet(mk))
	}
	return append(steps, m.stepBridgeUp(mk))
}

// stepForward has no undo: others may rely on forwarding by then.
func stepForward() plan.Step {
	return plan.Step{
		Name: "switch forwarding on",
		Why:  "The host routes packets between its containers and the world. It stays on when mini's networks are gone, because others may need it by then.",
		Cmds: []string{sysctlCommand("net.ipv4.ip_forward", "1")},
		Do: func(context.Context) error {
			_, err := setSysctl("net.ipv4.ip_forward", "1")
			return err
		},
	}
}

// stepChains makes all shared chains in one step; undo removes those that it
// made.
func (m *Manager) stepChains(chains []firewall.NotedChain) plan.Step {
	var made []firewall.Chain
	step := plan.Step{Name: "make mini's chains", Why: "Each has one task."}
	for _, c := range chains {
		step.Why += " " + c.Name + ": " + lowerFirst(c.Why)
		step.Cmds = append(step.Cmds, c.AddCommand())
	}
	step.Do = func(context.Context) error {
		for _, c := range chains {
			isNew, err := m.fw.EnsureChain(c.Chain)
			if err != nil {
				return err
			}
			if isNew {
				made = append(made, c.Chain)
			}
		}
		return nil
	}
	step.Undo = func(context.Context) error {
		var errs []error
		for _, c := range made {
			_, err := m.fw.DeleteChain(c)
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
	return step
}

func lowerFirst(s string) string { return string(s[0]|0x20) + s[1:] }

// stepRule adds one rule; undo removes it if it was added.
func (m *Manager) stepRule(r firewall.Noted) plan.Step {
	added := false
	return plan.Step{
		Name: r.Name, Why: r.Why, Cmds: []string{r.AddCommand()},
		Do: func(ctx context.Context) (err error) {
			added, err = m.fw.Ensure(ctx, r.Rule)
			return err
		},
		Undo: func(ctx context.Context) error {
			if !added {
				return nil
			}
			return m.fw.Remove(ctx, r.Rule)
		},
	}
}

// stepUserJump adds the jump to the administrator's chain. One that stayed since
// the last time, because that chain has rules, is moved above ours.
func (m *Manager) stepUserJump(r firewall.Noted, ours firewall.Rule) plan.Step {
	step, added := m.stepRule(r), false
	step.Do = func(ctx context.Context) (err error) {
		added, err = m.fw.EnsureAhead(ctx, r.Rule, ours)
		return err
	}
	step.Undo = func(ctx context.Context) error {
		if !added {
			return nil
		}
		return m.fw.Remove(ctx, r.Rule)
	}
	return step
}

func (m *Manager) stepBridge(n *Network, mk *mark) plan.Step {
	mac := macFor(n.Gateway)
	made := false
	return plan.Step{
		Name: "create bridge " + mk.Bridge,
		Why:  "It joins the containers of network " + n.Name + ". Its MAC address is pinned, or it would change with every port that comes and goes. The alias says whose it is.",
		Cmds: []string{
			plan.Command("ip", "link", "add", "name", mk.Bridge, "address", mac.String(), "mtu", fmt.Sprint(mk.MTU), "type", "bridge"),
			plan.Command("ip", "link", "set", "dev", mk.Bridge, "alias", n.alias()),
		},
		Do: func(context.Context) error {
			h, err := m.host()
			if err != nil {
				return err
			}
			made, err = ensureBridge(h, mk.Bridge, n.alias(), mac, mk.MTU)
			return err
		},
		Undo: func(context.Context) error {
			h, err := m.host()
			if err != nil || !made {
				return err
			}
			return deleteLink(h, mk.Bridge, n.owns)
		},
	}
}

func (m *Manager) stepGateway(n *Network, mk *mark) plan.Step {
	addr := fmt.Sprintf("%s/%d", n.Gateway, n.Subnet.Bits())
	return plan.Step{
		Name: "give " + mk.Bridge + " the address " + addr,
		Why:  "It is the gateway of the containers, and makes the host a member of their network.",
		Cmds: []string{plan.Command("ip", "address", "add", addr, "broadcast", "+", "dev", mk.Bridge)},
		Do: func(context.Context) error {
			h, err := m.host()
			if err != nil {
				return err
			}
			link, err := h.LinkByName(mk.Bridge)
			if err != nil {
				return linkErr("looking for bridge", mk.Bridge, err)
			}
			return setAddress(h, link, n.Gateway, n.Subnet.Bits())
		},
	}
}

func stepLocalnet(mk *mark) plan.Step {
	key := "net.ipv4.conf." + mk.Bridge + ".route_localnet"
	return plan.Step{
		Name: "let 127.0.0.1 reach " + mk.Bridge,
		Why:  "A connection to 127.0.0.1 and a published port is routed to the container with a loopback source address, which the kernel otherwise refuses. Only this bridge is opened.",
		Cmds: []string{sysctlCommand(key, "1")},
		Do: func(context.Context) error {
			_, err := setSysctl(key, "1")
			return err
		},
	}
}

func (m *Manager) stepBridgeUp(mk *mark) plan.Step {
	return plan.Step{
		Name: "switch " + mk.Bridge + " on",
		Why:  "All that guards it is in place.",
		Cmds: []string{plan.Command("ip", "link", "set", "dev", mk.Bridge, "up")},
		Do: func(context.Context) error {
			h, err := m.host()
			if err != nil {
				return err
			}
			link, err := h.LinkByName(mk.Bridge)
			if err != nil {
				return linkErr("looking for bridge", mk.Bridge, err)
			}
			return linkErr("switching on", mk.Bridge, h.LinkSetUp(link))
		},
	}
}
