package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Command is a program to run around a private host.
type Command struct {
	Args    []string      // program and arguments; the program is looked up in the host's PATH
	Place   Place         // network namespace; Inside by default
	Stdin   string        // empty: /dev/null
	Env     []string      // "KEY=value", added to the host's environment
	Dir     string        // working directory; "/" by default
	Timeout time.Duration // 60 s by default; then its process group is killed
}

// Result is what a command left behind.
type Result struct {
	Args    []string
	Stdout  string
	Stderr  string
	Code    int   // exit code; 128+n after signal n; -1 when Err is set
	Err     error // it could not be started, took too long, or left its output open
	Elapsed time.Duration
}

// Out is the standard output without white space at its ends.
func (r Result) Out() string { return strings.TrimSpace(r.Stdout) }

// String describes the command and its result for a test's message.
func (r Result) String() string {
	s := fmt.Sprintf("$ %s\nexit code %d after %v\n", strings.Join(r.Args, " "), r.Code, r.Elapsed.Round(time.Millisecond))
	if r.Err != nil {
		s += fmt.Sprintf("error: %v\n", r.Err)
	}
	return s + "stdout:\n" + indent(r.Stdout) + "stderr:\n" + indent(r.Stderr)
}

func indent(s string) string {
	if s == "" {
		return ""
	}
	return "    " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n    ") + "\n"
}

// Run runs mini in the host with its --root, its --state and args.
func (h *Host) Run(args ...string) Result { return h.Do(h.Mini(args...)) }

// MustRun is [Host.Run] for a command that has to succeed. It returns the trimmed
// standard output.
func (h *Host) MustRun(args ...string) string {
	h.t.Helper()
	return h.must(h.Run(args...))
}

// Mini returns the command that [Host.Run] runs, to be changed before it is
// given to [Host.Do], [Host.Start] or [Host.Pty].
func (h *Host) Mini(args ...string) Command {
	h.mu.Lock()
	h.ran = true
	h.mu.Unlock()
	all := append([]string{h.cfg.binary, "--root", h.Root, "--state", h.State}, h.cfg.global...)
	return Command{Args: append(all, args...)}
}

// Exec runs any program in the host.
func (h *Host) Exec(args ...string) Result { return h.Do(Command{Args: args}) }

// MustExec is [Host.Exec] for a program that has to succeed. It returns the
// trimmed standard output.
func (h *Host) MustExec(args ...string) string {
	h.t.Helper()
	return h.must(h.Exec(args...))
}

// Outside runs any program in the outside world.
func (h *Host) Outside(args ...string) Result {
	return h.Do(Command{Args: args, Place: Outside})
}

// MustOutside is [Host.Outside] for a program that has to succeed. It returns
// the trimmed standard output.
func (h *Host) MustOutside(args ...string) string {
	h.t.Helper()
	return h.must(h.Outside(args...))
}

func (h *Host) must(r Result) string {
	h.t.Helper()
	if r.Code != 0 {
		h.t.Fatalf("%v", r)
	}
	return r.Out()
}

// Do runs a command to its end.
func (h *Host) Do(c Command) Result {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = time.Minute
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	r := Result{Args: c.Args, Code: -1}
	cmd, err := h.command(ctx, c)
	if err != nil {
		r.Err = err
		return r
	}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	begin := time.Now()
	if err = h.In(c.Place, cmd.Start); err == nil {
		err = cmd.Wait()
	}
	r.Elapsed = time.Since(begin)
	r.Stdout, r.Stderr = out.String(), errOut.String()
	r.Code, r.Err = outcome(cmd, err)
	if ctx.Err() != nil {
		r.Code, r.Err = -1, fmt.Errorf("killed: it ran for more than %v", timeout)
	}
	return r
}

// command prepares c. The caller starts it inside c.Place.
func (h *Host) command(ctx context.Context, c Command) (*exec.Cmd, error) {
	if len(c.Args) == 0 || c.Args[0] == "" {
		return nil, errors.New("no program to run (was mini built?)")
	}
	path, err := lookPath(c.Args[0], h.binDir()+":"+systemPath)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, c.Args[1:]...)
	cmd.Args[0] = c.Args[0]
	cmd.Dir = "/"
	if c.Dir != "" {
		cmd.Dir = c.Dir
	}
	cmd.Env = append(h.environ(), c.Env...)
	if c.Stdin != "" {
		cmd.Stdin = strings.NewReader(c.Stdin)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// A background process that keeps its parent's output open would make the
	// test wait for it; nothing that mini leaves running may do that.
	cmd.WaitDelay = 3 * time.Second
	return cmd, nil
}

// outcome turns what Wait returned into an exit code, or an error that is not
// the command's own.
func outcome(cmd *exec.Cmd, err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.Is(err, exec.ErrWaitDelay):
		return -1, errors.New("it ended, but left its standard output or error open in another process")
	case !errors.As(err, &exit):
		return -1, fmt.Errorf("running %s: %w", cmd.Path, err)
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return exit.ExitCode(), nil
}
