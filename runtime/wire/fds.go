package wire

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// MaxFDs is how many files one frame may carry.
const MaxFDs = 8

// SendFDs writes one frame together with open files (SCM_RIGHTS, unix(7)). The
// other end gets duplicates: the caller keeps, and closes, its own. The
// connection must be a Unix socket.
func (c *Conn) SendFDs(t Type, payload []byte, fds ...int) error {
	if c.unix == nil {
		return fmt.Errorf("sending %d files: %w", len(fds), errors.ErrUnsupported)
	}
	if len(fds) > MaxFDs {
		return fmt.Errorf("sending %d files: at most %d fit a frame", len(fds), MaxFDs)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.prepare(t, len(payload)); err != nil {
		return err
	}
	frame := append(c.head[:headerLen:headerLen], payload...)
	n, _, err := c.unix.WriteMsgUnix(frame, unix.UnixRights(fds...), nil)
	if err == nil && n < len(frame) {
		// The kernel took a part, and the files with its first byte.
		_, err = c.unix.Write(frame[n:])
	}
	return c.sent(t, err)
}

// read is one read(2) from the socket. It always asks for control messages: a
// plain read would make the kernel throw away the files of a frame behind the
// one that is waited for.
func (c *Conn) read(p []byte) (int, error) {
	if c.unix == nil {
		return c.c.Read(p)
	}
	if c.oob == nil {
		c.oob = make([]byte, unix.CmsgSpace(4*MaxFDs))
	}
	n, oobn, flags, _, err := c.unix.ReadMsgUnix(p, c.oob)
	n = max(n, 0) // -1 comes with an error such as a passed deadline
	if err == nil && n == 0 {
		err = io.EOF
	}
	if oobn > 0 {
		fds, perr := parseRights(c.oob[:oobn])
		c.held.add(fds, c.w+n)
		err = errors.Join(err, perr)
	}
	if flags&unix.MSG_CTRUNC != 0 {
		err = errors.Join(err, fmt.Errorf("receiving more than %d files: %w", MaxFDs, ErrMalformed))
	}
	return n, err
}

func parseRights(oob []byte) ([]int, error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("reading control message: %w", err)
	}
	var all []int
	for i := range msgs {
		if msgs[i].Header.Level != unix.SOL_SOCKET || msgs[i].Header.Type != unix.SCM_RIGHTS {
			continue
		}
		fds, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			closeAll(all)
			return nil, fmt.Errorf("reading received files: %w", err)
		}
		all = append(all, fds...)
	}
	return all, nil
}

// heldFDs are files that came before their frame was given out.
//
// The kernel ends a read behind the bytes that files came with, but may put
// bytes sent earlier before them (unix_stream_read_generic). So files belong to
// the frame that holds the last byte of their read.
type heldFDs []heldFD

type heldFD struct {
	fd  int
	end int // offset in Conn.buf behind the read's last byte
}

func (h *heldFDs) add(fds []int, end int) {
	for _, fd := range fds {
		*h = append(*h, heldFD{fd, end})
	}
}

// shift follows bytes that moved towards the front of the buffer.
func (h heldFDs) shift(by int) {
	for i := range h {
		h[i].end -= by
	}
}

// take removes the files whose frame ends at or before end.
func (h *heldFDs) take(end int) []int {
	var out []int
	for len(*h) > 0 && (*h)[0].end <= end {
		out = append(out, (*h)[0].fd)
		*h = (*h)[1:]
	}
	return out
}

func (h *heldFDs) takeAll() []int {
	var out []int
	for _, f := range *h {
		out = append(out, f.fd)
	}
	*h = nil
	return out
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd) // nothing was written through it: no error matters
	}
}
