package network

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/plan"
)

// UpPlan gives the complete plan that brings a network up on a host where
// nothing of it exists. Computing it changes nothing.
func (m *Manager) UpPlan(n *Network) (plan.Plan, error) {
	if !n.HasRules() {
		return plan.Plan{Title: "bring network " + n.Name + " up"}, nil
	}
	prefix, err := m.prefix(n.ruleFamilies())
	if err != nil {
		return plan.Plan{}, err
	}
	mk, err := m.layout(n, prefix)
	if err != nil {
		return plan.Plan{}, err
	}
	return m.upPlan(n, mk, chainState{}), nil
}

// upPlan orders the steps so that the bridge opens last: first forwarding, then
// the rules that guard it, then the link. The chains that all networks share are
// part of it where they are not up.
func (m *Manager) upPlan(n *Network, mk *mark, chains chainState) plan.Plan {
	p := plan.Plan{Title: "bring network " + n.Name + " up"}
	p.Add(m.forwardSteps(n)...)
	rules := &ruleSteps{m: m}
	for _, v6 := range n.ruleFamilies() {
		if chains.up(v6) {
			continue
		}
		set := firewall.Base(mk.Prefix, m.owner, v6)
		p.Add(rules.chains(set.Chains))
		user := len(set.Rules) - 1 // its place is before the jump to our chains
		for _, r := range set.Rules[:user] {
			p.Add(rules.rule(r))
		}
		p.Add(rules.userJump(set.Rules[user], set.Rules[user-1].Rule))
	}
	for _, r := range firewall.Bridge(n.rules(mk)) {
		p.Add(rules.rule(r))
	}
	p.Add(m.nets(n).up(n, mk)...)
	return p
}

// linkSteps make the bridge and open it.
func (m *Manager) linkSteps(n *Network, mk *mark) []plan.Step {
	if mk.Found != nil {
		return m.adoptSteps(n, mk)
	}
	steps := slices.Concat([]plan.Step{m.stepBridge(n, mk)}, n.stepNoIPv4(mk), n.stepIPv6(mk))
	for _, a := range n.bridgeAddresses(mk) {
		steps = append(steps, m.stepGateway(mk, a))
	}
	if n.translates() {
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

func (m *Manager) stepBridge(n *Network, mk *mark) plan.Step {
	mac := macFor(n.mainGateway())
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

func (m *Manager) stepGateway(mk *mark, a netip.Prefix) plan.Step {
	step := plan.Step{
		Name: "give " + mk.Bridge + " the address " + a.String(),
		Why:  "It is the gateway of the containers, and makes the host a member of their network.",
		Cmds: []string{plan.Command(append([]string{"ip"}, addressWords(a, mk.Bridge)...)...)},
		Do: func(context.Context) error {
			h, err := m.host()
			if err != nil {
				return err
			}
			link, err := h.LinkByName(mk.Bridge)
			if err != nil {
				return linkErr("looking for bridge", mk.Bridge, err)
			}
			return setAddress(h, link, a.Addr(), a.Bits())
		},
	}
	if a.Addr().Is6() {
		step.Why += " Nobody else can have it, so that the kernel need not ask: nodad."
	}
	return step
}

func stepLocalnet(mk *mark) plan.Step {
	key := linkKey("ipv4", mk.Bridge, "route_localnet")
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
