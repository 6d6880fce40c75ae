package network

import (
	"fmt"
	"slices"

	"github.com/minirt/mini/network/firewall"
)

// head gives the jumps that are to be the first in their chain, the last of
// them on top, and the position of the lowest.
func (d *doctor) head(c firewall.Chain) (jumps []firewall.Rule, lowest int) {
	lowest = -1
	for _, r := range d.shared.Rules {
		if r.First && r.Home() == c {
			jumps = append(jumps, r)
			lowest = max(lowest, d.rules.Find(r))
		}
	}
	return jumps, lowest
}

// checkHead looks for rules of others that decide before mini's.
func (d *doctor) checkHead() {
	for _, v6 := range bothFamilies {
		d.checkHeadOf(firewall.Chain{Table: "filter", Name: "FORWARD", V6: v6})
		d.checkHeadOf(firewall.Chain{Table: "raw", Name: "PREROUTING", V6: v6})
	}
}

func (d *doctor) checkHeadOf(c firewall.Chain) {
	jumps, lowest := d.head(c)
	if lowest < 0 {
		return
	}
	above := slices.DeleteFunc(slices.Clone(d.rules.Rules(c)[:lowest]), func(r firewall.Listed) bool {
		return r.Target() == firewall.UserChain && !d.strict
	})
	if d.strict {
		if slices.ContainsFunc(above, func(r firewall.Listed) bool { return !r.IsMini() }) {
			d.add(NewFinding(c.String(), "mini's rules stand below somebody's", "they decide first", d.restore(c, jumps, jumps)...))
		}
		return
	}
	decision := d.rules.Decide(above, d.scope(c.V6))
	if decision == nil {
		return
	}
	why := "packets of containers are dropped before mini's rules see them"
	if decision.Target == "ACCEPT" {
		why = "what mini must drop is let through before its rules see it"
	}
	d.add(NewFinding(c.String(), fmt.Sprintf("mini's rules stand below somebody's: %s", decision.Rule), why, d.restore(c, jumps, jumps)...))
}
