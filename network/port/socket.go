package port

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// ErrInUse means that another socket holds the port.
var ErrInUse = errors.New("port is already allocated")

// BindError says which port could not be taken, and who has it.
type BindError struct {
	HostIP netip.Addr
	Dual   bool // [::] as well as 0.0.0.0
	Port   uint16
	End    uint16 // last of the range that was tried, or 0
	Proto  Proto
	Holder string // "container web", "nginx (pid 12)"; empty when not known
	Err    error  // ErrInUse or the kernel's error
}

func (e *BindError) Error() string {
	where := Mapping{HostIP: e.HostIP, HostPort: e.Port, HostPortEnd: e.End}.Host()
	if e.Dual {
		where += " and " + Mapping{HostIP: netip.IPv6Unspecified(), HostPort: e.Port, HostPortEnd: e.End}.Host()
	}
	text := fmt.Sprintf("Bind for %s failed: %s", where, e.Err.Error())
	if e.Port == 0 && errors.Is(e.Err, ErrInUse) {
		return fmt.Sprintf("Bind for %s failed: no %s port of net.ipv4.ip_local_port_range is free", where, e.Proto)
	}
	if e.Holder != "" {
		text += " (held by " + e.Holder + ")"
	}
	return text
}

// Unwrap gives the cause.
func (e *BindError) Unwrap() error { return e.Err }

// Wanted is the mapping that could not be taken, without the container's side.
func (e *BindError) Wanted() Mapping {
	return Mapping{HostIP: e.HostIP, Dual: e.Dual, HostPort: e.Port, HostPortEnd: e.End, Proto: e.Proto}
}

// Socket is a host port that is held. The zero value holds nothing.
type Socket struct {
	fd   int     // fd+1, so that the zero value is closed
	held Mapping // what it holds
	more *Socket // holds the same port for the other family, see Add
}

// Close frees the port. It may be called twice. A program that this process is
// starting meanwhile has a copy of the socket until its execve is done, and
// holds the port that much longer.
func (s *Socket) Close() error {
	if s.fd == 0 {
		return nil
	}
	fd := s.fd - 1
	s.fd = 0
	return errors.Join(unix.Close(fd), s.Shed())
}

// Holds says whether the socket is what keeps others from m's host port.
func (s *Socket) Holds(m Mapping) bool {
	return s != nil && s.fd != 0 && (s.held.HostPort == m.HostPort && s.held.Overlaps(m) || s.more.Holds(m))
}

// Missing gives the part of m that must be held too, when a socket that holds its
// port for one family shall hold it for m.
func (s *Socket) Missing(m Mapping) (part Mapping, missing bool) {
	for _, part := range m.parts() {
		if !slices.ContainsFunc(s.held.parts(), func(h Mapping) bool { return h.HostIP == part.HostIP }) &&
			(s.more == nil || s.more.held.HostIP != part.HostIP) {
			return part, true
		}
	}
	return m, false
}

// Add lets the socket hold what another does, which it takes over.
func (s *Socket) Add(other *Socket) { s.more = other }

// Shed lets go of what was added.
func (s *Socket) Shed() error {
	if s.more == nil {
		return nil
	}
	more := s.more
	s.more = nil
	return more.Close()
}

// fd6 gives the descriptor that holds the port for IPv6, or -1.
func (s *Socket) fd6() int32 {
	switch {
	case s == nil || s.fd == 0:
		return -1
	case s.held.Has6():
		return int32(s.fd - 1)
	}
	return s.more.fd6()
}

// Reserve binds and listens on m's host port and gives the socket that holds
// it, and m with the port that was taken. One socket is for both families where
// m is, so that both have the same port. The error is a [*BindError].
func Reserve(m Mapping) (*Socket, Mapping, error) {
	m.HostIP = m.hostIP()
	last := max(m.HostPort, m.HostPortEnd)
	var err error
	for p := int(m.HostPort); p <= int(last); p++ {
		got := m
		got.HostPort, got.HostPortEnd = uint16(p), 0
		var fd int
		fd, got.HostPort, err = hold(got)
		if err == nil {
			return &Socket{fd: fd + 1, held: got}, got, nil
		}
		if !errors.Is(err, ErrInUse) {
			break
		}
	}
	to := m.blamed(err)
	return nil, m, &BindError{HostIP: to.HostIP, Dual: to.Dual, Port: to.HostPort, End: to.HostPortEnd, Proto: to.Proto, Err: err}
}

