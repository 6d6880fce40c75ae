package port

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Relay passes on what arrives for published ports at [::1]. The kernel drops
// packets to ::1 on every link but lo, so no DNAT can lead them to a container:
//
//	program ──► [::1]:8080 ──► the socket that holds the port ──► container
//
// The filter of that socket lets in what is for ::1; all else goes by DNAT. To
// the container the host's address on the bridge is the client.
//
// The zero value is ready. It costs nothing until something is served, and then
// one goroutine for all ports, two for each TCP connection, none for UDP flows.
type Relay struct {
	mu      sync.Mutex
	closed  bool
	epoll   *os.File        // nil: nothing was served yet
	doors   map[int32]*door // by their descriptors
	flows   map[int32]*flow // of UDP, by the descriptors towards the container
	calls   map[*call]bool  // TCP connections
	waiting map[*door]bool  // doors that must wait until a call has ended
	retry   *time.Timer     // nil: no door waits for the machine
	sweep   *time.Timer     // nil: there are no flows
	work    sync.WaitGroup  // goroutines
	end     context.Context // of what is being dialled
	cancel  context.CancelFunc
	buf     []byte // for datagrams; the poller's own
	most    int    // TCP connections at once, and as many UDP flows
}

// door is a port that is served.
type door struct {
	fd      int32
	proto   Proto
	to      netip.AddrPort
	clients map[netip.AddrPort]*flow // of UDP
}

// errRelayClosed means that the relay has ended.
var errRelayClosed = errors.New("the relay is closed")

// Serve passes on what arrives at [::1] for a port of TCP or UDP to a
// container. Where the port is served already, new connections go to its new place.
func (r *Relay) Serve(s *Socket, proto Proto, to netip.AddrPort) error {
	fd := s.fd6()
	if fd < 0 {
		return errors.New("serving [::1]: the port is not held for IPv6")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.start(); err != nil {
		return fmt.Errorf("serving [::1]: %w", err)
	}
	if d := r.doors[fd]; d != nil {
		r.forget(d)
		d.to = to
		return nil
	}
	d := &door{fd: fd, proto: proto, to: to}
	if err := r.open(d); err != nil {
		return fmt.Errorf("serving [::1]: %w", errors.Join(err, r.shut(d)))
	}
	return nil
}

// Silence ends what Serve began. TCP connections that were made go on. It does
// nothing when the port is not served.
func (r *Relay) Silence(s *Socket) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := r.doors[s.fd6()]; d != nil {
		return r.shut(d)
	}
	return nil
}

// Close ends everything, and waits until nothing is left. What a container said
// before it ended still reaches the clients, as far as they take it in time; what
// goes on then is reset. It may be called twice. The sockets of the ports stay open,
// and are silent again.
func (r *Relay) Close() error {
	r.mu.Lock()
	var errs []error
	if r.epoll != nil && !r.closed {
		r.closed = true
		for _, d := range r.doors {
			errs = append(errs, r.shut(d))
		}
		errs = append(errs, r.epoll.Close())
		for c := range r.calls {
			c.finish()
		}
		defer time.AfterFunc(lastWords, r.cancel).Stop()
		defer r.cancel()
	}
	r.mu.Unlock()
	r.work.Wait()
	return errors.Join(errs...)
}

// most is how many TCP connections there may be at once, and UDP flows, in a process
// that may have so many descriptors: programs on the host can fill them all, and half
// of the descriptors are left for whatever else the process does.
func most(limit uint64) int { return int(max(1, min(maxCalls, limit/2/(callFiles+1)))) }

// start makes ready for the first door.
func (r *Relay) start() error {
	if r.epoll != nil {
		if r.closed {
			return errRelayClosed
		}
		return nil
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("asking how many descriptors there may be: %w", err)
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("making an epoll instance: %w", err)
	}
	// So Go's own poller watches it, and no thread waits in the kernel.
	if err := unix.SetNonblock(fd, true); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	r.epoll, r.most = os.NewFile(uintptr(fd), "epoll"), most(files.Cur)
	r.doors, r.flows = make(map[int32]*door), make(map[int32]*flow)
	r.calls, r.waiting = make(map[*call]bool), make(map[*door]bool)
	r.end, r.cancel = context.WithCancel(context.Background())
	r.work.Add(1)
	go r.poll(r.epoll)
	return nil
}

// open lets packets to ::1 in, last.
func (r *Relay) open(d *door) error {
	err := unix.SetNonblock(int(d.fd), true)
	if err == nil && d.proto == TCP {
		err = unix.Listen(int(d.fd), backlog)
	}
	if err == nil {
		err = r.watch(unix.EPOLL_CTL_ADD, d.fd, d.events())
	}
	if err != nil {
		return err
	}
	r.doors[d.fd] = d
	return takeLocal6(int(d.fd))
}

// shut closes a door, which may be open half.
func (r *Relay) shut(d *door) error {
	err := dropAll(int(d.fd))
	r.forget(d)
	delete(r.waiting, d)
	if r.doors[d.fd] == d {
		delete(r.doors, d.fd)
		err = errors.Join(err, r.watch(unix.EPOLL_CTL_DEL, d.fd, 0))
		d.refuse()
	}
	return err
}

// events: the door of TCP reports once, and is armed again when there is room
// for another call.
func (d *door) events() uint32 {
	if d.proto == TCP {
		return unix.EPOLLIN | unix.EPOLLONESHOT
	}
	return unix.EPOLLIN
}

// watch changes what the poller hears of.
func (r *Relay) watch(op int, fd int32, events uint32) error {
	raw, err := r.epoll.SyscallConn()
	if err != nil {
		return err
	}
	var ctl error
	err = raw.Control(func(epoll uintptr) {
		ctl = unix.EpollCtl(int(epoll), op, int(fd), &unix.EpollEvent{Events: events, Fd: fd})
	})
	return errors.Join(err, ctl)
}

// poll waits for packets until the relay is closed.
func (r *Relay) poll(epoll *os.File) {
	defer r.work.Done()
	raw, err := epoll.SyscallConn()
	if err != nil {
		return // closed already
	}
	var events [16]unix.EpollEvent
	for {
		n := 0
		if err := raw.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events[:], 0) // EINTR: the next time
			return n > 0
		}); err != nil {
			return // closed
		}
		for _, e := range events[:max(n, 0)] {
			r.ready(e.Fd)
		}
	}
}

// ready takes what arrived at a descriptor.
func (r *Relay) ready(fd int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := r.doors[fd]; d != nil {
		if d.proto == TCP {
			r.answer(d)
		} else {
			r.forward(d)
		}
	} else if f := r.flows[fd]; f != nil {
		r.backward(f)
	}
}
