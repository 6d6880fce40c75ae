package network

import (
	"errors"
	"maps"
	"slices"

	"github.com/minirt/mini/network/firewall"
)

// write puts the records on disk, with more rules that may exist.
func (v *move) write(more []firewall.Rule, moving bool) error {
	s := v.after
	if s.Moving = moving; moving {
		s = v.both()
		s.Moving = true
	}
	return v.writeAll(s, more)
}

// writeBoth is write for rules that stay in chains of the same prefix.
func (v *move) writeBoth(more []firewall.Rule) error { return v.writeAll(v.both(), more) }

// both has the shared chains and rules of before and after.
func (v *move) both() chainState {
	s := v.after
	s.Rules = append(slices.Clone(s.Rules), missingIn(s.Rules, v.before.Rules)...)
	s.Chains = slices.Clone(s.Chains)
	for _, c := range v.before.Chains {
		if !slices.Contains(s.Chains, c) {
			s.Chains = append(s.Chains, c)
		}
	}
	return s
}

func (v *move) writeAll(s chainState, more []firewall.Rule) error {
	errs := []error{replaceJSON(v.m.chainPath(), s)}
	for _, id := range slices.Sorted(maps.Keys(v.marks)) {
		mk := *v.marks[id]
		mk.Rules = append(slices.Clone(mk.Rules), ownedLike(mk.Rules, missingIn(mk.Rules, more))...)
		errs = append(errs, replaceJSON(v.m.markPath(&Network{ID: id}), &mk))
	}
	for _, ep := range v.eps {
		now := *ep
		now.Rules = append(slices.Clone(ep.Rules), ownedLike(ep.Rules, missingIn(ep.Rules, more))...)
		if err := v.m.save(&now); !errors.Is(err, ErrNotFound) { // else it has gone meanwhile
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// ownedLike gives those of rules that have the tag that like has.
func ownedLike(like, rules []firewall.Rule) []firewall.Rule {
	return slices.DeleteFunc(rules, func(r firewall.Rule) bool { return len(like) == 0 || r.Owner() != like[0].Owner() })
}
