package network

import (
	"context"
	"fmt"
	"slices"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/plan"
)

// dockerPrefix is that of a real Docker's chains, and mini's first choice.
const dockerPrefix = "DOCKER"

// A Docker daemon that starts takes the chains for its own that mini has made under
// its names: it empties them, and its rules for published ports are then reached
// by mini's jumps. So mini's rules move to chains of another name.
//
// Until the move is over, all records name the rules of before and after, so that
// a crash loses none; it is done again by the next start or reload.

// dockerCame tells whether a Docker has taken over mini's chains. It is known by
// a chain that every Docker has, and mini never makes.
func (m *Manager) dockerCame(s chainState) (bool, error) {
	if !s.anyUp() || m.opt.ChainPrefix != "" || m.driverName() != IPTables {
		return false, nil // a table of mini's own is out of Docker's reach
	}
	if s.Moving {
		return true, nil
	}
	if s.Prefix != dockerPrefix {
		return false, nil
	}
	for _, v6 := range bothFamilies {
		if !s.up(v6) {
			continue
		}
		if came, err := m.fw().HasChain(firewall.Chain{Table: "filter", Name: dockerPrefix, V6: v6}); came || err != nil {
			return came, err
		}
	}
	return false, nil
}

// moveAway moves to other chains if a Docker came, and brings rules of another
// version of mini up to date. The caller holds networks.lock.
func (m *Manager) moveAway(ctx context.Context, observe plan.Observer) error {
	s, err := m.chainState()
	if err != nil {
		return err
	}
	came, err := m.dockerCame(s)
	switch {
	case err != nil:
		return err
	case came:
		return m.moveNow(ctx, s, nil, observe)
	}
	return m.renew(ctx, s, observe)
}

// moveNow moves to chains whose names are free in the families that have chains, and
// in some more.
func (m *Manager) moveNow(ctx context.Context, s chainState, more []bool, observe plan.Observer) error {
	p, err := m.movePlan(s, more)
	if err != nil {
		return err
	}
	return p.Run(ctx, observe)
}

// makeRoom moves to other chains when a network needs those of a family for the
// first time, and somebody else has chains of mini's names there. The caller holds
// networks.lock.
func (m *Manager) makeRoom(ctx context.Context, n *Network, observe plan.Observer) error {
	s, err := m.chainState()
	if err != nil || !s.active() {
		return err
	}
	if err := m.renew(ctx, s, observe); err != nil || m.opt.ChainPrefix != "" {
		return err
	}
	if s, err = m.chainState(); err != nil {
		return err
	}
	if s.Moving { // a mini was killed meanwhile
		return m.moveNow(ctx, s, n.ruleFamilies(), observe)
	}
	missing := slices.DeleteFunc(n.ruleFamilies(), func(v6 bool) bool { return *s.stage(v6) != "" })
	taken, err := m.hasChains(s.Prefix, missing)
	switch {
	case !taken || err != nil:
		return err
	case s.Prefix == dockerPrefix && s.anyUp() && m.driverName() == IPTables:
		return m.moveNow(ctx, s, missing, observe)
	}
	return errorf(ErrInUse, "somebody else has chains %s that network %s needs: take all networks down with mini network down, then use --chain-prefix", s.Prefix, n.Name)
}

// move is what becomes of the records.
type move struct {
	m      *Manager
	before chainState
	after  chainState
	marks  map[string]*mark // by network id, as they shall be
	eps    []*Endpoint      // with ports, as they shall be
	drop   []firewall.Rule
	add    []firewall.Rule
}

func (m *Manager) movePlan(s chainState, more []bool) (plan.Plan, error) {
	v, err := m.planMove(s, more)
	if err != nil {
		return plan.Plan{}, err
	}
	p := plan.Plan{Title: "leave the chains " + dockerPrefix + " to Docker"}
	p.Add(v.stepRecord())
	old, err := v.oldChains()
	if err != nil {
		return plan.Plan{}, err
	}
	p.Add(stepChains(m.fw(), v.chains()), v.stepSwap(), v.stepLeave(old))
	return p, nil
}

// chains gives those of after, but for the administrator's.
func (v *move) chains() (all []firewall.NotedChain) {
	for _, c := range v.after.bases(v.m.owner).Chains {
		if c.Name != firewall.UserChain {
			all = append(all, c)
		}
	}
	return all
}

func (m *Manager) planMove(s chainState, more []bool) (*move, error) {
	prefix := s.Prefix
	if !s.Moving {
		var err error
		if prefix, err = m.choosePrefix(append(s.families(), more...)); err != nil {
			return nil, err
		}
	}
	return m.planMoveTo(s, prefix)
}

