package network

import (
	"context"
	"errors"
	"slices"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/plan"
)

// Reload puts back what somebody took away from a network that is up: its
// bridge and the cables on it, the shared chains, its rules, and those of its containers.
// What is there stays as it is.
func (m *Manager) Reload(ctx context.Context, n *Network, observe plan.Observer) error {
	unlock, err := m.lockNetworks()
	if err != nil {
		return err
	}
	defer unlock()
	if err := m.moveAway(ctx, observe); err != nil {
		return err
	}
	mk, err := m.readMark(n)
	if mk == nil || !mk.Ready || err != nil {
		return err
	}
	if err := m.findAgain(n, mk); err != nil {
		return err
	}
	p, err := m.reloadPlan(ctx, n, mk)
	if err != nil {
		return err
	}
	if err := p.RunAll(ctx, observe); err != nil || m.jumpsStand(mk) {
		return err
	}
	// Somebody's rules stand above mini's.
	return m.repairUntilTheyStand(ctx, mk, observe)
}

func (m *Manager) reloadPlan(ctx context.Context, n *Network, mk *mark) (plan.Plan, error) {
	p := plan.Plan{Title: "reload network " + n.Name + ": what is there stays as it is"}
	eps, err := m.Endpoints(n)
	if err != nil {
		return p, err
	}
	chains, err := m.chainState()
	if err != nil {
		return p, err
	}
	repair, err := m.repairSteps(ctx, chains, nil)
	if err != nil {
		return p, err
	}
	replug, err := m.replugSteps(n, mk)
	if err != nil {
		return p, err
	}
	if n.HasIPv4() && !isOn(forward4) || n.HasIPv6() && !isOn(forward6) {
		p.Add(m.forwardSteps(n)...)
	}
	p.Add(repair...)
	if !m.jumpsStand(mk) {
		for _, v6 := range mk.ruleFamilies() {
			base := firewall.Base(mk.Prefix, m.owner, v6).Rules
			p.Add((&ruleSteps{m: m, tried: true}).userJump(base[len(base)-1], base[len(base)-2].Rule))
		}
	}
	well, err := m.isWell(ctx, n, mk)
	if err != nil {
		return p, err
	}
	if !well {
		p.Add(m.remakeSteps(n, mk)...)
	}
	p.Add(replug...)
	republish, err := m.republishSteps(ctx, eps)
	p.Add(republish...)
	return p, err
}

// isWell tells whether doctor finds nothing wrong with what a network has beside its
// rules and containers.
func (m *Manager) isWell(ctx context.Context, n *Network, mk *mark) (bool, error) {
	d, recorded := &doctor{m: m, ctx: ctx}, mk.Index
	var err error
	if d.h, err = m.host(); err != nil {
		return false, err
	}
	if d.links, err = dump(d.h.LinkList); err != nil {
		return false, linkErr("listing", "links", err)
	}
	if err := d.checkNetwork(&ward{n: n, mk: mk}); err != nil {
		return false, err
	}
	return mk.Index == recorded && !slices.ContainsFunc(d.found, isWrong), nil
}

// republishSteps are for containers that lack rules of their ports.
func (m *Manager) republishSteps(ctx context.Context, eps []Endpoint) (steps []plan.Step, err error) {
	var rules []firewall.Rule
	for _, ep := range eps {
		rules = append(rules, ep.Rules...)
	}
	if len(rules) == 0 {
		return nil, nil
	}
	listing, err := m.fw().Listing(ctx, firewall.NeedV6(nil, rules))
	if err != nil {
		return nil, err
	}
	for _, ep := range eps {
		if slices.ContainsFunc(ep.Rules, func(r firewall.Rule) bool { return !m.stands(listing, r) }) {
			steps = append(steps, m.stepRepublish(&ep))
		}
	}
	return steps, nil
}

// repairSteps gives the steps that put back what is missing of the shared chains
// and of the networks' rules, except skip: none when all is there. A rule that was
// put back alone would stand behind those that it must precede.
func (m *Manager) repairSteps(ctx context.Context, s chainState, skip []firewall.Rule) ([]plan.Step, error) {
	if !s.anyUp() {
		return nil, nil
	}
	rules, err := m.recorded(s)
	if err != nil {
		return nil, err
	}
	rules = slices.DeleteFunc(rules, func(r firewall.Rule) bool { return containsRule(skip, r) })
	drop, add, err := m.fw().Gaps(ctx, rules)
	if err != nil || len(add) == 0 {
		return nil, err
	}
	step := plan.Step{
		Name: "put missing rules back",
		Why:  "Somebody took them away. A chain that lacks one gets all of mini's anew, because their order decides.",
		Do:   func(ctx context.Context) error { return m.fw().Replace(ctx, drop, add) },
	}
	for _, r := range drop {
		step.Cmds = append(step.Cmds, m.fw().DeleteCommand(r))
	}
	for _, r := range add {
		step.Cmds = append(step.Cmds, m.fw().AddCommand(r))
	}
	return []plan.Step{stepChains(m.fw(), s.bases(m.owner).Chains), step}, nil
}

func containsRule(rules []firewall.Rule, r firewall.Rule) bool {
	return slices.ContainsFunc(rules, func(o firewall.Rule) bool {
		return o.Home() == r.Home() && slices.Equal(o.Spec, r.Spec)
	})
}

// stepRepublish puts the rules of a container back that are missing. The owner
// may have gone meanwhile: then they are taken away again.
func (m *Manager) stepRepublish(ep *Endpoint) plan.Step {
	step := m.stepPublish(ep)
	step.Undo = nil
	step.Do = func(ctx context.Context) error {
		_, add, err := m.fw().Gaps(ctx, ep.Rules)
		if err != nil || len(add) == 0 {
			return err
		}
		if err := m.noteRepublish(); err != nil {
			return err
		}
		var errs []error
		for _, r := range ep.Rules {
			_, err := m.fw().Ensure(ctx, r)
			errs = append(errs, err)
		}
		now, err := m.Endpoint(networkOf(ep), ep.ContainerID)
		if errors.Is(err, ErrNotFound) || (err == nil && now.ID != ep.ID) {
			return errors.Join(append(errs, m.fw().RemoveAll(ctx, ep.Rules))...)
		}
		return errors.Join(append(errs, err)...)
	}
	return step
}
