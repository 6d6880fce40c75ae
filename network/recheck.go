package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/network/firewall/nft"
	"github.com/minirt/mini/plan"
)

// recheck repairs the firewall when somebody flushed it, or put rules above
// mini's, since the network came up, and switches forwarding on. To see it costs
// a start no program: see [firewall.JumpsStand].
func (m *Manager) recheck(ctx context.Context, n *Network, mk *mark, observe plan.Observer) error {
	if err := m.forwardAgain(ctx, n, observe); err != nil {
		return err
	}
	if m.jumpsStand(mk) {
		return nil
	}
	unlock, err := m.lockNetworks()
	if err != nil {
		return err
	}
	defer unlock()
	if mk, err = m.readMark(n); err != nil || mk == nil || m.jumpsStand(mk) {
		return err // somebody else was faster
	}
	if err := m.moveAway(ctx, observe); err != nil {
		return err
	}
	if mk, err = m.readMark(n); err != nil || mk == nil || m.jumpsStand(mk) {
		return err
	}
	m.opt.Notice("somebody changed the firewall: mini's rules are put back")
	return m.repairUntilTheyStand(ctx, mk, observe)
}

// ready makes ready for new rules of an endpoint on a network that is up: what
// somebody took away of the rules before is put back, and the endpoint knows of
// chains with another name.
func (m *Manager) ready(ctx context.Context, ep *Endpoint, observe plan.Observer) error {
	n := networkOf(ep)
	mk, err := m.readMark(n)
	if err != nil {
		return err
	}
	if mk != nil {
		if err := m.recheck(ctx, n, mk, observe); err != nil {
			return err
		}
	}
	return m.followMove(ep)
}

// jumpsStand looks at the jumps alone. That they cannot be read is a reason to
// look more closely.
func (m *Manager) jumpsStand(mk *mark) bool {
	var jumps []firewall.Rule
	for _, v6 := range mk.ruleFamilies() {
		for _, r := range firewall.Base(mk.Prefix, m.owner, v6).Rules {
			jumps = append(jumps, r.Rule)
		}
	}
	if n, isNative := m.fw().(*nft.Driver); isNative {
		ok, err := n.JumpsStand(jumps)
		return ok && err == nil
	}
	ok, err := firewall.JumpsStand(mk.Backend, jumps)
	return ok && err == nil
}

// repairTries is how often rules are put back that somebody takes away again
// while they are put back.
const repairTries = 5

func (m *Manager) repairUntilTheyStand(ctx context.Context, mk *mark, observe plan.Observer) error {
	var last error
	for range repairTries {
		well, err := m.repairRules(ctx, observe)
		if ctx.Err() != nil || well && m.jumpsStand(mk) {
			return err
		}
		last = err
	}
	if last == nil {
		last = errors.New("mini's rules were put back, and are gone again")
	}
	return fmt.Errorf("somebody keeps changing the firewall: %w", last)
}

// repairRules puts back all rules on record that are missing or out of order,
// those of every network and of every published port, and puts mini's jumps at
// the head: in one transaction for each table, as more may be lost meanwhile. It
// says when there was nothing to do. The caller holds networks.lock.
func (m *Manager) repairRules(ctx context.Context, observe plan.Observer) (well bool, err error) {
	d := &doctor{m: m, ctx: ctx, strict: true}
	if err := d.takeIn(); err != nil {
		return false, err
	}
	d.found = nil // what is wrong with addresses is not for a start to repair
	if err := d.checkRules(); err != nil {
		return false, err
	}
	for _, w := range d.wards {
		for i := range w.eps {
			d.lost(&w.eps[i])
		}
	}
	p := plan.Plan{Title: "put back the rules that somebody took away"}
	for _, v6 := range bothFamilies {
		for _, table := range []string{"raw", "nat", "filter"} {
			p.Add(d.missingChains(table, v6)...)
		}
	}
	if len(d.drop)+len(d.put) > 0 {
		p.Add(d.stepPutBack())
	}
	return len(p.Steps) == 0, p.Run(ctx, observe)
}

// lost notes the rules of a container's ports that are missing.
func (d *doctor) lost(ep *Endpoint) {
	for _, r := range ep.Rules {
		if !d.hasRule(r) {
			d.put = append(d.put, r)
			d.owners = append(d.owners, ep)
		}
	}
}

func (d *doctor) stepPutBack() plan.Step {
	step := plan.Step{
		Name: "put mini's rules back",
		Why:  "A chain that lacks one, or has them out of order, gets all of them anew, because their order decides.",
		Do: func(ctx context.Context) error {
			if len(d.owners) > 0 {
				if err := d.m.noteRepublish(); err != nil {
					return err
				}
			}
			if err := d.m.fw().Replace(ctx, d.drop, d.put); err != nil {
				return err
			}
			return d.m.takeBack(ctx, d.owners)
		},
	}
	for _, r := range d.drop {
		step.Cmds = append(step.Cmds, d.m.fw().DeleteCommand(r))
	}
	for _, r := range d.put {
		step.Cmds = append(step.Cmds, d.m.fw().AddCommand(r))
	}
	return step
}

// takeBack removes rules that were put back for containers that went meanwhile.
func (m *Manager) takeBack(ctx context.Context, owners []*Endpoint) error {
	var errs []error
	for _, ep := range slices.Compact(owners) {
		now, err := m.Endpoint(networkOf(ep), ep.ContainerID)
		if errors.Is(err, ErrNotFound) || err == nil && now.ID != ep.ID {
			err = m.fw().RemoveAll(ctx, ep.Rules)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// republishedPath is a file whose time of change is when rules of published ports
// were last put back.
func (m *Manager) republishedPath() string { return m.statePath("republished") }

// noteRepublish comes before rules of published ports are put back. Those of a
// container that is about to publish may be among them.
func (m *Manager) noteRepublish() error {
	path, now := m.republishedPath(), time.Now()
	err := os.Chtimes(path, now, now)
	if errors.Is(err, os.ErrNotExist) {
		err = os.WriteFile(path, nil, 0o600)
		if err == nil {
			err = os.Chtimes(path, now, now) // the kernel's own time is some ms behind
		}
	}
	if err != nil {
		return fmt.Errorf("noting that rules are put back: %w", err)
	}
	return nil
}

// publish adds the rules of an endpoint's ports. Where rules were put back since
// the endpoint is on record, they may be there.
func (m *Manager) publish(ctx context.Context, ep *Endpoint) error {
	unlock, err := m.lockPublishing()
	if err != nil {
		return err
	}
	defer unlock()
	st, err := os.Stat(m.republishedPath())
	if err != nil || st.ModTime().Before(ep.Created) {
		return m.fw().AddAll(ctx, ep.Rules)
	}
	for _, r := range ep.Rules {
		if _, err := m.fw().Ensure(ctx, r); err != nil {
			return err
		}
	}
	return nil
}