// blamed gives the part of m whose port is in use, when it is for both families
// and one port is asked for.
func (m Mapping) blamed(err error) Mapping {
	if !m.Dual || m.HostPort == 0 || m.HostPortEnd != 0 || !errors.Is(err, ErrInUse) {
		return m
	}
	fd, _, err := hold(m.Only4())
	if err != nil {
		return m.Only4()
	}
	_ = unix.Close(fd) // it was bound to find out
	return m.Only6()
}

// hold opens a socket on exactly m's host port.
func hold(m Mapping) (fd int, port uint16, err error) {
	kind, number := sockType(m.Proto)
	family := unix.AF_INET
	if m.Has6() {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC, number)
	switch {
	case errors.Is(err, unix.EAFNOSUPPORT):
		return -1, 0, fmt.Errorf("this host has no IPv6 (was its kernel started with ipv6.disable=1?): %w", err)
	case errors.Is(err, unix.EPROTONOSUPPORT):
		return -1, 0, fmt.Errorf("this kernel has no %s: %w", m.Proto, err)
	case err != nil:
		return -1, 0, fmt.Errorf("opening a %s socket: %w", m.Proto, err)
	}
	port, err = bind(fd, kind, m)
	if err != nil {
		// The bind error says more than a close error could.
		_ = unix.Close(fd)
		return -1, 0, err
	}
	return fd, port, nil
}

func bind(fd, kind int, m Mapping) (uint16, error) {
	if err := dropAll(fd); err != nil {
		return 0, err
	}
	if kind == unix.SOCK_STREAM && m.HostPort != 0 {
		// A server that ended leaves connections in TIME_WAIT, which would refuse
		// the port for a minute, see SO_REUSEADDR in socket(7). Whoever listens
		// on it is still in the way: of two sockets only one can listen. A port
		// that the kernel chooses is to have no such past.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return 0, fmt.Errorf("setting SO_REUSEADDR: %w", err)
		}
	}
	err := bindAddr(fd, m)
	if err == nil && kind == unix.SOCK_STREAM {
		err = unix.Listen(fd, 1)
	}
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return 0, ErrInUse
	case errors.Is(err, unix.EADDRNOTAVAIL) && m.HostIP == netip.IPv6Loopback():
		return 0, fmt.Errorf("the host has no such address (is net.ipv6.conf.lo.disable_ipv6 1?): %w", err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return 0, fmt.Errorf("the host has no such address: %w", err)
	case err != nil:
		return 0, err
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, fmt.Errorf("reading the bound port: %w", err)
	}
	return portOf(sa), nil
}

func bindAddr(fd int, m Mapping) error {
	if !m.Has6() {
		return unix.Bind(fd, &unix.SockaddrInet4{Port: int(m.HostPort), Addr: m.HostIP.As4()})
	}
	only6 := 1
	if m.Dual {
		only6 = 0 // whatever net.ipv6.bindv6only says
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only6); err != nil {
		return fmt.Errorf("setting IPV6_V6ONLY: %w", err)
	}
	return unix.Bind(fd, &unix.SockaddrInet6{Port: int(m.HostPort), Addr: m.Only6().HostIP.As16()})
}

func portOf(sa unix.Sockaddr) uint16 {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return uint16(sa.Port)
	case *unix.SockaddrInet6:
		return uint16(sa.Port)
	}
	return 0
}

func sockType(p Proto) (kind, number int) {
	switch p {
	case UDP:
		return unix.SOCK_DGRAM, unix.IPPROTO_UDP
	case SCTP:
		return unix.SOCK_STREAM, unix.IPPROTO_SCTP
	default:
		return unix.SOCK_STREAM, unix.IPPROTO_TCP
	}
}
