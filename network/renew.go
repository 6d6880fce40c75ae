package network

import (
	"context"
	"slices"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/plan"
)

// A mini that was updated while networks are up finds other rules on record than
// it makes. It swaps them in the way a move does, to chains of the same prefix.
// Until that is over, the records name the rules of both, so that a crash loses
// none; they differ from what mini makes then, too, and it is done again.

// outdated tells whether rules that are up are those of another version of mini.
func (m *Manager) outdated(s chainState) (bool, error) {
	if !s.anyUp() || s.Moving {
		return false, nil
	}
	if !sameRules(s.standing(s.Rules), s.bases(m.owner).Rules) {
		return true, nil
	}
	nets, err := m.stored()
	if err != nil {
		return false, err
	}
	for _, n := range nets {
		mk, err := m.readMark(n)
		if err != nil {
			return false, err
		}
		if mk != nil && mk.Ready && !sameRules(mk.Rules, firewall.Bridge(n.rules(mk))) {
			return true, nil
		}
	}
	return false, nil
}

// sameRules compares rules on record with those that mini makes.
func sameRules(have []firewall.Rule, want []firewall.Noted) bool {
	return len(have) == len(want) && !slices.ContainsFunc(want, func(r firewall.Noted) bool { return !containsRule(have, r.Rule) })
}

// renew brings rules of another version up to date. The caller holds networks.lock.
func (m *Manager) renew(ctx context.Context, s chainState, observe plan.Observer) error {
	old, err := m.outdated(s)
	if !old || err != nil {
		return err
	}
	p, err := m.renewPlan(s)
	if err != nil {
		return err
	}
	return p.Run(ctx, observe)
}

func (m *Manager) renewPlan(s chainState) (plan.Plan, error) {
	p := plan.Plan{Title: "bring mini's rules up to date"}
	v, err := m.planMoveTo(s, s.Prefix)
	if err != nil {
		return p, err
	}
	record := plan.Step{
		Name: "record which rules mini will have", Why: "Those of now are of another version of mini. The records name both until the change is over.",
		Do: func(context.Context) error { return v.writeBoth(v.drop) },
	}
	swap := v.stepSwap()
	swap.Name, swap.Why = "swap mini's rules", "In one transaction for each table: no packet goes without them."
	p.Add(record, stepChains(m.fw(), v.chains()), swap, v.stepForget())
	return p, nil
}

// stepForget deletes chains that are out of use, and ends the change.
func (v *move) stepForget() plan.Step {
	old := slices.DeleteFunc(slices.Clone(v.before.Chains), func(c firewall.Chain) bool { return slices.Contains(v.after.Chains, c) })
	return plan.Step{
		Name: "take the rules of the other version off the record", Why: "They are gone, and so are chains that nothing uses any more.",
		Cmds: v.m.fw().DeleteChainCommands(old),
		Do: func(ctx context.Context) error {
			if _, err := v.m.fw().DeleteChains(ctx, old); err != nil {
				return err
			}
			v.m.opt.Notice("mini's rules were made by another version of mini: they are up to date now")
			return v.write(nil, false)
		},
	}
}

// checkVersion finds rules of another version of mini.
func (d *doctor) checkVersion() {
	old, err := d.m.outdated(d.shared)
	if !old || err != nil {
		return
	}
	d.add(NewFinding("the firewall", "its rules were made by another version of mini", "they lack what is new",
		plan.Step{
			Name: "bring mini's rules up to date", Why: "The next start would do it, too.",
			Cmds: []string{"mini network reload"},
			Do:   func(ctx context.Context) error { return d.m.moveAway(ctx, nil) },
		}))
}
