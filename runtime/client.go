package runtime

import (
	"encoding/binary"
	"sync"

	"github.com/minirt/mini/runtime/wire"
)

// maxPending is how much output waits for a client that is slow, in bytes,
// before the process has to wait too, as in Docker.
const maxPending = 1 << 20

// client is one attached connection. Output for it is queued and sent by a
// goroutine of its own, so that one that does not read stops nobody but, at
// length, the process it is attached to; the teardown never waits for it.
type client struct {
	conn           *wire.Conn
	stdin          bool // may type
	stdout, stderr bool // wants to see
	ownsStdin      bool // the end of its input is the process's
	done           chan struct{}

	mu      sync.Mutex
	changed *sync.Cond
	pending []byte // frames: type, length, payload
	hasty   bool   // the process has ended: queue without a bound
	gone    bool
	exit    *wire.Exit // the last frame
}

func newClient(conn *wire.Conn, a Attach) *client {
	cl := &client{conn: conn, stdin: a.Stdin, stdout: a.Stdout, stderr: a.Stderr, done: make(chan struct{})}
	cl.changed = sync.NewCond(&cl.mu)
	return cl
}

// push queues one frame.
func (cl *client) push(kind wire.Type, b []byte) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	for len(cl.pending) > maxPending && !cl.hasty && !cl.gone {
		cl.changed.Wait()
	}
	if cl.gone {
		return
	}
	cl.pending = append(cl.pending, byte(kind))
	cl.pending = binary.NativeEndian.AppendUint32(cl.pending, uint32(len(b)))
	cl.pending = append(cl.pending, b...)
	cl.changed.Broadcast()
}

// update changes the client and wakes who waits for a change.
func (cl *client) update(change func()) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	change()
	cl.changed.Broadcast()
}

// hurry lets the queue grow: the process has ended, and what is left of its
// output is little.
func (cl *client) hurry() { cl.update(func() { cl.hasty = true }) }

// finish queues the last frame. The sender ends after it.
func (cl *client) finish(exit wire.Exit) { cl.update(func() { cl.exit = &exit }) }

// leave says that the client has gone.
func (cl *client) leave() { cl.update(func() { cl.gone = true }) }

// send is the client's goroutine: it empties the queue until the last frame,
// then closes the connection.
func (cl *client) send() {
	defer close(cl.done)
	defer cl.conn.Close()
	var batch []byte
	for {
		cl.mu.Lock()
		for len(cl.pending) == 0 && cl.exit == nil && !cl.gone {
			cl.changed.Wait()
		}
		batch, cl.pending = cl.pending, batch[:0]
		exit, gone := cl.exit, cl.gone
		cl.changed.Broadcast()
		cl.mu.Unlock()
		if gone {
			return
		}
		if !cl.sendBatch(batch) {
			cl.leave()
			return
		}
		if exit != nil && len(batch) == 0 {
			_ = cl.conn.SendJSON(wire.TypeExit, exit) // gone after all: its loss
			return
		}
	}
}

func (cl *client) sendBatch(batch []byte) bool {
	for len(batch) > 0 {
		n := int(binary.NativeEndian.Uint32(batch[1:]))
		if cl.conn.Send(wire.Type(batch[0]), batch[5:5+n]) != nil {
			return false
		}
		batch = batch[5+n:]
	}
	return true
}
