package main

import (
	"fmt"
	"math"
)

// goal is a target for mini, checked against the other columns of the same run.
type goal struct {
	text  string
	check func(t table, r row) verdict // nil: no target
}

// verdict is one answer; known is false when something was not measured.
type verdict struct {
	ok, known bool
	note      string
}

// verdict is the text of the column "met".
func (g goal) verdict(t table, r row) string {
	if g.check == nil {
		return ""
	}
	v := g.check(t, r)
	switch {
	case !v.known:
		return "-"
	case v.ok:
		return "yes" + v.note
	default:
		return "no" + v.note
	}
}

func noGoal() goal { return goal{} }

// timesBetter asks mini to be n times better than docker.
func timesBetter(text string, n float64) goal {
	return goal{text, func(_ table, r row) verdict {
		a := r.unit.advantage(r.value("mini"), r.value("docker"))
		return verdict{ok: a >= n, known: !math.IsNaN(a)}
	}}
}

// below asks mini's number not to exceed a limit.
func below(text string, limit float64) goal {
	return goal{text, func(_ table, r row) verdict {
		v := r.value("mini")
		return verdict{ok: v <= limit, known: !math.IsNaN(v)}
	}}
}

// andBelowCell asks as g does, and mini to take less than another column of
// another row.
func (g goal) andBelowCell(text, key, column string) goal {
	return goal{g.text + text, func(t table, r row) verdict {
		v := g.check(t, r)
		other, found := t.find(key)
		if !found {
			return verdict{}
		}
		limit := other.value(column)
		v.known = v.known && !math.IsNaN(limit)
		v.ok = v.ok && r.value("mini") < limit
		return v
	}}
}

// nearHand asks mini to reach a share of both paths built by hand, and notes
// the two shares with their spread.
func nearHand(share float64) goal {
	text := fmt.Sprintf("≥ %.2f × by hand", share)
	return goal{text, func(_ table, r row) verdict {
		bridge, around := r.share(byHandBridge)
		veth, aroundVeth := r.share(byHandVeth)
		return verdict{
			ok:    bridge >= share && veth >= share,
			known: !math.IsNaN(bridge) && !math.IsNaN(veth),
			note:  fmt.Sprintf(" (bridge %.2f ± %.2f, veth %.2f ± %.2f)", bridge, around, veth, aroundVeth),
		}
	}}
}
