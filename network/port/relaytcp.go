package port

import (
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// backlog is how many TCP connections wait to be accepted.
	backlog = 128
	// maxCalls bounds the TCP connections at once, see most; others wait in the backlog.
	maxCalls = 512
	// callFiles is how many descriptors a TCP connection takes: two sockets, and
	// for each direction a pipe, see splice(2).
	callFiles = 6
	// dialTime bounds the wait for a container that does not answer.
	dialTime = 30 * time.Second
	// lastWords is how long clients may take to hear what a container said before it
	// ended. Its end waits for them.
	lastWords = 200 * time.Millisecond
	// shortage is how long accepting waits after an error: mostly the process, or the
	// host, is out of descriptors or memory, and nothing tells when it no longer is.
	shortage = 100 * time.Millisecond
)

// call is a TCP connection and what it leads to.
type call struct {
	client *net.TCPConn
	server *net.TCPConn // nil while it is being dialled
}

// abort ends both halves. Whoever is still there gets a reset, as not all was said.
func (c *call) abort() {
	for _, conn := range []*net.TCPConn{c.client, c.server} {
		if conn != nil {
			_ = conn.SetLinger(0) // it may be closed already
			conn.Close()
		}
	}
}

// finish lets a call end when the container has said all it had to say: it is
// gone, and hears nothing more.
func (c *call) finish() {
	if c.server == nil {
		return // see connect
	}
	soon := time.Now().Add(lastWords)
	// They fail when the connection has ended already.
	_ = c.client.SetReadDeadline(time.Now())
	_ = c.server.SetWriteDeadline(time.Now())
	_ = c.server.SetReadDeadline(soon)
	_ = c.client.SetWriteDeadline(soon)
}

// answer accepts what waits at a door, as far as there is room, and arms it again.
func (r *Relay) answer(d *door) {
	for len(r.calls) < r.most {
		fd, _, err := unix.Accept4(int(d.fd), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		switch {
		case err == nil:
			r.begin(d, fd)
		case errors.Is(err, unix.EAGAIN):
			// It cannot fail, as the door is registered; and if it did nobody could help.
			_ = r.watch(unix.EPOLL_CTL_MOD, d.fd, d.events())
			return
		case errors.Is(err, unix.ECONNABORTED), errors.Is(err, unix.EINTR):
			// That one has gone: see accept(2).
		default:
			r.waiting[d] = true
			if r.retry == nil {
				r.retry = time.AfterFunc(shortage, r.again)
			}
			return
		}
	}
	r.waiting[d] = true
}

// refuse resets what still waits at a door that is shut.
func (d *door) refuse() {
	for d.proto == TCP {
		fd, _, err := unix.Accept4(int(d.fd), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if err != nil {
			return // none is left
		}
		// It may have gone meanwhile.
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		_ = unix.Close(fd)
	}
}

// again lets the doors that wait accept.
func (r *Relay) again() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.retry != nil {
		r.retry.Stop()
		r.retry = nil
	}
	doors := slices.Collect(maps.Keys(r.waiting))
	clear(r.waiting)
	for _, d := range doors {
		r.answer(d)
	}
}

// begin starts a call.
func (r *Relay) begin(d *door, fd int) {
	f := os.NewFile(uintptr(fd), "[::1]")
	conn, err := net.FileConn(f)
	f.Close()
	client, ok := conn.(*net.TCPConn)
	if err != nil || !ok {
		return // it was closed with f, as far as it was there
	}
	c := &call{client: client}
	r.calls[c] = true
	r.work.Add(1)
	to := d.to.String()
	go func() {
		defer r.work.Done()
		r.connect(c, to)
		r.mu.Lock()
		delete(r.calls, c)
		r.mu.Unlock()
		r.again()
	}()
}

// connect leads a call to the container, and waits for its end.
func (r *Relay) connect(c *call, to string) {
	conn, err := (&net.Dialer{Timeout: dialTime}).DialContext(r.end, "tcp", to)
	if err != nil {
		c.abort() // the reset tells it
		return
	}
	r.mu.Lock()
	c.server = conn.(*net.TCPConn)
	if r.closed {
		c.finish()
	}
	r.mu.Unlock()
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		// A deadline of either means that nobody is there to hear it.
		if err := carry(c.server, c.client); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			c.abort()
		}
	}()
	if err := carry(c.client, c.server); err != nil {
		c.abort()
	}
	<-heard
	c.client.Close()
	c.server.Close()
}

// carry copies one direction to its end, and passes the end on. The kernel moves
// the data: see splice(2).
func carry(to, from *net.TCPConn) error {
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return to.CloseWrite()
}
