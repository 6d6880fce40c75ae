package host

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Pty is a command on a terminal of its own, played by the test.
type Pty struct {
	*Process
	master *os.File

	mu     sync.Mutex
	all    strings.Builder // all that was shown
	seen   int             // how much of it Expect has consumed
	more   chan struct{}   // closed and renewed when something was shown
	closed bool            // nothing more will be shown
}

// Pty starts a command on a new terminal of 80 columns and 24 rows. It ends
// the test when that fails. The command's Stdin and Timeout are not heeded.
func (h *Host) Pty(c Command) *Pty {
	h.t.Helper()
	p, err := h.startPty(c)
	if err != nil {
		h.t.Fatalf("starting %v on a terminal: %v", c.Args, err)
	}
	h.later(p.shut)
	return p
}

func (h *Host) startPty(c Command) (*Pty, error) {
	master, slave, err := openPty()
	if err != nil {
		return nil, err
	}
	defer slave.Close()
	c.Stdin = ""
	cmd, err := h.command(context.Background(), c)
	if err == nil {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		err = h.In(c.Place, cmd.Start)
	}
	if err != nil {
		master.Close()
		return nil, err
	}
	p := &Pty{
		Process: &Process{cmd: cmd, args: c.Args, done: make(chan struct{}), begin: time.Now()},
		master:  master, more: make(chan struct{}),
	}
	p.watch()
	go p.read()
	return p, nil
}

// openPty makes a pseudo terminal; see ioctl_tty(2).
func openPty() (master, slave *os.File, err error) {
	// Non-blocking, so that Close ends a Read.
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("opening /dev/ptmx: %w", err)
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		master.Close()
		return nil, nil, fmt.Errorf("unlocking a terminal: %w", err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: 80, Row: 24}); err != nil {
		master.Close()
		return nil, nil, fmt.Errorf("setting a terminal's size: %w", err)
	}
	// By this ioctl and not by name, since /dev/pts may be another one here.
	flags := unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, uintptr(flags))
	if errno != 0 {
		master.Close()
		return nil, nil, fmt.Errorf("opening a terminal: %w", errno)
	}
	return master, os.NewFile(peer, "tty"), nil
}

// read collects what the terminal shows until its last user is gone.
func (p *Pty) read() {
	buf := make([]byte, 4096)
	for {
		n, err := p.master.Read(buf)
		p.mu.Lock()
		p.all.Write(buf[:n])
		p.closed = err != nil // EIO: no process has the terminal open any more
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Screen is all that was shown so far.
func (p *Pty) Screen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all.String()
}

// Send types text, for instance "ls\r" or "\x10\x11".
func (p *Pty) Send(text string) error {
	if _, err := p.master.WriteString(text); err != nil {
		return fmt.Errorf("typing %q: %w", text, err)
	}
	return nil
}

// Expect waits until the terminal shows something that matches the regular
// expression behind all that earlier calls matched, and returns it with what was shown
// before it.
func (p *Pty) Expect(pattern string, d time.Duration) (string, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return "", fmt.Errorf("expecting %q: %w", pattern, err)
	}
	timeout := time.After(d)
	for {
		p.mu.Lock()
		rest, more, closed := p.all.String()[p.seen:], p.more, p.closed
		m := re.FindStringIndex(rest)
		if m != nil {
			p.seen += m[1]
		}
		p.mu.Unlock()
		if m != nil {
			return rest[:m[1]], nil
		}
		if closed {
			return "", fmt.Errorf("expecting %q: the terminal was closed after showing %q", pattern, rest)
		}
		select {
		case <-more:
		case <-timeout:
			return "", fmt.Errorf("expecting %q: not seen within %v, but %q", pattern, d, rest)
		}
	}
}

// Resize changes the size of the terminal's window.
func (p *Pty) Resize(cols, rows int) error {
	size := &unix.Winsize{Col: uint16(cols), Row: uint16(rows)}
	conn, err := p.master.SyscallConn()
	if err != nil {
		return fmt.Errorf("resizing the terminal: %w", err)
	}
	var ioctlErr error
	err = conn.Control(func(fd uintptr) { ioctlErr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, size) })
	if err == nil {
		err = ioctlErr
	}
	if err != nil {
		return fmt.Errorf("resizing the terminal to %dx%d: %w", cols, rows, err)
	}
	return nil
}

// Close hangs up, as closing a terminal's window does.
func (p *Pty) Close() error { return p.master.Close() }

func (p *Pty) shut() {
	p.kill()
	// Closed twice when the test has hung up itself: no harm.
	_ = p.master.Close()
}
