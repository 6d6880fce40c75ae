package nsinit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Options say how the child is cloned.
type Options struct {
	// Namespaces are CLONE_NEW* flags of clone(2).
	Namespaces uint64
	// Cgroup is an open cgroup v2 directory that the child is born in
	// (CLONE_INTO_CGROUP, Linux 5.7), or nil.
	Cgroup *os.File
}

// Child is a process that carries out a [Program].
type Child struct {
	// Pid is the process id in the caller's PID namespace.
	Pid int
	// Pidfd refers to the process; the caller closes it.
	Pidfd *os.File

	program *Program
	channel *os.File
	paused  bool // it paused before AwaitFork could tell who it is
}

// CallError is the failure of one system call in the child.
type CallError struct {
	Call  string     // such as `mount proc on /proc`
	Errno unix.Errno // what the kernel said
	Exec  bool       // the call was the final execve
}

func (e *CallError) Error() string { return fmt.Sprintf("%s: %s", e.Call, e.Errno.Error()) }

// Unwrap gives the errno.
func (e *CallError) Unwrap() error { return e.Errno }

// Start forks a child that carries out p. The calling goroutine must stay
// locked to its thread while a call of p asks for a parent-death signal: the
// kernel sends that when the parent *thread* ends (PR_SET_PDEATHSIG(2const)).
func Start(p *Program, opt Options) (*Child, error) {
	if p.err != nil {
		return nil, p.err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a channel to the init: %w", err)
	}
	defer unix.Close(pair[1])
	pidfd := p.Bytes(make([]byte, 4)) // the kernel writes it: it must not move
	if p.err != nil {
		unix.Close(pair[0])
		return nil, p.err
	}
	args := &cloneArgs{
		flags:      opt.Namespaces | unix.CLONE_PIDFD,
		pidfd:      uint64(pidfd),
		exitSignal: uint64(unix.SIGCHLD),
	}
	if opt.Cgroup != nil {
		args.flags |= unix.CLONE_INTO_CGROUP
		args.cgroup = uint64(opt.Cgroup.Fd())
	}
	syscall.ForkLock.Lock()
	pid, errno := forkAndInterpret(p.arena, args, uintptr(pair[1]), uintptr(pair[0]))
	syscall.ForkLock.Unlock()
	if errno != 0 {
		unix.Close(pair[0])
		return nil, fmt.Errorf("cloning the init with flags %#x: %w", args.flags, errno)
	}
	c := &Child{Pid: int(pid), program: p, channel: os.NewFile(uintptr(pair[0]), "init channel")}
	if c.Pidfd, err = newPidfd(int(p.int32At(pidfd))); err != nil {
		c.Abandon()
		return nil, err
	}
	return c, nil
}

// AwaitPause waits until the child reaches the next pause. It returns a
// [*CallError] when a call failed before it.
func (c *Child) AwaitPause() error {
	if c.paused {
		c.paused = false
		return nil
	}
	r, err := c.read()
	if err != nil {
		return err
	}
	if r.kind != 'm' {
		return fmt.Errorf("init program answered %q where it should pause", rune(r.kind))
	}
	return nil
}

// Resume lets a paused child go on.
func (c *Child) Resume() error {
	if _, err := c.channel.Write(make([]byte, reportSize)); err != nil {
		return fmt.Errorf("resuming the init: %w", err)
	}
	return nil
}

// AwaitFork waits for the process made by [Program.Fork], reaps the one that
// made it, and turns c into the new one. Of the two, either may report first.
func (c *Child) AwaitFork() error {
	r, err := c.read()
	if err == nil && r.kind == 'm' {
		c.paused = true
		r, err = c.read()
	}
	if err != nil {
		return err
	}
	if r.kind != 'f' {
		return fmt.Errorf("init program answered %q where it should fork", rune(r.kind))
	}
	pid := int(r.value)
	if _, err := c.Wait(); err != nil {
		return errors.Join(err, discard(pid))
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return errors.Join(fmt.Errorf("opening a pidfd of process %d: %w", pid, err), discard(pid))
	}
	c.Pidfd.Close()
	c.Pid = pid
	c.Pidfd, err = newPidfd(fd)
	return err
}

