package main

import (
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// outsidePlace names the outside world's network namespace. An empty place is
// the host's own, "pid:N" that of process N.
const outsidePlace = "outside"

// Command is a program to run in a private host.
type Command struct {
	Args    []string
	Place   string
	Timeout time.Duration // a minute by default
	Log     string        // for Start: where the output goes
}

// Result is what a command left behind.
type Result struct {
	Stdout, Stderr string
	Code           int // exit code, 128+n after signal n
	Elapsed        time.Duration
}

// Batch are commands of which Workers run at a time.
type Batch struct {
	Commands []Command
	Workers  int
}

// BatchResult has the time from the first start to the last end, and the
// results in the order of the commands.
type BatchResult struct {
	Elapsed time.Duration
	Results []Result
}

// Agent answers bench from inside a private host.
type Agent struct {
	outside *os.File
}

// agentMain serves until bench closes the connection.
func agentMain() error {
	syscall.CloseOnExec(socketFD)
	file := os.NewFile(socketFD, "bench")
	conn, err := net.FileConn(file)
	if err != nil {
		return fmt.Errorf("using the connection to bench: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("closing the copy of the connection: %w", err)
	}
	outside, err := wire()
	if err != nil {
		return err
	}
	server := rpc.NewServer()
	if err := server.Register(&Agent{outside: outside}); err != nil {
		return fmt.Errorf("offering the agent: %w", err)
	}
	server.ServeConn(lastWord{conn})
	return nil
}

// lastWord ends the agent as soon as bench is gone. The server alone would wait for
// the command that runs.
type lastWord struct{ net.Conn }

func (c lastWord) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		os.Exit(0)
	}
	return n, err
}

// Ready answers when the host is complete.
func (a *Agent) Ready(_ bool, ready *bool) error {
	*ready = true
	return nil
}

// Run runs a command to its end and measures from before its fork until it
// was waited for.
func (a *Agent) Run(c Command, r *Result) error {
	out, err := memory("stdout")
	if err != nil {
		return err
	}
	defer out.Close()
	errOut, err := memory("stderr")
	if err != nil {
		return err
	}
	defer errOut.Close()
	if c.Timeout == 0 {
		c.Timeout = time.Minute
	}
	cmd := prepare(c)
	// Files, not pipes: a background process that keeps them open must not
	// make this wait.
	cmd.Stdout, cmd.Stderr = out, errOut
	begin := time.Now()
	if err := a.in(c.Place, cmd.Start); err != nil {
		return fmt.Errorf("starting %s: %w", strings.Join(c.Args, " "), err)
	}
	late := killLater(cmd, c.Timeout)
	err = cmd.Wait()
	r.Elapsed = time.Since(begin)
	if !late.Stop() {
		return fmt.Errorf("%s: killed, it took more than %v", strings.Join(c.Args, " "), c.Timeout)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("waiting for %s: %w", strings.Join(c.Args, " "), err)
	}
	r.Code = exitCode(cmd.ProcessState)
	if r.Stdout, err = content(out); err == nil {
		r.Stderr, err = content(errOut)
	}
	return err
}

// Batch runs the commands, Workers at a time.
func (a *Agent) Batch(b Batch, r *BatchResult) error {
	r.Results = make([]Result, len(b.Commands))
	errs := make([]error, len(b.Commands))
	next := make(chan int)
	var wg sync.WaitGroup
	begin := time.Now()
	for range b.Workers {
		wg.Go(func() {
			for i := range next {
				errs[i] = a.Run(b.Commands[i], &r.Results[i])
			}
		})
	}
	for i := range b.Commands {
		next <- i
	}
	close(next)
	wg.Wait()
	r.Elapsed = time.Since(begin)
	return errors.Join(errs...)
}

// Start starts a command that stays, and returns its process id.
func (a *Agent) Start(c Command, pid *int) error {
	log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", c.Args[0], err)
	}
	defer log.Close()
	cmd := prepare(c)
	cmd.Stdout, cmd.Stderr = log, log
	if err := a.in(c.Place, cmd.Start); err != nil {
		return fmt.Errorf("starting %s: %w", strings.Join(c.Args, " "), err)
	}
	*pid = cmd.Process.Pid
	// It ends with the host; what it has to say is in its log.
	go cmd.Wait()
	return nil
}

// prepare turns c into a process group of its own.
func prepare(c Command) *exec.Cmd {
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// killLater kills the group of cmd after the time. The caller stops it.
func killLater(cmd *exec.Cmd, after time.Duration) *time.Timer {
	return time.AfterFunc(after, func() {
		// The one possible error says that it has just ended.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	})
}

// in calls f in the network namespace of a place.
func (a *Agent) in(place string, f func() error) error {
	if place == "" {
		return f()
	}
	ns := a.outside
	if pid, ok := strings.CutPrefix(place, "pid:"); ok {
		file, err := os.Open(filepath.Join("/proc", pid, "ns/net"))
		if err != nil {
			return fmt.Errorf("finding the network namespace of process %s: %w", pid, err)
		}
		defer file.Close()
		ns = file
	} else if place != outsidePlace {
		return fmt.Errorf("no such place: %s", place)
	}
	return onThread(func() error {
		if err := enterNet(ns); err != nil {
			return err
		}
		return f()
	})
}

func exitCode(s *os.ProcessState) int {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return s.ExitCode()
}

// memory makes a file that is nowhere on a disk.
func memory(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making a file for %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func content(f *os.File) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", f.Name(), err)
	}
	return string(b), nil
}
