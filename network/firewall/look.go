package firewall

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
)

// HasChain tells whether a chain exists.
func (t *Tool) HasChain(c Chain) (bool, error) {
	ipt, err := t.tables(c.V6)
	if err != nil {
		return false, err
	}
	ok, err := ipt.ChainExists(c.Table, c.Name)
	if err != nil {
		return false, fmt.Errorf("looking for %s: %w", c, err)
	}
	return ok, nil
}

// List gives the rules of a chain as `iptables -S` prints them, without the
// line that declares the chain. A chain that does not exist has none.
func (t *Tool) List(c Chain) ([]string, error) {
	ipt, err := t.tables(c.V6)
	if err != nil {
		return nil, err
	}
	lines, err := ipt.List(c.Table, c.Name)
	if err != nil {
		// The nft back end says "incompatible" of a chain that is missing: look.
		if ok, lookErr := t.HasChain(c); lookErr == nil && !ok {
			return nil, nil
		}
		return nil, fmt.Errorf("listing %s: %w", c, err)
	}
	return lines[min(1, len(lines)):], nil
}

// Has tells whether a rule exists.
func (t *Tool) Has(r Rule) (bool, error) {
	ipt, err := t.tables(r.V6)
	if err != nil {
		return false, err
	}
	ok, err := ipt.Exists(r.Table, r.Chain, r.Spec...)
	if err != nil && !notExist(err) {
		return false, fmt.Errorf("looking for a rule in %s: %w", r.Home(), err)
	}
	return ok && err == nil, nil
}

// HasAll tells whether all rules exist, with one program run.
func (t *Tool) HasAll(ctx context.Context, rules []Rule) (bool, error) {
	err := t.run(ctx, linesOf(rules, func(Rule) string { return "-C" }))
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return false, nil
	}
	return err == nil, err
}

// Gaps compares rules with those in the kernel. Where a chain lacks one of them,
// all that belong there are to be added again, so that their order is right;
// those that are there are to be dropped before. See [Tool.Replace].
func (t *Tool) Gaps(ctx context.Context, rules []Rule) (drop, add []Rule, err error) {
	if ok, err := t.HasAll(ctx, rules); ok || err != nil {
		return nil, nil, err
	}
	broken := make(map[Chain]bool)
	for _, r := range rules {
		ok, err := t.Has(r)
		if err != nil {
			return nil, nil, err
		}
		if ok {
			drop = append(drop, r)
		} else {
			broken[r.Home()] = true
		}
	}
	sound := func(r Rule) bool { return !broken[r.Home()] }
	return slices.DeleteFunc(drop, sound), slices.DeleteFunc(slices.Clone(rules), sound), nil
}
