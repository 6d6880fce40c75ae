package network

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/plan"
)

// Reload puts back what somebody took away from a network that is up: its
// bridge's settings, the shared chains, its rules, and those of its containers.
// What is there stays as it is.
func (m *Manager) Reload(ctx context.Context, n *Network, observe plan.Observer) error {
	unlock, err := lock(m.statePath("networks.lock"), unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	mk, err := m.readMark(n)
	if mk == nil || !mk.Ready || err != nil {
		return err
	}
	eps, err := m.Endpoints(n)
	if err != nil {
		return err
	}
	p := m.upPlan(n, mk, true)
	for _, ep := range eps {
		if len(ep.Rules) > 0 {
			p.Add(m.stepRepublish(&ep))
		}
	}
	return p.RunAll(ctx, observe)
}

func (m *Manager) stepRepublish(ep *Endpoint) plan.Step {
	step := m.stepPublish(ep)
	rules := ep.Rules
	step.Undo = nil
	step.Do = func(context.Context) error {
		var errs []error
		for _, r := range rules {
			_, err := m.fw.Ensure(r)
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
	return step
}

// Missing gives the rules on record that are not in the kernel: those of the
// shared chains, of the network, and of its containers.
func (m *Manager) Missing(n *Network) ([]firewall.Rule, error) {
	mk, err := m.readMark(n)
	if mk == nil || err != nil {
		return nil, err
	}
	chains, err := m.chainState()
	if err != nil {
		return nil, err
	}
	eps, err := m.Endpoints(n)
	if err != nil {
		return nil, err
	}
	rules := append(chains.Rules, mk.Rules...)
	for _, ep := range eps {
		rules = append(rules, ep.Rules...)
	}
	var missing []firewall.Rule
	for _, r := range rules {
		ok, err := m.fw.Has(r)
		if err != nil {
			return nil, err
		}
		if !ok {
			missing = append(missing, r)
		}
	}
	return missing, nil
}
