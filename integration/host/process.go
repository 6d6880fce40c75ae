package host

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// buffer is a bytes.Buffer that may be read while it grows.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Process is a command that runs in the background. The host's cleanup kills
// it when the test has not.
type Process struct {
	cmd    *exec.Cmd
	args   []string
	begin  time.Time
	stdout buffer
	stderr buffer
	done   chan struct{}
	err    error // what Wait returned; read it after done
}

// Start starts a command and does not wait for it. It ends the test when the command
// cannot be started. The command's Timeout is not heeded.
func (h *Host) Start(c Command) *Process {
	h.t.Helper()
	p := &Process{args: c.Args, done: make(chan struct{}), begin: time.Now()}
	cmd, err := h.command(context.Background(), c)
	if err == nil {
		p.cmd = cmd
		cmd.Stdout, cmd.Stderr = &p.stdout, &p.stderr
		err = h.In(c.Place, cmd.Start)
	}
	if err != nil {
		h.t.Fatalf("starting %v: %v", c.Args, err)
	}
	p.watch()
	h.later(p.kill)
	return p
}

func (p *Process) watch() {
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
}

// Pid is the process id, which is the process group as well.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Stdout is what the process wrote so far.
func (p *Process) Stdout() string { return p.stdout.String() }

// Stderr is what the process wrote so far.
func (p *Process) Stderr() string { return p.stderr.String() }

// Signal sends a signal to the process alone.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Wait waits for the end of the process, for at most d.
func (p *Process) Wait(d time.Duration) Result {
	r := Result{Args: p.args, Code: -1}
	select {
	case <-p.done:
		r.Code, r.Err = outcome(p.cmd, p.err)
	case <-time.After(d):
		r.Err = fmt.Errorf("it still runs after %v", d)
	}
	r.Elapsed = time.Since(p.begin)
	r.Stdout, r.Stderr = p.Stdout(), p.Stderr()
	return r
}

// kill ends the process group, unless the process has ended and its number
// may belong to somebody else.
func (p *Process) kill() {
	select {
	case <-p.done:
		return
	default:
	}
	// The one possible error says that the group is gone already.
	_ = syscall.Kill(-p.Pid(), syscall.SIGKILL)
	<-p.done
}
