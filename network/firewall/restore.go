package firewall

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
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

// line is an operation, such as -A, on a rule.
type line struct {
	op   string
	rule Rule
}

// linesOf gives each rule the same kind of operation.
func linesOf(rules []Rule, op func(Rule) string) []line {
	lines := make([]line, len(rules))
	for i, r := range rules {
		lines[i] = line{op(r), r}
	}
	return lines
}

// script writes the lines of one family as input for iptables-restore, grouped by
// table, with the order inside a table kept.
func (f family) script(lines []line) string {
	var tables []string
	for _, l := range lines {
		if l.rule.V6 == bool(f) && !slices.Contains(tables, l.rule.Table) {
			tables = append(tables, l.rule.Table)
		}
	}
	var b strings.Builder
	for _, table := range tables {
		fmt.Fprintf(&b, "*%s\n", table)
		for _, l := range lines {
			if l.rule.V6 == bool(f) && l.rule.Table == table {
				// No word of ours holds a space or a quote: see Rule's makers.
				fmt.Fprintln(&b, strings.Join(append([]string{l.op, l.rule.Chain}, l.rule.Spec...), " "))
			}
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}

// page is the least capacity of a pipe in bytes, see F_SETPIPE_SZ in fcntl(2).
// iptables-restore reads no more than that at once.
var page = os.Getpagesize()

// padded fills input up to whole pages with a comment.
func padded(input string) string {
	missing := page - len(input)%page
	if missing < 2 {
		missing += page
	}
	return input + "#" + strings.Repeat("-", missing-2) + "\n"
}

// run works off the lines of each family that has some, see [Tool.runOne].
func (t *Tool) run(ctx context.Context, lines []line) error {
	return eachFamily(lines, func(f family, input string) error { return t.runOne(ctx, f, input) })
}

// eachFamily calls do with the script of each family that has lines, and stops at
// the first error.
func eachFamily(lines []line, do func(f family, input string) error) error {
	for _, f := range families {
		if input := f.script(lines); input != "" {
			if err := do(f, input); err != nil {
				return err
			}
		}
	}
	return nil
}

// runOne feeds input to iptables-restore, which changes only what it names, and
// returns when the program has ended. The program inherits the open files of
// [Tool.Hold] and [Tool.Lend]: if mini is killed meanwhile, the locks on them
// stay until the change is made or refused.
func (t *Tool) runOne(ctx context.Context, f family, input string) error {
	c, err := t.start(ctx, f, append(t.lent(), t.hold()...))
	if err != nil {
		return err
	}
	_, err = c.stdin.WriteString(input)
	return c.end(err)
}

// runDelete is run for lines that only delete, and returns when the change
// is committed.
//
// That is some 10 ms before the program ends where it deletes rules: nf_tables
// makes whoever closes a netlink socket wait until the deleted rules are out of
// use on every CPU. Nobody needs to wait for that, so the program is left to end
// alone. It reads page after page of a pipe that holds one page. Once it has
// taken the page after the input, it has worked off the input.
//
// It does not inherit the files of [Tool.Hold]: a dead owner would seem to live
// while the program ends.
func (t *Tool) runDelete(ctx context.Context, lines []line) error {
	return eachFamily(lines, func(f family, input string) error { return t.deleteOne(ctx, f, input) })
}

func (t *Tool) deleteOne(ctx context.Context, f family, input string) error {
	c, err := t.start(ctx, f, t.lent())
	if err != nil {
		return err
	}
	if !c.onePage {
		_, err = c.stdin.WriteString(input)
		return c.end(err)
	}
	// The last byte fits into the pipe when the page before it was taken.
	if _, err = c.stdin.WriteString(padded(input) + padded("") + "\n"); err != nil {
		return c.end(err)
	}
	// The program reads to the end, and fails no more.
	_ = c.stdin.Close()
	return nil
}

// child is a running iptables-restore.
type child struct {
	cmd     *exec.Cmd
	stdin   *os.File
	stderr  bytes.Buffer
	ended   chan error
	onePage bool // the pipe holds one page
}

func (t *Tool) start(ctx context.Context, f family, files []*os.File) (*child, error) {
	path, err := t.companion(f, "-restore")
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe for %s: %w", path, err)
	}
	c := &child{cmd: exec.CommandContext(ctx, path, "--noflush", "-w", strconv.Itoa(t.wait())), stdin: w, ended: make(chan error, 1)}
	c.cmd.Env = append(os.Environ(), "LC_ALL=C")
	c.cmd.Stdin, c.cmd.Stderr, c.cmd.ExtraFiles = r, &c.stderr, files
	// The kernel may round the size up.
	size, err := unix.FcntlInt(r.Fd(), unix.F_SETPIPE_SZ, page)
	c.onePage = err == nil && size == page
	err = c.cmd.Start()
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, &CommandError{Args: c.cmd.Args, Err: errors.Join(err, w.Close())}
	}
	go func() { c.ended <- c.cmd.Wait() }()
	return c, nil
}

// end waits for the program. It has more to say than a failed write.
func (c *child) end(writeErr error) error {
	err := errors.Join(c.stdin.Close(), <-c.ended)
	if err == nil {
		err = writeErr
	}
	if err != nil {
		return &CommandError{Args: c.cmd.Args, Stderr: c.stderr.String(), Err: err}
	}
	return nil
}
