package network

import (
	"context"
	"slices"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/plan"
)

// A chain of mini's that a rule of somebody else needs cannot be deleted with the
// last network. It stays on record: the next time that all goes, or a network
// that is not up is taken down, it is tried again.

// keepLeft records chains that stay, and says why.
func (m *Manager) keepLeft(ctx context.Context, stay []firewall.Chain) error {
	s, err := m.chainState()
	if err != nil || len(s.Left)+len(stay) == 0 {
		return err
	}
	s.Left = stay
	if err := replaceJSON(m.chainPath(), s); err != nil || len(stay) == 0 {
		return err
	}
	l, err := m.fw().Listing(ctx, firewall.NeedV6(stay, nil))
	if err != nil {
		return err
	}
	for _, c := range stay {
		m.opt.Notice(c.String() + " stays: " + m.whoUses(l.Users(c)))
	}
	return nil
}

// whoUses says whose rules keep a chain. Some have mini's tag, and are on no record: of
// another mini, or left over.
func (m *Manager) whoUses(users []firewall.Listed) string {
	text := "somebody else uses it"
	if len(users) > 0 && !slices.ContainsFunc(users, func(r firewall.Listed) bool { return !r.IsMini() }) {
		text = "a rule with mini's tag uses it that is not on record here"
	}
	for _, r := range users {
		whose := "his rule, if it is not needed"
		if r.IsMini() {
			whose = "the rule, if no other mini, with another --root, needs it"
		}
		text += "\n  delete " + whose + ": " + m.fw().DeleteCommand(r.Rule())
	}
	return text
}

// isFree says whether nobody has a chain: it does not exist, or it is one of
// mini's that was left, and the rule that needed it is gone.
func (m *Manager) isFree(c firewall.Chain, left []firewall.Chain) (bool, error) {
	ok, err := m.fw().HasChain(c)
	if !ok || err != nil || !slices.Contains(left, c) {
		return !ok, err
	}
	l, err := m.fw().Listing(context.Background(), c.V6)
	if err != nil {
		return false, err
	}
	return len(l.Users(c)) == 0, nil
}

// leftPlan deletes the chains that were left, if no network is up.
func (m *Manager) leftPlan(p plan.Plan) (plan.Plan, error) {
	s, err := m.chainState()
	if err == nil && !s.active() && len(s.Left) > 0 {
		p.Add(m.stepDropChains(chainState{Left: s.Left}, used{false: true, true: true}))
	}
	return p, err
}
