package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/plan"
)

// Up makes sure that a network's bridge and rules are there. When they are, it
// costs reading one file and asking for one link and for the jumps to the rules.
func (m *Manager) Up(ctx context.Context, n *Network, observe plan.Observer) error {
	if !n.HasRules() {
		return nil
	}
	mk, err := m.isUp(n)
	if err != nil {
		return err
	}
	if mk != nil {
		if err := m.checkDriver(); err != nil {
			return err
		}
		return m.recheck(ctx, n, mk, observe)
	}
	if err := m.moveAside(n); err != nil {
		return err
	}
	unlock, err := m.lockNetworks()
	if err != nil {
		return err
	}
	defer unlock()
	if mk, err := m.isUp(n); mk != nil || err != nil {
		return err // somebody else was faster
	}
	if n, err = m.current(n); err != nil {
		return err
	}
	return m.bringUp(ctx, n, observe)
}

// isUp gives the mark of a network whose bridge is there, else nil.
func (m *Manager) isUp(n *Network) (*mark, error) {
	mk, err := m.readMark(n)
	if mk == nil || !mk.Ready {
		return nil, err
	}
	stands, err := m.nets(n).stands(n, mk)
	if !stands || err != nil {
		return nil, err
	}
	return mk, nil
}

func (m *Manager) bridgeStands(n *Network, mk *mark) (bool, error) {
	h, err := m.host()
	if err != nil {
		return false, err
	}
	link, err := h.LinkByIndex(mk.Index)
	if err != nil {
		if isNoLink(err) {
			return false, nil
		}
		return false, linkErr("looking for bridge", mk.Bridge, err)
	}
	if mk.Found != nil {
		return link.Attrs().Name == mk.Bridge && link.Type() == "bridge", nil
	}
	return link.Attrs().Alias == n.alias(), nil
}

// bringUp runs the plan between two records: what is about to be, and what is.
// When it fails, the records are again as they were: what a crash left before
// this run is still there.
func (m *Manager) bringUp(ctx context.Context, n *Network, observe plan.Observer) error {
	if err := m.makeRoom(ctx, n, observe); err != nil {
		return fmt.Errorf("bringing network %s up: %w", n.Name, err)
	}
	chains, err := m.chainState()
	if err != nil {
		return fmt.Errorf("bringing network %s up: %w", n.Name, err)
	}
	before, err := m.readMark(n)
	if err != nil {
		return fmt.Errorf("bringing network %s up: %w", n.Name, err)
	}
	p, mk, err := m.prepareUp(ctx, n, before)
	if err != nil {
		return errors.Join(fmt.Errorf("bringing network %s up: %w", n.Name, err), m.putBack(n, chains, before))
	}
	if err := p.Run(ctx, observe); err != nil {
		var step *plan.StepError
		if errors.As(err, &step) && step.Rollback == nil {
			err = errors.Join(err, m.putBack(n, chains, before))
		}
		return err
	}
	if err := m.setStage(baseUp, n.ruleFamilies()...); err != nil {
		return err
	}
	return m.markReady(n, mk)
}

// prepareUp records what is about to be, and gives the steps to it.
func (m *Manager) prepareUp(ctx context.Context, n *Network, before *mark) (p plan.Plan, mk *mark, err error) {
	chains, err := m.startChains(n.ruleFamilies())
	if err != nil {
		return p, nil, err
	}
	if mk, err = m.layout(n, chains.Prefix); err != nil {
		return p, nil, err
	}
	if err := m.checkClash(n); err != nil {
		return p, nil, err
	}
	stale := staleRules(before, mk)
	p = m.upPlan(n, mk, chains)
	repair, err := m.repairSteps(ctx, chains, stale)
	if err != nil {
		return p, nil, err
	}
	if len(stale) > 0 {
		drop := m.stepDropRules("remove rules that are out of date", "They are on record from an earlier time, when the network had other settings.", stale)
		repair = append([]plan.Step{drop}, repair...)
	}
	p.Steps = append(repair, p.Steps...)
	if before != nil { // somebody may have deleted the bridge under the containers
		replug, err := m.replugSteps(n, mk)
		if err != nil {
			return p, nil, err
		}
		p.Add(replug...)
	}
	if err := os.MkdirAll(m.netDir(n), 0o700); err != nil {
		return p, nil, err
	}
	intent := *mk
	intent.Rules = slices.Concat(mk.Rules, stale)
	return p, mk, replaceJSON(m.markPath(n), &intent)
}

// staleRules gives the rules on record that the network has no more.
func staleRules(before, now *mark) []firewall.Rule {
	if before == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(before.Rules), func(r firewall.Rule) bool { return containsRule(now.Rules, r) })
}

// putBack restores the records from before a failed run, which took away again
// what it had made.
func (m *Manager) putBack(n *Network, chains chainState, before *mark) error {
	var errs []error
	if before == nil {
		errs = append(errs, ignoreMissing(os.Remove(m.markPath(n))))
	} else {
		before.Ready = false
		errs = append(errs, replaceJSON(m.markPath(n), before))
	}
	for _, v6 := range n.ruleFamilies() {
		if *chains.stage(v6) == "" {
			errs = append(errs, m.setStage("", v6))
		}
	}
	return errors.Join(errs...)
}

func (m *Manager) markReady(n *Network, mk *mark) error {
	if len(mk.Held) > 0 { // there is no bridge
		mk.Ready = true
		return replaceJSON(m.markPath(n), mk)
	}
	h, err := m.host()
	if err != nil {
		return err
	}
	link, err := h.LinkByName(mk.Bridge)
	if err != nil {
		return linkErr("looking for bridge", mk.Bridge, err)
	}
	for _, a := range n.bridgeAddresses(mk) {
		if a.Addr().Is6() {
			settleIPv6(h, a.Addr())
		}
	}
	mk.Index, mk.Ready = link.Attrs().Index, true
	return replaceJSON(m.markPath(n), mk)
}
