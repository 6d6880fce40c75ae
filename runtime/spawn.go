package runtime

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/runtime/wire"
)

// StartOptions say how to start a container.
type StartOptions struct {
	Attach  *Attach // nil: detached
	Explain bool    // tell each step to StartOptions.Note
	// Note is told explanations and notices while the container starts. May be nil.
	Note func(text string)
	// Rows and Cols are the size of the client's terminal, 0 when unknown.
	Rows, Cols uint16
}

// Start starts a container that is not running. It returns when its command
// was executed, or with a [*StartError].
func (c *Container) Start(ctx context.Context, opt StartOptions) (*Session, error) {
	if l := c.life; l != nil {
		c.life = nil
		return c.start(ctx, l, opt)
	}
	if c.State.Status == Running {
		return nil, errorf(ErrRunning, "container %s is already running", c.Config.Name)
	}
	l, err := c.takeOver(ctx)
	if errors.Is(err, errAlive) {
		return nil, errorf(ErrRunning, "container %s is already running", c.Config.Name)
	}
	if err != nil {
		return nil, err
	}
	return c.start(ctx, l, opt)
}

// start spawns the monitor and hands it the container's lock.
func (c *Container) start(ctx context.Context, l *life, opt StartOptions) (*Session, error) {
	defer l.close()
	conn, err := spawnMonitor(l, c.Config.ID)
	if err != nil {
		return nil, errors.Join(err, l.end(c.r, c.Config.ID))
	}
	options := c.r.opt
	options.Notice = nil
	request := startRequest{
		Options: options, ID: c.Config.ID, Attach: opt.Attach, Explain: opt.Explain, Rows: opt.Rows, Cols: opt.Cols,
	}
	if err := send(conn, opStart, request); err != nil {
		conn.Close()
		return nil, err
	}
	s, err := awaitStarted(ctx, conn, opt.Note)
	if err != nil {
		return nil, err
	}
	c.State.Status = Running
	s.init = c
	return s, nil
}

// spawnMonitor executes this very binary as a monitor, in a session of its
// own. The id is for people who look at a list of processes. See [sealedSelf]
// for where the binary is executed from.
func spawnMonitor(l *life, id string) (*wire.Conn, error) {
	exe, err := sealedSelf()
	if err != nil {
		return nil, err
	}
	defer exe.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a connection to the monitor: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "monitor"), os.NewFile(uintptr(pair[1]), "starter")
	defer theirs.Close()
	cmd := &exec.Cmd{
		Path: fmt.Sprintf("/proc/self/fd/%d", exe.Fd()), Args: []string{MonitorName, id}, Dir: "/",
		// A monitor waits nearly all its life and should be small. One start
		// makes less garbage than a collection of it needs memory, and the
		// forced collection after two idle minutes would be one too: so none
		// happens before the limit.
		Env:         append(os.Environ(), "GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=16MiB"),
		ExtraFiles:  []*os.File{theirs, l.file, exe}, // descriptors 3, 4 and 5
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	// What the user's shell had open, a lock or the end of a pipe perhaps, must
	// not stay open for the container's life.
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		ours.Close()
		return nil, fmt.Errorf("keeping open files from the monitor: %w", err)
	}
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, fmt.Errorf("starting the monitor: %w", err)
	}
	// Nobody waits for the monitor: it outlives this process.
	if err := cmd.Process.Release(); err != nil {
		return nil, fmt.Errorf("letting the monitor go: %w", err)
	}
	return connOf(ours)
}

// sealedSelf opens the running binary through a mount of its own, attached
// nowhere, that is read-only and that the monitor makes non-executable once it
// is loaded: earlier, the kernel would refuse to map it. A
// process on its way into a container has this file as its /proc/self/exe: so a
// container can neither write to the binary nor run it (CVE-2019-5736).
func sealedSelf() (*os.File, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, "/proc/self/exe", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cloning the mount of the mini binary: %w", err)
	}
	f := os.NewFile(uintptr(fd), "mini")
	if err := setMount(f, unix.MOUNT_ATTR_RDONLY); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func setMount(f *os.File, attr uint64) error {
	err := unix.MountSetattr(int(f.Fd()), "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: attr})
	if err != nil {
		return fmt.Errorf("sealing the mount of the mini binary: %w", err)
	}
	return nil
}

// connOf makes a connection of a socket, whose file it closes.
func connOf(f *os.File) (*wire.Conn, error) {
	defer f.Close()
	stream, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("using the connection between command and monitor: %w", err)
	}
	return wire.NewConn(stream), nil
}
