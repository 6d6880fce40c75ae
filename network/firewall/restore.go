package firewall

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// CommandError is a program that failed, with what it said.
type CommandError struct {
	Args   []string
	Stderr string
	Err    error
}

func (e *CommandError) Error() string {
	return fmt.Sprintf("running %s: %s: %s", strings.Join(e.Args, " "), e.Err, strings.TrimSpace(e.Stderr))
}

// Unwrap gives the cause.
func (e *CommandError) Unwrap() error { return e.Err }

// script writes rules as input for iptables-restore, grouped by table, with
// the order inside a table kept.
func script(rules []Rule, op func(Rule) string) string {
	var tables []string
	for _, r := range rules {
		if !slices.Contains(tables, r.Table) {
			tables = append(tables, r.Table)
		}
	}
	var b strings.Builder
	for _, table := range tables {
		fmt.Fprintf(&b, "*%s\n", table)
		for _, r := range rules {
			if r.Table == table {
				// No word of ours holds a space or a quote: see Rule's makers.
				fmt.Fprintf(&b, "%s %s %s\n", op(r), r.Chain, strings.Join(r.Spec, " "))
			}
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}

// restore feeds input to iptables-restore, which changes only what it names.
func (t *Tool) restore(ctx context.Context, input string) error {
	path, err := t.restorePath()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, "--noflush", "-w")
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdin = strings.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return &CommandError{Args: cmd.Args, Stderr: stderr.String(), Err: err}
	}
	return nil
}

// restorePath finds iptables-restore beside the iptables program, so that both
// are of one back end.
func (t *Tool) restorePath() (string, error) {
	path, err := exec.LookPath(t.path)
	if err != nil {
		return "", fmt.Errorf("finding the iptables program: %w", err)
	}
	restore := filepath.Join(filepath.Dir(path), filepath.Base(path)+"-restore")
	if _, err := os.Stat(restore); err != nil {
		return "", fmt.Errorf("finding iptables-restore: %w", err)
	}
	return restore, nil
}
