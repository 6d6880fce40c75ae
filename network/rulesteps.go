package network

import (
	"context"
	"errors"
	"slices"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/plan"
)

// ruleSteps makes the steps that add chains and rules. Where none of them is
// there, which is the usual case, the first step to be done adds all of them in
// one transaction, and the others find their work done. After a crash, or beside
// what is there already, each step looks for its own.
type ruleSteps struct {
	m        *Manager
	noted    []firewall.NotedChain
	rules    []firewall.Rule
	tried    bool // to add all
	together bool // all were added
}

// wrap gives a step the chance to add all. If it did, it takes all back.
func (s *ruleSteps) wrap(step plan.Step) plan.Step {
	do, undo, first := step.Do, step.Undo, false
	var made []firewall.Chain
	step.Do = func(ctx context.Context) (err error) {
		if !s.tried {
			s.tried, first = true, true
			made, s.together, err = s.m.fw().AddTogether(ctx, s.chainList(), s.rules)
		}
		if s.together || err != nil {
			return err
		}
		return do(ctx)
	}
	step.Undo = func(ctx context.Context) error {
		switch {
		case !s.together:
			return undo(ctx)
		case first:
			return errors.Join(s.m.fw().RemoveAll(ctx, s.rules), deleteChains(s.m.fw(), made))
		}
		return nil
	}
	return step
}

func (s *ruleSteps) chainList() []firewall.Chain {
	chains := make([]firewall.Chain, len(s.noted))
	for i, c := range s.noted {
		chains[i] = c.Chain
	}
	return chains
}

// chains makes all chains in one step; undo removes those that it made.
func (s *ruleSteps) chains(noted []firewall.NotedChain) plan.Step {
	s.noted = append(s.noted, noted...)
	step := s.wrap(stepChains(s.m.fw(), noted))
	step.Why += " On a host without rules of mini's, those below are put in place in the same transaction."
	return step
}

// rule adds one rule; undo removes it if it was added.
func (s *ruleSteps) rule(r firewall.Noted) plan.Step {
	return s.step(r, func(ctx context.Context) (bool, error) { return s.m.fw().Ensure(ctx, r.Rule) })
}

// userJump adds the jump to the administrator's chain. One that stayed since
// the last time, because that chain has rules, is moved above ours.
func (s *ruleSteps) userJump(r firewall.Noted, ours firewall.Rule) plan.Step {
	return s.step(r, func(ctx context.Context) (bool, error) { return s.m.fw().EnsureAhead(ctx, r.Rule, ours) })
}

func (s *ruleSteps) step(r firewall.Noted, ensure func(context.Context) (added bool, err error)) plan.Step {
	s.rules = append(s.rules, r.Rule)
	added := false
	return s.wrap(plan.Step{
		Name: r.Name, Why: r.Why, Cmds: []string{s.m.fw().AddCommand(r.Rule)},
		Do: func(ctx context.Context) (err error) {
			added, err = ensure(ctx)
			return err
		},
		Undo: func(ctx context.Context) error {
			if !added {
				return nil
			}
			return s.m.fw().Remove(ctx, r.Rule)
		},
	})
}

// stepChains makes all shared chains in one step; undo removes those that it
// made.
func stepChains(fw ruleDriver, chains []firewall.NotedChain) plan.Step {
	var made []firewall.Chain
	step := plan.Step{Name: "make mini's chains", Why: "Each has one task."}
	if len(chains) > 0 && chains[0].V6 {
		step.Name += " for IPv6"
	}
	all := make([]firewall.Chain, len(chains))
	for i, c := range chains {
		step.Why += " " + c.Name + ": " + lowerFirst(c.Why)
		all[i] = c.Chain
	}
	step.Cmds = fw.AddChainCommands(all)
	step.Do = func(context.Context) error {
		for _, c := range chains {
			isNew, err := fw.EnsureChain(c.Chain)
			if err != nil {
				return err
			}
			if isNew {
				made = append(made, c.Chain)
			}
		}
		return nil
	}
	step.Undo = func(context.Context) error { return deleteChains(fw, made) }
	return step
}

func lowerFirst(s string) string { return string(s[0]|0x20) + s[1:] }

// deleteChains deletes chains, the last first.
func deleteChains(fw chainDriver, chains []firewall.Chain) error {
	var errs []error
	for _, c := range slices.Backward(chains) {
		_, err := fw.DeleteChain(c)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