// planMoveTo gives all rules anew, in chains of a prefix.
func (m *Manager) planMoveTo(s chainState, prefix string) (*move, error) {
	v := &move{m: m, before: s}
	v.after = s
	v.after.Prefix = prefix
	for _, v6 := range s.families() {
		if s.up(v6) {
			v.after.setBase(m.owner, v6)
		} else { // half made by a mini that was killed: the network that needs it begins anew
			v.after.forget(v6)
		}
	}
	v.drop, v.add = missingIn(v.after.Rules, s.Rules), v.after.standing(v.after.Rules)
	nets, err := m.stored()
	if err != nil {
		return nil, err
	}
	v.marks = make(map[string]*mark)
	for _, n := range nets {
		if err := v.addNetwork(n, prefix); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (v *move) addNetwork(n *Network, prefix string) error {
	mk, err := v.m.readMark(n)
	if mk == nil || err != nil {
		return err
	}
	old := mk.Rules
	mk.Prefix, mk.Rules = prefix, nil
	for _, r := range firewall.Bridge(n.rules(mk)) {
		mk.Rules = append(mk.Rules, r.Rule)
	}
	if slices.ContainsFunc(n.ruleFamilies(), func(v6 bool) bool { return !v.after.up(v6) }) {
		mk.Ready = false // a mini that knew no IPv6 brought it up: it comes up once more
	}
	v.marks[n.ID] = mk
	v.drop, v.add = append(v.drop, old...), append(v.add, v.after.standing(mk.Rules)...)
	eps, err := v.m.Endpoints(n)
	if err != nil {
		return err
	}
	for _, ep := range eps {
		if len(ep.Rules) == 0 {
			continue
		}
		v.drop = append(v.drop, ep.Rules...)
		ep.publish(prefix)
		v.eps, v.add = append(v.eps, &ep), append(v.add, ep.Rules...)
	}
	return nil
}

func (v *move) stepRecord() plan.Step {
	return plan.Step{
		Name: "record that mini's chains will be " + v.after.Prefix,
		Why:  "A Docker daemon has come, and empties the chains " + dockerPrefix + " whenever it starts. The records name the rules of both chains until the move is over.",
		Do:   func(context.Context) error { return v.write(v.drop, true) },
	}
}

// stepSwap changes all rules, in one transaction for each table: no packet goes
// without them.
func (v *move) stepSwap() plan.Step {
	step := plan.Step{Name: "move mini's rules to the chains " + v.after.Prefix, Why: "What is of mini's in " + dockerPrefix + " is deleted, the rest there is Docker's."}
	for _, r := range v.drop {
		step.Cmds = append(step.Cmds, v.m.fw().DeleteCommand(r)+" 2>/dev/null || true")
	}
	for _, r := range v.add {
		step.Cmds = append(step.Cmds, v.m.fw().AddCommand(r))
	}
	step.Do = func(ctx context.Context) error {
		now, err := v.m.fw().Listing(ctx, firewall.NeedV6(nil, slices.Concat(v.drop, v.add)))
		if err != nil {
			return err
		}
		var drop []firewall.Rule
		for _, r := range slices.Concat(v.drop, v.add) {
			if v.m.stands(now, r) && !containsRule(drop, r) {
				drop = append(drop, r)
			}
		}
		if err := v.m.noteRepublish(); err != nil {
			return err
		}
		if err := v.m.fw().Replace(ctx, drop, v.add); err != nil {
			return err
		}
		return v.m.takeBack(ctx, v.eps)
	}
	return step
}

// oldChains gives those that mini leaves. The one for published ports is Docker's,
// in a family to which a Docker has come.
func (v *move) oldChains() (old []firewall.Chain, err error) {
	for _, v6 := range v.before.families() {
		came, err := v.m.fw().HasChain(firewall.Chain{Table: "filter", Name: dockerPrefix, V6: v6})
		if err != nil {
			return nil, err
		}
		for _, c := range firewall.Base(dockerPrefix, v.m.owner, v6).Chains {
			if c.Name != firewall.UserChain && (c.Name != dockerPrefix || !came) {
				old = append(old, c.Chain)
			}
		}
	}
	return old, nil
}

// stepLeave deletes mini's own of the old chains, and ends the move.
func (v *move) stepLeave(old []firewall.Chain) plan.Step {
	step := plan.Step{Name: "delete the chains that mini has left", Why: "They are empty, unless they are Docker's too."}
	for _, c := range v.m.fw().DeleteChainCommands(old) {
		step.Cmds = append(step.Cmds, c+" 2>/dev/null || true")
	}
	step.Do = func(ctx context.Context) error {
		if _, err := v.m.fw().DeleteChains(ctx, old); err != nil {
			return err
		}
		v.m.opt.Notice(fmt.Sprintf("a Docker daemon uses the chains %s: mini's rules have moved to %s", dockerPrefix, v.after.Prefix))
		return v.write(nil, false)
	}
	return step
}
