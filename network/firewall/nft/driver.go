package nft

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/google/nftables"

	"github.com/minirt/mini/network/firewall"
)

// Lend does nothing: a batch is the kernel's work, which no killed process leaves
// half done.
func (d *Driver) Lend(*os.File) (end func()) { return func() {} }

// HasChain tells whether a chain exists.
func (d *Driver) HasChain(c firewall.Chain) (bool, error) {
	now, err := d.read(family(c.V6))
	return now.hasChain(c), err
}

// EnsureChain makes a chain unless it exists, and says whether it made it.
func (d *Driver) EnsureChain(c firewall.Chain) (made bool, err error) {
	f := family(c.V6)
	now, err := d.read(f)
	if err != nil || now.hasChain(c) {
		return false, err
	}
	return true, d.change([]family{f}, func(b *batch) error {
		b.ground(f)
		return b.addChain(c)
	})
}

// DeleteChain deletes a chain that is empty and that nothing jumps to. It says
// whether the chain is gone.
func (d *Driver) DeleteChain(c firewall.Chain) (gone bool, err error) {
	stay, err := d.DeleteChains(context.Background(), []firewall.Chain{c})
	return err == nil && len(stay) == 0, err
}

// DeleteChains deletes chains, and a table when nothing else is in it. It gives
// those that stay, because they hold somebody else's rules.
func (d *Driver) DeleteChains(_ context.Context, chains []firewall.Chain) (stay []firewall.Chain, err error) {
	fs := familiesOf(chains, nil)
	now, err := d.read(fs...)
	if err != nil {
		return nil, err
	}
	err = d.change(fs, func(b *batch) error {
		for _, c := range chains {
			s := now[family(c.V6)]
			switch {
			case !s.exists(c):
			case s.inUse(c):
				stay = append(stay, c)
			default:
				b.deleteChain(c)
				delete(s.chains, chainName(c.Table, c.Name))
			}
		}
		for _, f := range fs {
			if len(now[f].chains) > 0 && now[f].bare() {
				b.conn.DelTable(b.table(f))
			}
		}
		return nil
	})
	if isGone(err) {
		err = nil // somebody else was faster
	}
	return stay, err
}

// List gives the rules of a chain, as far as it matters who made them: a rule
// of mini's by its comment, another one by its place.
func (d *Driver) List(c firewall.Chain) ([]string, error) {
	f := family(c.V6)
	now, err := d.read(f)
	if err != nil {
		return nil, err
	}
	var out []string
	for i, r := range now[f].chains[chainName(c.Table, c.Name)] {
		text := comment(r)
		if text == "" {
			text = fmt.Sprintf("rule %d", i+1)
		}
		out = append(out, text)
	}
	return out, nil
}

// AddTogether makes chains and adds rules in one batch, unless one of the rules'
// owners has a rule of the same family already. See [firewall.Tool.AddTogether].
func (d *Driver) AddTogether(_ context.Context, chains []firewall.Chain, rules []firewall.Rule) (made []firewall.Chain, ok bool, err error) {
	parsed, err := parseAll(rules)
	if err != nil {
		return nil, false, err
	}
	fs := familiesOf(chains, rules)
	now, err := d.read(fs...)
	if err != nil {
		return nil, false, err
	}
	if slices.ContainsFunc(parsed, func(r rule) bool { return now[r.family].hasOwner(r.owner()) }) {
		return nil, false, nil
	}
	made = slices.DeleteFunc(slices.Clone(chains), now.hasChain)
	return made, true, d.change(fs, func(b *batch) error {
		for _, f := range fs {
			b.ground(f)
		}
		for _, c := range made {
			if err := b.addChain(c); err != nil {
				return err
			}
		}
		return b.add(parsed)
	})
}

// Ensure adds a rule unless it exists, and says whether it added it.
func (d *Driver) Ensure(ctx context.Context, r firewall.Rule) (added bool, err error) {
	_, add, err := d.missing([]firewall.Rule{r})
	if err != nil || len(add) == 0 {
		return false, err
	}
	return true, d.AddAll(ctx, add)
}

