package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// Recv returns the next frame. Its payload is valid until the next receive. The
// error is io.EOF when the other end closed between two frames,
// io.ErrUnexpectedEOF when it closed within one, and [ErrTooLong] for a length
// above [MaxPayload]. Files that came with the frame are closed.
//
// A frame of an unknown type is returned like any other: the caller decides.
func (c *Conn) Recv() (Frame, error) {
	f, fds, err := c.RecvFDs()
	closeAll(fds)
	return f, err
}

// RecvFDs is [Conn.Recv] that also returns the files that came with the frame,
// with close-on-exec set. The caller owns them.
func (c *Conn) RecvFDs() (Frame, []int, error) {
	f, err := c.next()
	if err != nil {
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			closeAll(c.held.takeAll())
		}
		return Frame{}, nil, err
	}
	return f, c.held.take(c.r), nil
}

func (c *Conn) next() (Frame, error) {
	if err := c.fill(headerLen); err != nil {
		return Frame{}, err
	}
	t, n := Type(c.buf[c.r]), binary.BigEndian.Uint32(c.buf[c.r+1:])
	if n > MaxPayload {
		return Frame{}, fmt.Errorf("receiving %s frame of %d bytes: %w", t, n, ErrTooLong)
	}
	if err := c.fill(headerLen + int(n)); err != nil {
		return Frame{}, err
	}
	start := c.r + headerLen
	c.r = start + int(n)
	return Frame{Type: t, Payload: c.buf[start:c.r:c.r]}, nil
}

// fill reads until n unread bytes are there.
func (c *Conn) fill(n int) error {
	if c.w-c.r >= n {
		return nil
	}
	c.makeRoom(n)
	for c.w-c.r < n {
		if c.rerr != nil {
			return c.ended()
		}
		got, err := c.read(c.buf[c.w:])
		c.w += got
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("receiving frame: %w", err)
		}
		c.rerr = err
	}
	return nil
}

func (c *Conn) ended() error {
	switch {
	case !errors.Is(c.rerr, io.EOF):
		return fmt.Errorf("receiving frame: %w", c.rerr)
	case c.w > c.r:
		return fmt.Errorf("receiving frame: %w", io.ErrUnexpectedEOF)
	}
	return io.EOF
}

// makeRoom moves the unread bytes to the front of a buffer of at least n bytes.
func (c *Conn) makeRoom(n int) {
	to := c.buf
	if len(to) < n {
		// Twice what is asked, up to a whole frame: a stream of growing frames
		// does not allocate for each.
		size := min(max(firstBuffer, 2*n), headerLen+MaxPayload)
		to = make([]byte, size)
	}
	copy(to, c.buf[c.r:c.w])
	c.held.shift(c.r)
	c.buf, c.r, c.w = to, 0, c.w-c.r
}
