package port

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// flowIdle is how long a flow may be quiet. It is that of connection tracking
	// for one that was answered, see nf_conntrack_udp_timeout_stream.
	flowIdle = 2 * time.Minute
	// burst bounds the datagrams of one socket before others have their turn.
	burst = 64
	// maxDatagram is what fits into an IPv6 packet.
	maxDatagram = 65535
)

// flow is what comes from one client of a UDP door, and goes back.
type flow struct {
	door   *door
	client netip.AddrPort
	fd     int32 // connected to the container
	last   time.Time
}

// forward passes on datagrams of clients.
func (r *Relay) forward(d *door) {
	for range burst {
		n, from, err := unix.Recvfrom(int(d.fd), r.buffer(), unix.MSG_DONTWAIT)
		if err != nil {
			return
		}
		sa, ok := from.(*unix.SockaddrInet6)
		if !ok {
			continue
		}
		f := r.flowOf(d, netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)))
		if f == nil {
			continue // UDP may lose one
		}
		// A refusal of an earlier one is reported here, once. This one counts.
		if _, err := unix.Write(int(f.fd), r.buf[:n]); err == unix.ECONNREFUSED {
			_, _ = unix.Write(int(f.fd), r.buf[:n])
		}
	}
}

// backward passes on answers.
func (r *Relay) backward(f *flow) {
	for range burst {
		n, _, err := unix.Recvfrom(int(f.fd), r.buffer(), unix.MSG_DONTWAIT)
		if err != nil {
			// Also a refusal: the client may try again, and UDP has no other way to say it.
			return
		}
		f.last = time.Now()
		to := &unix.SockaddrInet6{Addr: f.client.Addr().As16(), Port: int(f.client.Port())}
		// The client may be gone, or slow: UDP may lose it.
		_ = unix.Sendto(int(f.door.fd), r.buf[:n], unix.MSG_DONTWAIT, to)
	}
}

// buffer is made when the first datagram comes.
func (r *Relay) buffer() []byte {
	if r.buf == nil {
		r.buf = make([]byte, maxDatagram)
	}
	return r.buf
}

// flowOf gives the client's flow, a new one if need be, or nil when there can be none.
func (r *Relay) flowOf(d *door, client netip.AddrPort) *flow {
	f := d.clients[client]
	if f == nil {
		if len(r.flows) >= r.most { // the one that was quiet for longest has to go
			r.drop(r.oldest())
		}
		fd, err := dialUDP(d.to)
		if err != nil {
			return nil
		}
		f = &flow{door: d, client: client, fd: int32(fd)}
		if err := r.watch(unix.EPOLL_CTL_ADD, f.fd, unix.EPOLLIN); err != nil {
			_ = unix.Close(fd) // it never sent anything
			return nil
		}
		if r.sweep == nil {
			r.sweep = time.AfterFunc(flowIdle, r.tidy)
		}
		if d.clients == nil {
			d.clients = make(map[netip.AddrPort]*flow)
		}
		d.clients[client], r.flows[f.fd] = f, f
	}
	f.last = time.Now()
	return f
}

func dialUDP(to netip.AddrPort) (int, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(fd, &unix.SockaddrInet6{Addr: to.Addr().As16(), Port: int(to.Port())}); err != nil {
		_ = unix.Close(fd) // the first error says it
		return -1, err
	}
	return fd, nil
}

// oldest gives the flow that was quiet for longest.
func (r *Relay) oldest() *flow {
	var old *flow
	for _, f := range r.flows {
		if old == nil || f.last.Before(old.last) {
			old = f
		}
	}
	return old
}

// tidy ends flows that are quiet, and comes again while there are any.
func (r *Relay) tidy() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.flows {
		if time.Since(f.last) >= flowIdle {
			r.drop(f)
		}
	}
	r.sweep = nil
	if len(r.flows) > 0 {
		r.sweep = time.AfterFunc(flowIdle, r.tidy)
	}
}

// forget ends all flows of a door.
func (r *Relay) forget(d *door) {
	for _, f := range d.clients {
		r.drop(f)
	}
}

// drop ends a flow. That it is closed would not keep the poller from hearing of it
// while a program that this process starts has a copy.
func (r *Relay) drop(f *flow) {
	delete(r.flows, f.fd)
	delete(f.door.clients, f.client)
	_ = r.watch(unix.EPOLL_CTL_DEL, f.fd, 0) // it is registered
	_ = unix.Close(int(f.fd))                // nothing waits to be written
}
