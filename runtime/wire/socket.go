package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listener accepts connections on a socket file.
type Listener struct {
	l    *net.UnixListener
	dir  int // O_PATH
	name string
}

// Listen makes the socket dir/name with mode 0600 and listens on it. A socket
// file that nobody listens on any more is replaced; one that is in use gives
// syscall.EADDRINUSE. The path may be longer than the 108 bytes of sun_path.
func Listen(dir, name string) (*Listener, error) {
	fd, err := openDir(dir, name)
	if err != nil {
		return nil, fmt.Errorf("listening on %s in %s: %w", name, dir, err)
	}
	l, err := listenAt(fd, name)
	if errors.Is(err, unix.EADDRINUSE) && abandoned(fd, name) {
		if err = unix.Unlinkat(fd, name, 0); err == nil || errors.Is(err, unix.ENOENT) {
			l, err = listenAt(fd, name)
		}
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("listening on %s in %s: %w", name, dir, err)
	}
	return &Listener{l: l, dir: fd, name: name}, nil
}

func listenAt(dir int, name string) (*net.UnixListener, error) {
	// A socket's inode takes its mode from the unbound socket: set before
	// bind(2), there is no moment in which the file is open to others.
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
		var merr error
		err := rc.Control(func(fd uintptr) { merr = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, merr)
	}}
	l, err := lc.Listen(context.Background(), "unix", procPath(dir, name))
	if err != nil {
		return nil, bare(err)
	}
	u := l.(*net.UnixListener)
	// The path leads through a descriptor of ours; Close removes the file itself.
	u.SetUnlinkOnClose(false)
	return u, nil
}

// abandoned reports whether name is a socket that nobody listens on.
func abandoned(dir int, name string) bool {
	// connect(2) refuses a plain file too: only a socket may be replaced.
	var st unix.Stat_t
	err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return false
	}
	c, err := net.Dial("unix", procPath(dir, name))
	if err == nil {
		c.Close()
	}
	return errors.Is(err, unix.ECONNREFUSED)
}

// Accept waits for the next client of root or of the same user. Others are
// hung up on. The error is net.ErrClosed after Close.
func (l *Listener) Accept() (*Conn, error) {
	for {
		c, err := l.l.AcceptUnix()
		if err != nil {
			return nil, fmt.Errorf("accepting client: %w", err)
		}
		if checkPeer(c) == nil {
			return NewConn(c), nil
		}
		c.Close()
	}
}

// File duplicates the listening socket, to hand it to another process.
func (l *Listener) File() (*os.File, error) { return l.l.File() }

// Close stops listening and removes the socket file.
func (l *Listener) Close() error {
	err := l.l.Close()
	if l.dir < 0 {
		return err
	}
	if uerr := unix.Unlinkat(l.dir, l.name, 0); uerr != nil && !errors.Is(uerr, unix.ENOENT) {
		err = errors.Join(err, fmt.Errorf("removing socket %s: %w", l.name, uerr))
	}
	unix.Close(l.dir) // O_PATH: nothing to flush
	l.dir = -1
	return err
}

// Dial connects to the socket dir/name. It fails with fs.ErrNotExist when there
// is none, syscall.ECONNREFUSED when nobody listens, and [ErrPeer] when the
// listener is neither root nor the same user.
func Dial(dir, name string) (*Conn, error) {
	fd, err := openDir(dir, name)
	if err != nil {
		return nil, fmt.Errorf("dialling %s in %s: %w", name, dir, err)
	}
	defer unix.Close(fd)
	c, err := net.Dial("unix", procPath(fd, name))
	if err != nil {
		return nil, fmt.Errorf("dialling %s in %s: %w", name, dir, bare(err))
	}
	u := c.(*net.UnixConn)
	if err := checkPeer(u); err != nil {
		u.Close()
		return nil, fmt.Errorf("dialling %s in %s: %w", name, dir, err)
	}
	return NewConn(u), nil
}

func openDir(dir, name string) (int, error) {
	if name == "" || name == "." || name == ".." || strings.ContainsRune(name, '/') {
		return -1, fmt.Errorf("socket name %q: %w", name, unix.EINVAL)
	}
	for {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func procPath(dir int, name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir, name)
}

// bare takes the detour through /proc out of an error of package net.
func bare(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// checkPeer lets root and our own user pass (SO_PEERCRED, unix(7): who called
// connect or listen).
func checkPeer(c *net.UnixConn) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("reading peer's user: %w", err)
	}
	var cred *unix.Ucred
	var cerr error
	err = rc.Control(func(fd uintptr) {
		cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, cerr); err != nil {
		return fmt.Errorf("reading peer's user: %w", err)
	}
	if !allowed(cred.Uid, uint32(os.Geteuid())) {
		return fmt.Errorf("process %d of user %d: %w", cred.Pid, cred.Uid, ErrPeer)
	}
	return nil
}

func allowed(peer, own uint32) bool { return peer == 0 || peer == own }
