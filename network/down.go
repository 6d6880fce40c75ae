package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/plan"
)

// Remove takes a network away for good. It fails when containers are on it.
func (m *Manager) Remove(ctx context.Context, n *Network, observe plan.Observer) error {
	if n.Predefined() {
		return errorf(ErrInvalid, "%s is a pre-defined network and cannot be removed", n.Name)
	}
	return m.whileUnused(n, func() error {
		if err := m.takeDown(ctx, n, observe); err != nil {
			return err
		}
		// The definition goes before the state: a crash in between leaves only
		// a directory on a tmpfs that nobody looks for.
		if err := ignoreMissing(os.Remove(m.defPath(n.Name))); err != nil {
			return fmt.Errorf("removing network %s: %w", n.Name, err)
		}
		return os.RemoveAll(m.netDir(n))
	})
}

// Down takes the bridge and the rules of an unused network away, and keeps its
// definition. The chains that all networks share go with the last one.
func (m *Manager) Down(ctx context.Context, n *Network, observe plan.Observer) error {
	if !n.HasRules() {
		return nil
	}
	return m.whileUnused(n, func() error { return m.takeDown(ctx, n, observe) })
}

// Prune removes the unused networks of users, except those that keep wants, and
// takes the default network down when it is unused. It gives the names removed.
func (m *Manager) Prune(ctx context.Context, keep func(*Network) bool, observe plan.Observer) (removed []string, err error) {
	nets, err := m.stored()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, n := range nets {
		switch {
		case n.Name == Bridge:
			err = m.Down(ctx, n, observe)
		case n.Predefined() || (keep != nil && keep(n)):
			continue
		default:
			if err = m.Remove(ctx, n, observe); err == nil {
				removed = append(removed, n.Name)
			}
		}
		// Somebody else may have removed it first.
		if err != nil && !errors.Is(err, ErrInUse) && !errors.Is(err, ErrNotFound) {
			errs = append(errs, err)
		}
	}
	return removed, errors.Join(errs...)
}

