package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/runtime/wire"
)

// Operations of a [wire.Request]. All but signal, attach and ping are answered by an
// Exit frame when the container has ended.
const (
	opStart      = "start"      // startRequest; only on the connection a monitor is born with
	opAttach     = "attach"     // Attach
	opExec       = "exec"       // ExecConfig
	opSignal     = "signal"     // signalRequest
	opStop       = "stop"       // stopRequest
	opWait       = "wait"       // nothing
	opPing       = "ping"       // nothing; answered at once
	opRemove     = "remove"     // RemoveOptions: kill, tear down, delete
	opConnect    = "connect"    // connectRequest
	opDisconnect = "disconnect" // connectRequest
	opPortAdd    = "port-add"   // PortRequest; the reply has the ports as they are published
	opPortRemove = "port-rm"    // PortRequest
)

type signalRequest struct {
	Signal int `json:"signal"`
}

type stopRequest struct {
	Signal  int `json:"signal"`
	Timeout int `json:"timeout"` // seconds; negative: for ever
}

// acceptPause keeps a listener that fails from using a processor up.
const acceptPause = 100 * time.Millisecond

// accept serves connections until the listener is closed.
func (m *monitor) accept() {
	for {
		conn, err := m.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(acceptPause) // no descriptors left, say: others will end
			continue
		}
		go m.handle(conn)
	}
}

// handle reads one request and answers it.
func (m *monitor) handle(conn *wire.Conn) {
	frame, err := conn.Recv()
	var req wire.Request
	if err == nil {
		err = frame.Decode(&req)
	}
	if err != nil || conn.Gone() {
		conn.Close()
		return
	}
	if err := m.dispatch(conn, req); err != nil {
		_ = conn.SendJSON(wire.TypeReply, wire.Reply{Error: err.Error()})
		conn.Close()
	}
}

// dispatch carries one request out. An error is what the client is told.
func (m *monitor) dispatch(conn *wire.Conn, req wire.Request) error {
	switch req.Op {
	case opConnect, opDisconnect, opPortAdd, opPortRemove:
		defer m.audience.join(conn)()
		return m.rewire(conn, req)
	case opAttach:
		return decodeAnd(req, func(a Attach) error { return m.attach(conn, a) })
	case opExec:
		return decodeAnd(req, func(e ExecConfig) error { return m.admitExec(conn, e) })
	case opSignal:
		return decodeAnd(req, func(s signalRequest) error {
			if err := m.signal(s.Signal); err != nil {
				return err
			}
			return reply(conn)
		})
	case opWait:
		return m.register(conn)
	case opPing:
		return reply(conn)
	case opStop:
		return decodeAnd(req, func(s stopRequest) error {
			if err := m.register(conn); err != nil {
				return err
			}
			return m.stop(s)
		})
	case opRemove:
		return decodeAnd(req, func(o RemoveOptions) error { return m.remove(conn, o) })
	}
	return fmt.Errorf("unknown operation %q: the monitor of container %s is of another version of mini; restart the container", req.Op, short(m.req.ID))
}

// errGone is for a client that left before its request was taken up: it was told,
// or has decided, that nothing happened. So nothing does. What a monitor has taken
// up it carries through.
var errGone = errors.New("the client has gone")

// rewire carries out a request that changes the networking.
func (m *monitor) rewire(conn *wire.Conn, req wire.Request) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if conn.Gone() { // while another change was made, say
		return errGone
	}
	switch req.Op {
	case opConnect:
		return decodeAnd(req, func(a connectRequest) error {
			return replyTo(conn, m.connectNetwork(a.NetworkAttachment, m.observer(conn, a.Telling)))
		})
	case opDisconnect:
		return decodeAnd(req, func(a connectRequest) error {
			return replyTo(conn, m.disconnectNetwork(a.Network, m.observer(conn, a.Telling)))
		})
	case opPortAdd:
		return decodeAnd(req, func(p PortRequest) error {
			added, err := m.addPorts(p, m.observer(conn, p.Telling))
			if err != nil {
				return err
			}
			return replyWith(conn, added)
		})
	default: // opPortRemove
		return decodeAnd(req, func(p PortRequest) error {
			return replyTo(conn, m.removePorts(p, m.observer(conn, p.Telling)))
		})
	}
}

func decodeAnd[T any](req wire.Request, do func(T) error) error {
	var body T
	if len(req.Body) > 0 {
		if err := json.Unmarshal(req.Body, &body); err != nil {
			return fmt.Errorf("decoding the %s request: %w", req.Op, err)
		}
	}
	return do(body)
}

func reply(conn *wire.Conn) error {
	defer conn.Close()
	return conn.SendJSON(wire.TypeReply, wire.Reply{})
}

func replyWith(conn *wire.Conn, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encoding the reply: %w", err)
	}
	defer conn.Close()
	return conn.SendJSON(wire.TypeReply, wire.Reply{Body: b})
}

func replyTo(conn *wire.Conn, err error) error {
	if err != nil {
		return err
	}
	return reply(conn)
}

func (m *monitor) attach(conn *wire.Conn, a Attach) error {
	if m.over() {
		return m.notRunning()
	}
	// The answer comes before the first output.
	if err := conn.SendJSON(wire.TypeReply, wire.Reply{}); err != nil {
		return err
	}
	cl := newClient(conn, a)
	if !m.hub.attach(cl) {
		conn.Close()
		return nil
	}
	m.hub.serve(cl, m.signal)
	return nil
}

func (m *monitor) over() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ended
}

// admitExec runs a command unless the container ends.
func (m *monitor) admitExec(conn *wire.Conn, cfg ExecConfig) error {
	if err := m.enterExec(conn); err != nil {
		return err
	}
	defer m.execs.Done()
	m.exec(conn, cfg)
	return nil
}

func (m *monitor) enterExec(conn *wire.Conn) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.ended:
		return m.notRunning()
	case conn.Gone():
		return errGone
	}
	m.execs.Add(1)
	return nil
}

func (m *monitor) notRunning() error {
	return errorf(ErrConflict, "container %s is not running", m.req.ID) // m.c may be changing
}

// register has conn told of the container's end, unless it leaves before.
func (m *monitor) register(conn *wire.Conn) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.told:
		return m.notRunning()
	case conn.Gone():
		return errGone
	}
	if m.waiters == nil {
		m.waiters = map[*wire.Conn]struct{}{}
	}
	m.waiters[conn] = struct{}{}
	go func() {
		_, _ = conn.Recv() // it says nothing more: this returns when it leaves
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.waiters, conn)
		conn.Close()
	}()
	return nil
}

// stop asks the init to end, and kills it when it does not in time.
func (m *monitor) stop(s stopRequest) error {
	_ = m.signal(s.Signal) // ESRCH: it has ended, and conn will be told
	if s.Timeout >= 0 {
		time.AfterFunc(time.Duration(s.Timeout)*time.Second, func() {
			_ = m.signal(int(unix.SIGKILL)) // ESRCH: it ended by itself
		})
	}
	return nil
}

func (m *monitor) remove(conn *wire.Conn, o RemoveOptions) error {
	if err := m.register(conn); err != nil {
		return err
	}
	m.mu.Lock()
	ended := m.ended
	m.removal = &o
	m.mu.Unlock()
	if ended {
		return m.notRunning() // too late to change how it ends
	}
	_ = m.signal(int(unix.SIGKILL)) // ESRCH: it has ended, and conn will be told
	return nil
}
