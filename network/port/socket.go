package port

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// ErrInUse means that another socket holds the port.
var ErrInUse = errors.New("port is already allocated")

// BindError says which port could not be taken, and who has it.
type BindError struct {
	HostIP netip.Addr
	Port   uint16
	End    uint16 // last of the range that was tried, or 0
	Proto  Proto
	Holder string // "container web", "nginx (pid 12)"; empty when not known
	Err    error  // ErrInUse or the kernel's error
}

func (e *BindError) Error() string {
	where := fmt.Sprintf("%s:%d", e.HostIP, e.Port)
	if e.End > e.Port {
		where += fmt.Sprintf("-%d", e.End)
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

// Socket is a host port that is held. The zero value holds nothing.
type Socket struct{ fd int } // fd+1, so that the zero value is closed

// Close frees the port. It may be called twice. A program that this process is
// starting meanwhile has a copy of the socket until its execve is done, and
// holds the port that much longer.
func (s *Socket) Close() error {
	if s.fd == 0 {
		return nil
	}
	fd := s.fd - 1
	s.fd = 0
	return unix.Close(fd)
}

// Reserve binds and listens on m's host port and gives the socket that holds
// it, and m with the port that was taken. The error is a [*BindError].
func Reserve(m Mapping) (*Socket, Mapping, error) {
	m.HostIP = m.hostIP()
	last := max(m.HostPort, m.HostPortEnd)
	var err error
	for p := int(m.HostPort); p <= int(last); p++ {
		got := Mapping{HostIP: m.HostIP, HostPort: uint16(p), ContainerPort: m.ContainerPort, Proto: m.Proto}
		var fd int
		fd, got.HostPort, err = hold(got)
		if err == nil {
			return &Socket{fd: fd + 1}, got, nil
		}
		if !errors.Is(err, ErrInUse) {
			break
		}
	}
	return nil, m, &BindError{HostIP: m.HostIP, Port: m.HostPort, End: m.HostPortEnd, Proto: m.Proto, Err: err}
}

// hold opens a socket on exactly m's host port.
func hold(m Mapping) (fd int, port uint16, err error) {
	kind, number := sockType(m.Proto)
	fd, err = unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, number)
	if err != nil {
		if errors.Is(err, unix.EPROTONOSUPPORT) {
			return -1, 0, fmt.Errorf("this kernel has no %s: %w", m.Proto, err)
		}
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
	err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(m.HostPort), Addr: m.HostIP.As4()})
	if err == nil && kind == unix.SOCK_STREAM {
		err = unix.Listen(fd, 1)
	}
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return 0, ErrInUse
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return 0, fmt.Errorf("the host has no such address: %w", err)
	case err != nil:
		return 0, err
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, fmt.Errorf("reading the bound port: %w", err)
	}
	return uint16(sa.(*unix.SockaddrInet4).Port), nil
}

// dropAll attaches a filter that accepts zero bytes of every packet, see
// socket(7), SO_ATTACH_FILTER. It is set before the bind, so that not one
// packet gets in.
func dropAll(fd int) error {
	drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
	prog := unix.SockFprog{Len: 1, Filter: &drop}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog); err != nil {
		return fmt.Errorf("attaching a drop-all filter: %w", err)
	}
	return nil
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
