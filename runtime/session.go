package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
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
	if err := c.awaitReply(conn); err != nil {
		conn.Close()
		return nil, err
	}
	return &Session{conn: conn, init: c}, nil
}

// askTelling is ask for a request that is answered by a reply. Explanations
// that come before it are told to note, which may be nil.
func (c *Container) askTelling(op string, body any, note func(string)) (json.RawMessage, error) {
	conn, err := c.ask(op, body)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return whileAnswering(c, conn, func() (json.RawMessage, error) { return awaitReplyTelling(conn, note) })
}

// awaitReply reads the answer to a request.
func (c *Container) awaitReply(conn *wire.Conn) error {
	_, err := whileAnswering(c, conn, func() (json.RawMessage, error) { return awaitReplyTelling(conn, nil) })
	return err
}

func awaitReplyTelling(conn *wire.Conn, note func(string)) (json.RawMessage, error) {
	for {
		f, err := conn.Recv()
		if err != nil {
			return nil, fmt.Errorf("the monitor did not answer: %w", err)
		}
		switch f.Type {
		case wire.TypeExplain:
			if note != nil {
				note(string(f.Payload))
			}
		case wire.TypeReply:
			var r wire.Reply
			if err := f.Decode(&r); err != nil {
				return nil, err
			}
			if r.Error != "" {
				return nil, errorf(ErrConflict, "%s", r.Error)
			}
			return r.Body, nil
		default:
			return nil, fmt.Errorf("the monitor answered with a %s frame", f.Type)
		}
	}
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