// EnsureAhead is Ensure for a rule that goes to the head of its chain: one that
// is there, but below the other, is moved to the head.
func (d *Driver) EnsureAhead(ctx context.Context, r, other firewall.Rule) (added bool, err error) {
	parsed, err := parseAll([]firewall.Rule{r, other})
	if err != nil {
		return false, err
	}
	f := family(r.V6)
	now, err := d.read(f)
	if err != nil {
		return false, err
	}
	at, below := now[f].index(parsed[0]), now[f].index(parsed[1])
	switch {
	case at < 0:
		return true, d.AddAll(ctx, []firewall.Rule{r})
	case below < 0 || at < below:
		return false, nil
	}
	return false, d.Replace(ctx, []firewall.Rule{r}, []firewall.Rule{r})
}

// Gaps compares rules with those in the kernel, see [firewall.Tool.Gaps].
func (d *Driver) Gaps(_ context.Context, rules []firewall.Rule) (drop, add []firewall.Rule, err error) {
	there, missing, err := d.missing(rules)
	if err != nil || len(missing) == 0 {
		return nil, nil, err
	}
	broken := func(r firewall.Rule) bool {
		return slices.ContainsFunc(missing, func(m firewall.Rule) bool { return m.Home() == r.Home() })
	}
	sound := func(r firewall.Rule) bool { return !broken(r) }
	return slices.DeleteFunc(there, sound), slices.DeleteFunc(slices.Clone(rules), sound), nil
}

// missing parts rules into those that are there and those that are not.
func (d *Driver) missing(rules []firewall.Rule) (there, missing []firewall.Rule, err error) {
	parsed, err := parseAll(rules)
	if err != nil {
		return nil, nil, err
	}
	now, err := d.read(familiesOf(nil, rules)...)
	if err != nil {
		return nil, nil, err
	}
	for i, r := range rules {
		if now.has(parsed[i]) {
			there = append(there, r)
		} else {
			missing = append(missing, r)
		}
	}
	return there, missing, nil
}

// AddAll adds rules in one batch.
func (d *Driver) AddAll(ctx context.Context, rules []firewall.Rule) error {
	return d.Replace(ctx, nil, rules)
}

// Remove deletes exactly the rule r. It is no error when it is not there.
func (d *Driver) Remove(ctx context.Context, r firewall.Rule) error {
	return d.RemoveAll(ctx, []firewall.Rule{r})
}

// RemoveAll deletes exactly these rules. Those that are not there are no error.
func (d *Driver) RemoveAll(ctx context.Context, rules []firewall.Rule) error {
	err := d.Replace(ctx, rules, nil)
	for range 3 { // others may delete meanwhile, each rule only once
		if !isGone(err) {
			return err
		}
		there, _, readErr := d.missing(rules)
		if readErr != nil || len(there) == 0 {
			return readErr
		}
		err = d.Replace(ctx, there, nil)
	}
	return err
}

// Replace drops rules and adds others in one batch. What is to be dropped must
// be there, but for rules that are no published ports.
func (d *Driver) Replace(_ context.Context, drop, add []firewall.Rule) error {
	gone, err := parseAll(drop)
	if err != nil {
		return err
	}
	fresh, err := parseAll(add)
	if err != nil {
		return err
	}
	return d.change(familiesOf(nil, slices.Concat(drop, add)), func(b *batch) error {
		others, err := b.deleteElements(gone)
		if err != nil {
			return err
		}
		if err := d.deleteRules(b, others); err != nil {
			return err
		}
		return b.add(fresh)
	})
}

// deleteRules finds the kernel's handles of rules, and leaves out what is gone.
func (d *Driver) deleteRules(b *batch, rules []rule) error {
	if len(rules) == 0 {
		return nil
	}
	var fs []family // a table is read once, in whichever order the rules are
	for _, r := range rules {
		if !slices.Contains(fs, r.family) {
			fs = append(fs, r.family)
		}
	}
	now, err := d.read(fs...)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range rules {
		if n := now[r.family].find(r); n != nil {
			errs = append(errs, b.conn.DelRule(n))
		} else if e := now[r.family].element(r); e != nil { // known by its comment alone
			errs = append(errs, b.conn.SetDeleteElements(e.set, []nftables.SetElement{e.SetElement}))
		}
	}
	return errors.Join(errs...)
}

func parseAll(rules []firewall.Rule) ([]rule, error) {
	out := make([]rule, len(rules))
	for i, r := range rules {
		var err error
		if out[i], err = parse(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// owner is the tag in the comment.
func (r rule) owner() string {
	owner, _, _ := strings.Cut(r.comment, " #")
	return owner
}