// whileUnused runs fn with the network's lock held against new endpoints.
func (m *Manager) whileUnused(n *Network, fn func() error) error {
	unlock, err := lock(m.netDir(n)+"/lock", unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := m.current(n); err != nil {
		return err
	}
	eps, err := m.Endpoints(n)
	if err != nil {
		return err
	}
	if len(eps) > 0 {
		return inUse(n, eps)
	}
	unlockAll, err := m.lockNetworks()
	if err != nil {
		return err
	}
	defer unlockAll()
	return fn()
}

func (m *Manager) takeDown(ctx context.Context, n *Network, observe plan.Observer) error {
	p, last, err := m.downPlan(n)
	if err != nil || len(p.Steps) == 0 {
		return err
	}
	if err := p.RunAll(ctx, observe); err != nil {
		return err
	}
	if err := ignoreMissing(os.Remove(m.markPath(n))); err != nil {
		return err
	}
	if last {
		return m.setStage("", bothFamilies...)
	}
	return nil
}

// DownPlan gives the steps that take a network's bridge and rules away. It is
// empty when the network is not up.
func (m *Manager) DownPlan(n *Network) (plan.Plan, error) {
	p, _, err := m.downPlan(n)
	return p, err
}

// downPlan says also whether the shared chains are part of it, because no
// other network is up.
func (m *Manager) downPlan(n *Network) (p plan.Plan, last bool, err error) {
	p.Title = "take network " + n.Name + " down"
	mk, err := m.readMark(n)
	if err != nil {
		return p, false, err
	}
	if mk == nil {
		p, err = m.leftPlan(p)
		return p, false, err
	}
	p.Add(m.nets(n).down(n, mk)...)
	p.Add(m.stepDropRules("remove the rules of network "+n.Name,
		"Exactly the rules on record, all tagged mini:"+n.tag()+".", mk.Rules))
	others, err := m.othersUp(n)
	if err != nil || others {
		return p, false, err
	}
	chains, err := m.chainState()
	if err != nil {
		return p, false, err
	}
	if chains.active() {
		keepUser, err := m.userRules(chains)
		if err != nil {
			return p, false, err
		}
		p.Add(m.stepDropJumps(chains, keepUser), m.stepDropChains(chains, keepUser))
	}
	return p, true, nil
}

// othersUp looks for the mark of another network.
func (m *Manager) othersUp(n *Network) (bool, error) {
	marks, err := m.marks()
	delete(marks, n.ID)
	return len(marks) > 0, err
}

func (m *Manager) stepDropBridge(n *Network, mk *mark) plan.Step {
	return plan.Step{
		Name: "delete bridge " + mk.Bridge,
		Why:  "Nobody is on it. Its address and its sysctls go with it.",
		Cmds: []string{plan.Command("ip", "link", "delete", "dev", mk.Bridge)},
		Do: func(context.Context) error {
			h, err := m.host()
			if err != nil {
				return err
			}
			return deleteLink(h, mk.Bridge, n.owns)
		},
	}
}

func (m *Manager) stepDropRules(name, why string, rules []firewall.Rule) plan.Step {
	step := plan.Step{Name: name, Why: why}
	for _, r := range rules {
		step.Cmds = append(step.Cmds, m.fw().DeleteCommand(r))
	}
	step.Do = func(ctx context.Context) error { return m.fw().RemoveAll(ctx, rules) }
	return step
}

// stepDropJumps removes the shared rules. The jump to the administrator's chain
// stays when keepUser says that the chain has rules: they keep their effect.
func (m *Manager) stepDropJumps(s chainState, keepUser used) plan.Step {
	toUser := func(r firewall.Rule) bool { return slices.Contains(r.Spec, firewall.UserChain) }
	why := "This was the last network that is up."
	if keepUser[false] || keepUser[true] {
		why += " The jump to " + firewall.UserChain + " stays, because the chain has rules."
	}
	rules := slices.DeleteFunc(slices.Clone(s.Rules), func(r firewall.Rule) bool { return *s.stage(r.V6) == "" })
	user := slices.DeleteFunc(slices.Clone(rules), func(r firewall.Rule) bool { return keepUser[r.V6] || !toUser(r) })
	step := m.stepDropRules("remove the jumps to mini's chains", why, slices.DeleteFunc(slices.Clone(rules), toUser))
	for _, r := range user {
		step.Cmds = append(step.Cmds, m.fw().DeleteCommand(r))
	}
	drop := step.Do
	step.Do = func(ctx context.Context) error {
		err := drop(ctx)
		// The administrator may have added a rule since the plan was made.
		now, listErr := m.userRules(s)
		unused := slices.DeleteFunc(slices.Clone(user), func(r firewall.Rule) bool { return now[r.V6] })
		if listErr != nil || len(unused) == 0 {
			return errors.Join(err, listErr)
		}
		return errors.Join(err, m.fw().RemoveAll(ctx, unused))
	}
	return step
}

// used says of each family whether the administrator's chain does anything.
type used map[bool]bool

// userRules looks at the administrator's chains beside those of ours.
func (m *Manager) userRules(s chainState) (used, error) {
	all := make(used)
	for _, v6 := range bothFamilies {
		if *s.stage(v6) == "" {
			continue
		}
		rules, err := m.fw().List(userChain(v6))
		if err != nil {
			return nil, err
		}
		all[v6] = slices.ContainsFunc(rules, func(r string) bool { return !strings.HasSuffix(r, "-j RETURN") })
	}
	return all, nil
}

// stepDropChains deletes the chains that are empty: what others put into them
// stays, with the chain.
func (m *Manager) stepDropChains(s chainState, keepUser used) plan.Step {
	step := plan.Step{Name: "delete mini's chains", Why: "They are empty. A chain with a rule of somebody else stays."}
	chains := slices.DeleteFunc(slices.Clone(s.Chains), func(c firewall.Chain) bool { return *s.stage(c.V6) == "" })
	chains = append(chains, slices.DeleteFunc(slices.Clone(s.Left), func(c firewall.Chain) bool { return slices.Contains(chains, c) })...)
	chains = slices.DeleteFunc(chains, func(c firewall.Chain) bool {
		return c.Name == firewall.UserChain && (keepUser[c.V6] || !*s.madeUser(c.V6))
	})
	step.Cmds = m.fw().DeleteChainCommands(chains)
	step.Do = func(ctx context.Context) error {
		stay, err := m.fw().DeleteChains(ctx, chains)
		return errors.Join(err, m.keepLeft(ctx, stay))
	}
	return step
}
