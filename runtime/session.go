package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/runtime/wire"
)

// Attach says which streams a client is connected to.
type Attach struct {
	Stdin  bool `json:"stdin,omitempty"`
	Stdout bool `json:"stdout,omitempty"`
	Stderr bool `json:"stderr,omitempty"`
}

// StartOptions say how to start a container.
type StartOptions struct {
	Attach  *Attach // nil: detached
	Explain bool    // tell each step to StartOptions.Note
	// Note is told explanations and notices while the container starts. May be nil.
	Note func(text string)
	// Rows and Cols are the size of the client's terminal, 0 when unknown.
	Rows, Cols uint16
}

// Session is one client of a process: of a start, an attach or an exec.
type Session struct {
	conn *wire.Conn
	note func(string)
	init *Container // whose init it is a client of; nil for an exec
}

// Streams are a client's ends of the process's standard streams; each may be nil.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Start starts a container that is not running. It returns when its command
// was executed, or with a [*StartError].
func (c *Container) Start(ctx context.Context, opt StartOptions) (*Session, error) {
	if l := c.life; l != nil {
		c.life = nil
		return c.start(ctx, l, opt)
	}
	if c.State.Status == Running {
		return nil, errorf(ErrConflict, "container %s is already running", c.Config.Name)
	}
	l, err := c.r.takeLife(c.Config.ID, c.note())
	if errors.Is(err, errAlive) {
		return nil, errorf(ErrConflict, "container %s is already running", c.Config.Name)
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
// own. The id is for people who look at a list of processes. The path is a read-only, detached mount of the file: whoever gets hold
// of the monitor's /proc/PID/exe cannot write to it (CVE-2019-5736).
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
		ExtraFiles:  []*os.File{theirs, l.file}, // descriptors 3 and 4
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
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

// sealedSelf opens the running binary through a mount of its own that is
// read-only and attached nowhere.
func sealedSelf() (*os.File, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, "/proc/self/exe", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cloning the mount of the mini binary: %w", err)
	}
	f := os.NewFile(uintptr(fd), "mini")
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
		f.Close()
		return nil, fmt.Errorf("making the mount of the mini binary read-only: %w", err)
	}
	return f, nil
}

func send(conn *wire.Conn, op string, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encoding the %s request: %w", op, err)
	}
	return conn.SendJSON(wire.TypeRequest, wire.Request{Op: op, Body: b})
}

// ask connects to the container's monitor and sends a request.
func (c *Container) ask(op string, body any) (*wire.Conn, error) {
	if c.State.Status != Running {
		return nil, c.notRunning()
	}
	conn, err := wire.Dial(c.r.lifeDir(c.Config.ID), socketName)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		return nil, c.notRunning() // it ended since we looked
	}
	if err != nil {
		return nil, fmt.Errorf("reaching the monitor of container %s: %w", c.Config.Name, err)
	}
	if err := send(conn, op, body); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (c *Container) notRunning() error {
	return errorf(ErrConflict, "container %s is not running", c.Config.ID)
}

// awaitStarted waits until the process runs.
func awaitStarted(ctx context.Context, conn *wire.Conn, note func(string)) (*Session, error) {
	s := &Session{conn: conn, note: note}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	for {
		f, err := conn.Recv()
		if err != nil {
			conn.Close()
			return nil, fmt.Errorf("the monitor ended before the container started: %w", err)
		}
		switch f.Type {
		case wire.TypeExplain:
			s.tell(f)
		case wire.TypeStarted:
			return s, nil
		case wire.TypeReply:
			var r wire.Reply
			defer conn.Close()
			if err := f.Decode(&r); err != nil {
				return nil, err
			}
			return nil, errorf(ErrConflict, "%s", r.Error)
		case wire.TypeExit:
			var e wire.Exit
			defer conn.Close()
			if err := f.Decode(&e); err != nil {
				return nil, err
			}
			return nil, &StartError{Code: e.Code, Err: errors.New(e.Error)}
		}
	}
}

func (s *Session) tell(f wire.Frame) {
	if s.note != nil {
		s.note(string(f.Payload))
	}
}

// Attach connects to a running container's streams.
func (c *Container) Attach(ctx context.Context, a Attach) (*Session, error) {
	conn, err := c.ask(opAttach, a)
	if err != nil {
		return nil, err
	}
	if err := awaitReply(conn); err != nil {
		conn.Close()
		return nil, err
	}
	return &Session{conn: conn, init: c}, nil
}

// awaitReply reads the answer to a request.
func awaitReply(conn *wire.Conn) error {
	f, err := conn.Recv()
	if err != nil {
		return fmt.Errorf("the monitor did not answer: %w", err)
	}
	if f.Type != wire.TypeReply {
		return fmt.Errorf("the monitor answered with a %s frame", f.Type)
	}
	var r wire.Reply
	if err := f.Decode(&r); err != nil {
		return err
	}
	if r.Error != "" {
		return errorf(ErrConflict, "%s", r.Error)
	}
	return nil
}

// Stream copies between the client's streams and the process's until the
// process ends, and gives its exit code. When the connection ends first,
// because of [Session.Close] or because the monitor died, the error says so.
func (s *Session) Stream(streams Streams) (code int, err error) {
	if streams.In != nil {
		go s.copyIn(streams.In)
	}
	for {
		f, err := s.conn.Recv()
		if err != nil {
			return ExitMini, fmt.Errorf("the connection to the container was lost: %w", err)
		}
		var out io.Writer
		switch f.Type {
		case wire.TypeStdout:
			out = streams.Out
		case wire.TypeStderr:
			out = streams.Err
		case wire.TypeExplain:
			s.tell(f)
		case wire.TypeExit:
			return s.exit(f)
		}
		if out == nil {
			continue
		}
		if _, err := out.Write(f.Payload); err != nil {
			return ExitMini, fmt.Errorf("writing the container's output: %w", err)
		}
	}
}

func (s *Session) exit(f wire.Frame) (int, error) {
	defer s.conn.Close()
	var e wire.Exit
	if err := f.Decode(&e); err != nil {
		return ExitMini, err
	}
	if e.Error != "" {
		return e.Code, errors.New(e.Error)
	}
	return e.Code, nil
}

// copyIn ends with its reader, or with the connection.
func (s *Session) copyIn(in io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := in.Read(buf)
		if n > 0 {
			if s.conn.Send(wire.TypeStdin, buf[:n]) != nil {
				return // Stream tells why
			}
		}
		if err != nil {
			_ = s.conn.Send(wire.TypeStdinEOF, nil) // likewise
			return
		}
	}
}

// Resize tells the process's terminal its size in characters.
func (s *Session) Resize(rows, cols uint16) error { return s.conn.SendResize(rows, cols) }

// Signal sends a signal to the process. To an init it goes over a connection of
// its own: this one may be full of input that the process does not read.
func (s *Session) Signal(sig syscall.Signal) error {
	if s.init != nil {
		return s.init.Signal(sig)
	}
	return s.conn.SendSignal(int(sig))
}

// Close detaches. The process lives on.
func (s *Session) Close() error { return s.conn.Close() }

// connOf makes a connection of a socket, whose file it closes.
func connOf(f *os.File) (*wire.Conn, error) {
	defer f.Close()
	stream, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("using the connection between command and monitor: %w", err)
	}
	return wire.NewConn(stream), nil
}
