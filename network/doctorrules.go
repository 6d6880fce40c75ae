package network

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/network/firewall/nft"
	"github.com/minirt/mini/plan"
)

func (d *doctor) hasRule(r firewall.Rule) bool { return d.m.stands(d.rules, r) }

// stands looks for a rule in a listing first. The driver has the last word: it
// knows rules that are printed otherwise than they were given.
func (m *Manager) stands(listing *firewall.Listing, r firewall.Rule) bool {
	if listing.Find(r) >= 0 {
		return true
	}
	if !listing.Has(r.Home()) {
		return false
	}
	ok, err := m.fw().Has(r)
	return ok && err == nil
}

// inOrder are rules on record of one owner, in the order in which they stand.
type inOrder []firewall.Rule

// checkRules compares the rules on record, chain by chain, with those in the kernel.
func (d *doctor) checkRules() error {
	if !d.shared.anyUp() {
		return d.checkHalfMade()
	}
	lists := []inOrder{d.shared.standing(d.shared.Rules)}
	for _, w := range d.wards {
		if w.up() {
			lists = append(lists, d.shared.standing(w.mk.Rules))
		}
	}
	for _, mk := range d.unowned {
		lists = append(lists, d.shared.standing(mk.Rules))
	}
	at := len(d.found)
	rules := slices.Concat(castAll(lists)...)
	for _, c := range chainsOf(rules) {
		mine := slices.DeleteFunc(slices.Clone(rules), func(r firewall.Rule) bool { return r.Home() != c })
		d.checkChain(c, mine, lists)
	}
	d.checkHead()
	d.fine(at, "the firewall", fmt.Sprintf("all %d rules are in place, in chains %s", len(rules), d.shared.Prefix))
	return nil
}

// checkHalfMade finds chains that a crash left before there was any network.
func (d *doctor) checkHalfMade() error {
	up := func(w *ward) bool { return w.mk != nil }
	if !d.shared.active() || slices.ContainsFunc(d.wards, up) || len(d.unowned) > 0 {
		return nil
	}
	keep, err := d.m.userRules(d.shared)
	if err != nil {
		return err
	}
	forget := plan.Step{
		Name: "forget mini's chains", Why: "They are gone from the record, too.",
		Do: func(context.Context) error { return d.m.setStage("", bothFamilies...) },
	}
	d.add(NewFinding("the firewall", "mini's chains are half made", "a mini was killed while it made or took them away, and no network needs them",
		d.m.stepDropJumps(d.shared, keep), d.m.stepDropChains(d.shared, keep), forget))
	return nil
}

func castAll(lists []inOrder) (out [][]firewall.Rule) {
	for _, l := range lists {
		out = append(out, l)
	}
	return out
}

// chainsOf gives the chains of rules, each once, in their order.
func chainsOf(rules []firewall.Rule) (chains []firewall.Chain) {
	for _, r := range rules {
		if c := (r.Home()); !slices.Contains(chains, c) {
			chains = append(chains, c)
		}
	}
	return chains
}

// checkChain wants all of mini's rules in a chain, and in their order.
func (d *doctor) checkChain(c firewall.Chain, mine []firewall.Rule, lists []inOrder) {
	var there, missing []firewall.Rule
	for _, r := range mine {
		if d.hasRule(r) {
			there = append(there, r)
		} else {
			missing = append(missing, r)
		}
	}
	switch {
	case !d.rules.Has(c):
		d.add(NewFinding(c.String(), "the chain is gone", d.whyRules(c), d.restore(c, nil, mine)...))
	case len(missing) > 0:
		what := fmt.Sprintf("%d of mini's %d rules are gone, the first is: %s", len(missing), len(mine), strings.Join(missing[0].Spec, " "))
		d.add(NewFinding(c.String(), what, d.whyRules(c), d.restore(c, there, mine)...))
	case d.disordered(c, lists):
		d.add(NewFinding(c.String(), "mini's rules are out of order", "the first rule that matches decides", d.restore(c, there, mine)...))
	}
}

// whyRules says what the rules of a chain are for.
func (d *doctor) whyRules(c firewall.Chain) string {
	why := ""
	switch strings.TrimPrefix(c.Name, d.shared.Prefix) {
	case "-RAW", "-INTERNAL", "-BRIDGE":
		why = "what should be closed may be open"
	case "POSTROUTING", "-OUT":
		why = "containers do not get answers from the world"
	case "PREROUTING", "OUTPUT", "":
		why = "published ports do not answer"
	case "INPUT":
		why = "containers of internal networks may reach the host's services"
	case "FORWARD":
		why = "nothing of mini's judges forwarded packets"
	default:
		why = "packets of containers may be dropped"
	}
	if c.Table == "raw" {
		why = "what should be closed may be open"
	}
	if f := d.rules.Chains[firewall.Chain{Table: "filter", Name: "FORWARD", V6: c.V6}]; c.Table == "filter" && f != nil && f.Policy == "DROP" {
		why += ", and FORWARD drops by default"
	}
	return why
}

