package firewall

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// AddTogether makes chains and adds rules in one transaction for each table. It
// does so only where none of the rules' owners has a rule yet, and says whether:
// otherwise each rule must be looked for, see [Tool.Ensure]. Chains that exist
// stay; made are the others. They are given with an error too: then some of
// them, and some of the rules, may be there.
func (t *Tool) AddTogether(ctx context.Context, chains []Chain, rules []Rule) (made []Chain, ok bool, err error) {
	now, err := t.Listing(ctx)
	if err != nil {
		return nil, false, err
	}
	for _, r := range rules {
		if now.hasOwner(r.Owner()) {
			return nil, false, nil
		}
	}
	var lines []line
	for _, c := range chains {
		if !now.Has(c) {
			made = append(made, c)
			lines = append(lines, line{"-N", Rule{Table: c.Table, Chain: c.Name}})
		}
	}
	for _, r := range rules {
		lines = append(lines, line{r.addOp(), r})
	}
	return made, true, t.run(ctx, scriptOf(lines))
}

// companion finds a program beside the iptables program, so that both are of
// one back end: iptables-save, iptables-restore.
func (t *Tool) companion(suffix string) (string, error) {
	path, err := exec.LookPath(t.path)
	if err != nil {
		return "", fmt.Errorf("finding the iptables program: %w", err)
	}
	beside := filepath.Join(filepath.Dir(path), filepath.Base(path)+suffix)
	if _, err := exec.LookPath(beside); err != nil {
		return "", fmt.Errorf("finding iptables%s: %w", suffix, err)
	}
	return beside, nil
}
