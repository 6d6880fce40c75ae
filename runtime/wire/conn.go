package wire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

var (
	// ErrTooLong is a payload above [MaxPayload], announced or to be sent.
	ErrTooLong = errors.New("frame longer than 65536 bytes")
	// ErrMalformed is a frame whose payload does not fit its type.
	ErrMalformed = errors.New("malformed frame")
	// ErrPeer is a process at the other end that is neither root nor the same user.
	ErrPeer = errors.New("peer belongs to another user")
)

// firstBuffer is enough for the JSON of most requests; output and input make
// the buffer grow when they come.
const firstBuffer = 1 << 10

// Conn sends and receives frames. Any number of goroutines may send; one may
// receive.
type Conn struct {
	c    net.Conn
	unix *net.UnixConn // c, when it can carry files

	mu   sync.Mutex // guards what follows, and the order of frames
	head [headerLen]byte
	vec  [2][]byte
	bufs net.Buffers
	werr error // a frame was cut short: nothing sent after it would be understood

	buf  []byte // received and not yet given out: buf[r:w]
	r, w int
	rerr error // why no more bytes come
	oob  []byte
	held heldFDs
}

// NewConn speaks frames over c. Close it with [Conn.Close].
func NewConn(c net.Conn) *Conn {
	u, _ := c.(*net.UnixConn)
	return &Conn{c: c, unix: u}
}

// Close ends the connection, and with it a Send or Recv that waits. Received
// files that nobody took are closed by the next receive, which fails.
func (c *Conn) Close() error { return c.c.Close() }

// SetWriteDeadline bounds every Send from now on, so that a client that reads
// nothing cannot hold the monitor for ever. After a Send that ran out of time
// every Send fails: a part of its frame may be on the way.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.c.SetWriteDeadline(t) }

// SetReadDeadline bounds every Recv from now on. A Recv that ran out of time
// loses nothing: a later one goes on where it stopped.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.c.SetReadDeadline(t) }

// Send writes one frame. It fails with [ErrTooLong] for a payload above
// [MaxPayload], and then nothing was sent.
func (c *Conn) Send(t Type, payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.prepare(t, len(payload)); err != nil {
		return err
	}
	// The two parts leave in one writev(2); the array and the slice live in c
	// so that nothing is allocated for each frame.
	c.vec = [2][]byte{c.head[:], payload}
	c.bufs = c.vec[:1]
	if len(payload) > 0 {
		c.bufs = c.vec[:]
	}
	_, err := c.bufs.WriteTo(c.c)
	c.vec = [2][]byte{}
	return c.sent(t, err)
}

// prepare fills in the header of the next frame. c.mu is held.
func (c *Conn) prepare(t Type, n int) error {
	if c.werr != nil {
		return c.werr
	}
	if n > MaxPayload {
		return fmt.Errorf("sending %s frame of %d bytes: %w", t, n, ErrTooLong)
	}
	c.head[0] = byte(t)
	binary.BigEndian.PutUint32(c.head[1:], uint32(n))
	return nil
}

// sent remembers a failure. c.mu is held.
func (c *Conn) sent(t Type, err error) error {
	if err != nil {
		c.werr = fmt.Errorf("sending %s frame: %w", t, err)
	}
	return c.werr
}

// SendJSON writes one frame with v as JSON.
func (c *Conn) SendJSON(t Type, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding %s frame: %w", t, err)
	}
	return c.Send(t, b)
}

// SendResize writes a Resize frame; the unit is characters.
func (c *Conn) SendResize(rows, cols uint16) error {
	var b [4]byte
	binary.BigEndian.PutUint16(b[:], rows)
	binary.BigEndian.PutUint16(b[2:], cols)
	return c.Send(TypeResize, b[:])
}

// SendSignal writes a Signal frame.
func (c *Conn) SendSignal(number int) error {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(number))
	return c.Send(TypeSignal, b[:])
}

// Writer returns a writer whose every Write becomes frames of type t, cut at
// [MaxPayload]. An empty Write sends nothing.
func (c *Conn) Writer(t Type) io.Writer { return frameWriter{c, t} }

type frameWriter struct {
	c *Conn
	t Type
}

func (w frameWriter) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n := min(len(p)-done, MaxPayload)
		if err := w.c.Send(w.t, p[done:done+n]); err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}
