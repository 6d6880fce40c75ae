package firewall

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// AddTogether makes chains and adds rules in one transaction for each table. It
// does so only where none of the rules' owners has a rule yet, and says whether:
// otherwise each rule must be looked for, see [Tool.Ensure]. Chains that exist
// stay; made are the others. They are given with an error too: then some of
// them, and some of the rules, may be there.
func (t *Tool) AddTogether(ctx context.Context, chains []Chain, rules []Rule) (made []Chain, ok bool, err error) {
	now, err := t.save(ctx)
	if err != nil {
		return nil, false, err
	}
	for _, r := range rules {
		if now.hasOwner(r.owner()) {
			return nil, false, nil
		}
	}
	var lines []line
	for _, c := range chains {
		if !now.chains[c] {
			made = append(made, c)
			lines = append(lines, line{"-N", Rule{Table: c.Table, Chain: c.Name}})
		}
	}
	for _, r := range rules {
		lines = append(lines, line{r.addOp(), r})
	}
	return made, true, t.run(ctx, scriptOf(lines))
}

// saved is what iptables-save printed.
type saved struct {
	chains map[Chain]bool
	rules  []string
}

func (s saved) hasOwner(owner string) bool {
	// The program quotes a comment where it sees need.
	bare, quoted := " --comment mini:"+owner+" ", ` --comment "mini:`+owner+`" `
	return slices.ContainsFunc(s.rules, func(rule string) bool {
		return strings.Contains(rule, bare) || strings.Contains(rule, quoted)
	})
}

// save reads the rules of all tables with one program run.
func (t *Tool) save(ctx context.Context) (saved, error) {
	path, err := t.companion("-save")
	if err != nil {
		return saved{}, err
	}
	cmd := exec.CommandContext(ctx, path)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return saved{}, &CommandError{Args: cmd.Args, Stderr: stderr.String(), Err: err}
	}
	return parseSaved(string(out)), nil
}

// parseSaved reads the format of iptables-save(8).
func parseSaved(text string) saved {
	s, table := saved{chains: make(map[Chain]bool)}, ""
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		switch {
		case strings.HasPrefix(l, "*"):
			table = l[1:]
		case strings.HasPrefix(l, ":"):
			name, _, _ := strings.Cut(l[1:], " ")
			s.chains[Chain{table, name}] = true
		case strings.HasPrefix(l, "-A "):
			s.rules = append(s.rules, l)
		}
	}
	return s
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