// discard ends and reaps a child without a pidfd. Left alone, even as a
// zombie, it would keep its PID namespace from ending.
func discard(pid int) error {
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		return fmt.Errorf("killing process %d: %w", pid, err)
	}
	for {
		_, err := unix.Wait4(pid, nil, 0, nil)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("waiting for process %d: %w", pid, err)
		}
	}
}

// Wait waits until the process has ended, reaps it, and gives its status. The
// goroutine sleeps in the poller and holds no thread: a pidfd becomes readable
// when its process ends (pidfd_open(2)).
func (c *Child) Wait() (unix.WaitStatus, error) {
	conn, err := c.Pidfd.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("waiting for process %d: %w", c.Pid, err)
	}
	var status unix.WaitStatus
	var waitErr error
	err = conn.Read(func(uintptr) bool {
		var pid int
		pid, waitErr = unix.Wait4(c.Pid, &status, unix.WNOHANG, nil)
		return pid != 0 || waitErr != nil && !errors.Is(waitErr, unix.EINTR)
	})
	if err := errors.Join(err, waitErr); err != nil {
		return 0, fmt.Errorf("waiting for process %d: %w", c.Pid, err)
	}
	return status, nil
}

// Signal sends a signal to the process, never to another that got its pid.
func (c *Child) Signal(sig unix.Signal) error {
	conn, err := c.Pidfd.SyscallConn()
	var sent error
	if err == nil {
		err = conn.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
	}
	if err := errors.Join(err, sent); err != nil {
		return fmt.Errorf("sending %s to process %d: %w", sig, c.Pid, err)
	}
	return nil
}

// File takes a copy of the child's descriptor number n (pidfd_getfd(2)).
func (c *Child) File(n int) (*os.File, error) {
	conn, err := c.Pidfd.SyscallConn()
	fd := -1
	var getErr error
	if err == nil {
		err = conn.Control(func(pidfd uintptr) { fd, getErr = unix.PidfdGetfd(int(pidfd), n, 0) })
	}
	if err := errors.Join(err, getErr); err != nil {
		return nil, fmt.Errorf("taking descriptor %d of process %d: %w", n, c.Pid, err)
	}
	return os.NewFile(uintptr(fd), fmt.Sprintf("descriptor %d of process %d", n, c.Pid)), nil
}

// FD is the number of the pidfd, or -1 when it is closed. Unlike
// [os.File.Fd] it leaves the file in non-blocking mode.
func (c *Child) FD() int {
	number := -1
	if conn, err := c.Pidfd.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { number = int(fd) }) // closed: -1
	}
	return number
}

// newPidfd makes a file of a pidfd that the poller accepts.
func newPidfd(fd int) (*os.File, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("setting a pidfd non-blocking: %w", err)
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// AwaitExec waits until the program's final execve succeeded, or returns a
// [*CallError]. It closes the channel.
func (c *Child) AwaitExec() error {
	defer c.channel.Close()
	r, err := c.read()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("init program answered %q where it should execute", rune(r.kind))
}

// Abandon closes the channel: a child that pauses now, or later, exits.
func (c *Child) Abandon() { c.channel.Close() }

// read takes one report. End of file means that the child executed, or died.
func (c *Child) read() (report, error) {
	var r report
	buf := unsafe.Slice((*byte)(unsafe.Pointer(&r)), reportSize)
	n, err := c.channel.Read(buf)
	if err != nil {
		return r, fmt.Errorf("hearing from the init: %w", err)
	}
	if n != int(reportSize) {
		return r, fmt.Errorf("hearing from the init: %d bytes instead of %d", n, reportSize)
	}
	if r.kind == 'e' {
		return r, c.program.failure(r)
	}
	return r, nil
}

func (p *Program) failure(r report) error {
	if int(r.call) >= len(p.names) {
		return fmt.Errorf("the init ran past its program at call %d", r.call)
	}
	kind := p.arena.calls[r.call].kind
	return &CallError{Call: p.names[r.call], Errno: unix.Errno(r.value), Exec: kind == exec || kind == noexec}
}
