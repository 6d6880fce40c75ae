package firewall

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
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
	lines := make([]line, len(rules))
	for i, r := range rules {
		lines[i] = line{op(r), r}
	}
	return scriptOf(lines)
}

// replaceScript deletes rules, then adds others.
func replaceScript(drop, add []Rule) string {
	var lines []line
	for _, r := range drop {
		lines = append(lines, line{deleteOp(r), r})
	}
	for _, r := range add {
		lines = append(lines, line{r.addOp(), r})
	}
	return scriptOf(lines)
}

// line is an operation, such as -A, on a rule.
type line struct {
	op   string
	rule Rule
}

func scriptOf(lines []line) string {
	var tables []string
	for _, l := range lines {
		if !slices.Contains(tables, l.rule.Table) {
			tables = append(tables, l.rule.Table)
		}
	}
	var b strings.Builder
	for _, table := range tables {
		fmt.Fprintf(&b, "*%s\n", table)
		for _, l := range lines {
			if l.rule.Table == table {
				// No word of ours holds a space or a quote: see Rule's makers.
				fmt.Fprintf(&b, "%s %s %s\n", l.op, l.rule.Chain, strings.Join(l.rule.Spec, " "))
			}
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}

// page is how much iptables-restore reads at once: stdio's buffer for a pipe,
// and the least capacity of a pipe, see F_SETPIPE_SZ in fcntl(2).
const page = 4096

// padded fills input up to whole pages with a comment.
func padded(input string) string {
	missing := page - len(input)%page
	if missing < 2 {
		missing += page
	}
	return input + "#" + strings.Repeat("-", missing-2) + "\n"
}

// run feeds input to iptables-restore, which changes only what it names, and
// returns when the change is committed, or with wait when the program has ended.
//
// That is some 10 ms before the program ends where it deletes rules: nf_tables
// makes whoever closes a netlink socket wait until the deleted rules are out of
// use on every CPU. Nobody needs to wait for that, so the program is left to end
// alone. It reads page after page of a pipe that holds one page. Once it has
// taken the page after the input, it has worked off the input.
func (t *Tool) run(ctx context.Context, input string, wait bool) error {
	path, err := t.restorePath()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("making a pipe for %s: %w", path, err)
	}
	defer w.Close()
	stderr := new(bytes.Buffer)
	cmd := exec.CommandContext(ctx, path, "--noflush", "-w")
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdin, cmd.Stderr = r, stderr
	_, sizeErr := unix.FcntlInt(r.Fd(), unix.F_SETPIPE_SZ, page)
	err = cmd.Start()
	if err = errors.Join(err, r.Close()); err != nil {
		return &CommandError{Args: cmd.Args, Err: err}
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	// The last byte fits into the pipe when the page before it was taken.
	_, err = w.WriteString(padded(input) + padded("") + "\n")
	if err == nil && sizeErr == nil && !wait {
		return nil
	}
	if err := errors.Join(w.Close(), <-ended); err != nil {
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