// disordered tells whether rules of one owner stand in another order than on
// record, or a network's rule above a shared one.
func (d *doctor) disordered(c firewall.Chain, lists []inOrder) bool {
	lastShared := -1
	for i, list := range lists {
		last := -1
		for _, r := range list {
			at := -1
			if r.Home() == c {
				at = d.rules.Find(r)
			}
			if at < 0 {
				continue
			}
			// What goes to the head comes to stand above what went there before.
			if last >= 0 && r.First == (at > last) || i > 0 && at < lastShared && !r.First {
				return true
			}
			last = at
			if i == 0 && !r.First {
				lastShared = max(lastShared, at)
			}
		}
	}
	return false
}

// restore gives the steps that put all of mini's rules of a chain into order.
func (d *doctor) restore(c firewall.Chain, there, all []firewall.Rule) []plan.Step {
	step := plan.Step{
		Name: "put mini's rules back into " + c.String(),
		Why:  "All of them anew, because their order decides.",
		Do:   func(ctx context.Context) error { return d.m.fw().Replace(ctx, there, all) },
	}
	for _, r := range there {
		step.Cmds = append(step.Cmds, d.m.fw().DeleteCommand(r))
	}
	for _, r := range all {
		step.Cmds = append(step.Cmds, d.m.fw().AddCommand(r))
	}
	if !slices.ContainsFunc(d.put, func(r firewall.Rule) bool { return r.Home() == c }) {
		d.drop, d.put = append(d.drop, there...), append(d.put, all...)
	}
	return append(d.missingChains(c.Table, c.V6), step)
}

// missingChains gives a step that makes those of mini's chains that a table of a
// family lacks.
func (d *doctor) missingChains(table string, v6 bool) []plan.Step {
	if !d.shared.up(v6) {
		return nil
	}
	set := firewall.Base(d.shared.Prefix, d.m.owner, v6)
	missing := slices.DeleteFunc(set.Chains, func(c firewall.NotedChain) bool { return c.Table != table || d.rules.Has(c.Chain) })
	if len(missing) == 0 {
		return nil
	}
	step := stepChains(d.m.fw(), missing)
	step.Name += " in table " + table
	return []plan.Step{step}
}

// checkLeftovers looks for rules and links of mini's that are not on record.
func (d *doctor) checkLeftovers() error {
	known := d.known()
	_, ownTable := d.m.fw().(*nft.Driver) // in which nobody else has rules
	for r, owner := range d.rules.Tagged {
		switch {
		case containsRule(known, r.Rule()):
		case ownTable || d.isMine(owner) || d.leadsHere(r.Words):
			d.add(NewFinding(r.Chain.String(), "a rule of mini's is not on record: "+strings.Join(r.Words, " "), "nobody would ever take it away",
				d.m.stepDropRules("remove the leftover rule "+r.String()+" from "+r.Chain.String(), "It is tagged as mini's, and nobody has it on record.", []firewall.Rule{r.Rule()})))
		default:
			d.checkStrayRule(r, owner)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(d.unowned)) {
		d.dropUnowned(id, d.unowned[id])
	}
	d.checkLinks()
	return d.checkHeldRoutes()
}

// known gives all rules on record.
func (d *doctor) known() []firewall.Rule {
	known := slices.Clone(d.shared.Rules)
	for _, w := range d.wards {
		if w.mk != nil {
			known = append(known, w.mk.Rules...)
		}
		for _, ep := range w.eps {
			known = append(known, ep.Rules...)
		}
	}
	for _, mk := range d.unowned {
		known = append(known, mk.Rules...)
	}
	return known
}

// isMine tells whether a tag is this mini's: another one's look alike.
func (d *doctor) isMine(owner string) bool {
	digits, _, _ := strings.Cut(owner, ":")
	if owner == d.m.owner {
		return true
	}
	return len(digits) == 12 && (d.ownNetwork(digits) || d.who.Known != nil && d.who.Known(digits))
}

func (d *doctor) ownNetwork(digits string) bool {
	for id := range d.unowned {
		if strings.HasPrefix(id, digits) {
			return true
		}
	}
	return slices.ContainsFunc(d.wards, func(w *ward) bool { return strings.HasPrefix(w.n.ID, digits) })
}

func (d *doctor) dropUnowned(id string, mk *mark) {
	n := &Network{ID: id}
	links := []plan.Step{d.stepDeleteLink(mk.Bridge, func(alias string) bool { return strings.HasPrefix(alias, "mini:"+short(id)+":") })}
	if len(mk.Held) > 0 {
		links = ptpDriver{d.m}.down(n, mk)
	}
	d.add(NewFinding("network "+short(id), "it is up, but has no definition", "nobody would ever take it down", append(links,
		d.m.stepDropRules("remove the rules of network "+short(id), "They are on record, and the network is not.", mk.Rules),
		stepRemoveAll(d.m.netDir(n)))...))
}
