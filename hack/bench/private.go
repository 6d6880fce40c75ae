package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// privateHost is a place for one engine; see the package's documentation.
type privateHost struct {
	name    string
	dir     string // on the machine's disk, seen inside at the same path
	cmd     *exec.Cmd
	stderr  bytes.Buffer
	agent   *rpc.Client
	cgroups []cgroupDir
	once    sync.Once
}

// layout tells which cgroup hierarchies a private host has.
type layout string

const (
	asMachine layout = "machine" // those of the machine
	plainV2   layout = "v2"      // version 2 alone, at /sys/fs/cgroup
)

// setup is what process 1 of a private host is told.
type setup struct {
	Dir     string
	Layout  layout
	Cgroups []hierarchy
}

// newHost makes a private host below parent and waits until its agent answers.
func newHost(parent, name string, l layout) (*privateHost, error) {
	h := &privateHost{name: name, dir: filepath.Join(parent, name)}
	if err := os.MkdirAll(h.dir, 0o755); err != nil {
		return nil, fmt.Errorf("making a directory for %s: %w", name, err)
	}
	if err := h.start(l); err != nil {
		return nil, errors.Join(fmt.Errorf("making a private host for %s: %w", name, err), h.destroy())
	}
	var ready bool
	if err := h.agent.Call("Agent.Ready", true, &ready); err != nil {
		return nil, errors.Join(fmt.Errorf("the private host for %s did not start: %w: %s", name, err, h.stderr.String()), h.destroy())
	}
	return h, nil
}

// start runs process 1, puts it into its cgroups and tells it to go on.
func (h *privateHost) start(l layout) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	if h.cgroups, err = makeCgroups(all, filepath.Base(filepath.Dir(h.dir))+"-"+h.name); err != nil {
		return err
	}
	theirs, err := h.socket()
	if err != nil {
		return err
	}
	defer theirs.Close()
	h.cmd = exec.Command("/proc/self/exe")
	h.cmd.Args = []string{initName}
	h.cmd.Dir = "/"
	h.cmd.Stderr = &h.stderr
	h.cmd.ExtraFiles = []*os.File{theirs}
	h.cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid: true, // the terminal's ^C is for bench alone
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET |
			unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
	}
	stdin, err := h.cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("making a pipe: %w", err)
	}
	if err := h.cmd.Start(); err != nil {
		h.cmd = nil
		return fmt.Errorf("starting it: %w", err)
	}
	for _, c := range h.cgroups {
		if err := c.add(h.cmd.Process.Pid); err != nil {
			return err
		}
	}
	if err := json.NewEncoder(stdin).Encode(setup{h.dir, l, all}); err != nil {
		return fmt.Errorf("telling it what to do: %w", err)
	}
	return stdin.Close()
}

// socket makes the connection to the agent and returns the agent's end.
func (h *privateHost) socket() (*os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a socket pair: %w", err)
	}
	// Non-blocking, or Close would wait for the read that rpc is in.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, fmt.Errorf("making a socket non-blocking: %w", err)
	}
	h.agent = rpc.NewClient(os.NewFile(uintptr(fds[0]), "agent"))
	return os.NewFile(uintptr(fds[1]), "bench"), nil
}

// call asks the agent and waits for its answer. When ctx ends first the call is given up.
func (h *privateHost) call(ctx context.Context, method string, args, reply any) error {
	call := h.agent.Go("Agent."+method, args, reply, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		return call.Error
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// destroy ends all that runs in the host and removes it. It may be called
// more than once.
func (h *privateHost) destroy() error {
	var err error
	h.once.Do(func() { err = h.tearDown() })
	return err
}

func (h *privateHost) tearDown() error {
	if h.agent != nil {
		// The one error says that it is closed already.
		_ = h.agent.Close()
	}
	if h.cmd != nil {
		// Process 1 takes the whole PID namespace with it, and is gone itself
		// only after all the others.
		if err := h.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("ending the private host of %s: %w", h.name, err)
		}
		// How it ended does not matter.
		_ = h.cmd.Wait()
	}
	return errors.Join(removeCgroups(h.cgroups), poll(5*time.Second, func() error { return os.RemoveAll(h.dir) }))
}

// poll calls f until it returns nil or d has passed, and returns its last error then.
func poll(d time.Duration, f func() error) error {
	end := time.Now().Add(d)
	for {
		err := f()
		if err == nil || time.Now().After(end) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}
