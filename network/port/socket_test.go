package port

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func reserve(t *testing.T, m Mapping) Mapping {
	t.Helper()
	s, got, err := Reserve(m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 { // a second close does nothing
			if err := s.Close(); err != nil {
				t.Errorf("closing: %v", err)
			}
		}
	})
	return got
}

func TestReserveConflicts(t *testing.T) {
	any4 := netip.IPv4Unspecified()
	for _, proto := range []Proto{TCP, UDP} {
		first := reserve(t, Mapping{HostIP: any4, ContainerPort: 80, Proto: proto})
		if first.HostPort == 0 {
			t.Fatalf("%s: the kernel chose no port", proto)
		}
		_, _, err := Reserve(Mapping{HostIP: loopback, HostPort: first.HostPort, ContainerPort: 80, Proto: proto})
		var bind *BindError
		if !errors.As(err, &bind) || !errors.Is(err, ErrInUse) {
			t.Fatalf("%s: got %v, want a BindError with ErrInUse", proto, err)
		}
		want := fmt.Sprintf("Bind for 127.0.0.1:%d failed: port is already allocated", first.HostPort)
		if err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
		bind.Holder = "container web"
		if got := err.Error(); got != want+" (held by container web)" {
			t.Errorf("got %q", got)
		}
		holder := Holder(Mapping{HostIP: loopback, HostPort: first.HostPort, Proto: proto})
		if !strings.HasSuffix(holder, fmt.Sprintf("(pid %d)", os.Getpid())) {
			t.Errorf("%s: the holder is %q, want this process", proto, holder)
		}
	}
}

func TestReserveConflictsWithARealServer(t *testing.T) {
	l, err := net.Listen("tcp", ":0") // IPv6 and IPv4, as most servers do
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := uint16(l.Addr().(*net.TCPAddr).Port)
	if _, _, err := Reserve(Mapping{HostIP: loopback, HostPort: p, ContainerPort: 1, Proto: TCP}); !errors.Is(err, ErrInUse) {
		t.Errorf("got %v, want ErrInUse", err)
	}
	if got := Holder(Mapping{HostIP: loopback, HostPort: p, Proto: TCP}); !strings.Contains(got, fmt.Sprint(os.Getpid())) {
		t.Errorf("the holder is %q, want this process", got)
	}
}

func TestReserveTakesTheNextOfARange(t *testing.T) {
	first := reserve(t, Mapping{HostIP: loopback, ContainerPort: 80, Proto: TCP})
	if first.HostPort > 65000 {
		t.Logf("port %d leaves too short a range", first.HostPort)
	}
	got := reserve(t, Mapping{HostIP: loopback, HostPort: first.HostPort, HostPortEnd: min(first.HostPort+200, 65535), ContainerPort: 80, Proto: TCP})
	if got.HostPort <= first.HostPort || got.HostPortEnd != 0 {
		t.Errorf("got %v, want a later port than %d", got, first.HostPort)
	}
}

func TestReservedPortDoesNotAnswer(t *testing.T) {
	m := reserve(t, Mapping{HostIP: loopback, ContainerPort: 80, Proto: TCP})
	c, err := net.DialTimeout("tcp", netip.AddrPortFrom(loopback, m.HostPort).String(), 100*time.Millisecond)
	if err == nil {
		c.Close()
		t.Error("the reserving socket accepted a connection")
	}
	var e net.Error
	if !errors.As(err, &e) || !e.Timeout() {
		t.Errorf("got %v, want a timeout: the filter drops everything", err)
	}
}

func TestReserveErrors(t *testing.T) {
	_, _, err := Reserve(Mapping{HostIP: netip.MustParseAddr("203.0.113.77"), HostPort: 8080, ContainerPort: 80, Proto: TCP})
	if err == nil || !strings.Contains(err.Error(), "the host has no such address") {
		t.Errorf("got %v, want: the host has no such address", err)
	}
	s, _, err := Reserve(Mapping{HostIP: loopback, ContainerPort: 80, Proto: SCTP})
	switch {
	case err == nil:
		s.Close()
	case !errors.Is(err, unix.EPROTONOSUPPORT) || !strings.Contains(err.Error(), "this kernel has no sctp"):
		t.Errorf("got %v, want: this kernel has no sctp", err)
	}
}

// TestReserveAfterAServerEnded: connections that the server closed are in
// TIME_WAIT and keep nobody from the port.
func TestReserveAfterAServerEnded(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s.Close() // first, so that the server's end is the one that waits
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatalf("got %v, want the end of the connection", err)
	}
	c.Close()
	l.Close()
	m := Mapping{HostIP: loopback, HostPort: uint16(l.Addr().(*net.TCPAddr).Port), ContainerPort: 80, Proto: TCP}
	reserve(t, m)
	if _, _, err := Reserve(m); !errors.Is(err, ErrInUse) {
		t.Errorf("a second reservation: got %v, want ErrInUse", err)
	}
}

// TestReserveDual: one socket takes the port of both families, also where the
// kernel chooses it, and whichever family is in the way is named.
func TestReserveDual(t *testing.T) {
	both := Mapping{HostIP: netip.IPv4Unspecified(), Dual: true, ContainerPort: 80}
	for _, both.Proto = range []Proto{TCP, UDP} {
		got := reserve(t, both)
		if !got.Dual || got.HostIP != both.HostIP || got.HostPort == 0 {
			t.Errorf("%s: got %+v", both.Proto, got)
		}
		for _, ip := range []netip.Addr{loopback, netip.IPv6Loopback(), netip.IPv6Unspecified()} {
			m := Mapping{HostIP: ip, HostPort: got.HostPort, ContainerPort: 1, Proto: both.Proto}
			if _, _, err := Reserve(m); !errors.Is(err, ErrInUse) {
				t.Errorf("%s: %v: got %v, want ErrInUse", both.Proto, ip, err)
			}
			if holder := Holder(m); !strings.HasSuffix(holder, fmt.Sprintf("(pid %d)", os.Getpid())) {
				t.Errorf("%s: %v: the holder is %q, want this process", both.Proto, ip, holder)
			}
		}
		for _, ip := range []netip.Addr{loopback, netip.IPv6Loopback()} {
			one := reserve(t, Mapping{HostIP: ip, ContainerPort: 80, Proto: both.Proto})
			want := fmt.Sprintf("Bind for %s failed: port is already allocated", Mapping{HostIP: unspecified(ip), HostPort: one.HostPort}.Host())
			m := both
			m.HostPort = one.HostPort
			_, _, err := Reserve(m)
			if err == nil || err.Error() != want {
				t.Errorf("%s: got %v, want %s", both.Proto, err, want)
			}
			if next := reserve(t, Mapping{HostIP: m.HostIP, Dual: true, HostPort: one.HostPort, HostPortEnd: min(one.HostPort+200, 65535), ContainerPort: 1, Proto: both.Proto}); next.HostPort <= one.HostPort || !next.Dual {
				t.Errorf("%s: of a range it took %+v", both.Proto, next)
			}
		}
	}
}

func unspecified(ip netip.Addr) netip.Addr {
	if ip.Is6() {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// TestReserveFamilies: the same port of two families is two ports.
func TestReserveFamilies(t *testing.T) {
	for _, proto := range []Proto{TCP, UDP} {
		six := reserve(t, Mapping{HostIP: netip.IPv6Unspecified(), ContainerPort: 80, Proto: proto})
		four := Mapping{HostIP: netip.IPv4Unspecified(), HostPort: six.HostPort, ContainerPort: 80, Proto: proto}
		reserve(t, four)
		if _, _, err := Reserve(Mapping{HostIP: netip.IPv6Loopback(), HostPort: six.HostPort, Proto: proto}); err == nil ||
			err.Error() != fmt.Sprintf("Bind for [::1]:%d failed: port is already allocated", six.HostPort) {
			t.Errorf("got %v", err)
		}
	}
}

// TestSocketForMore: a port that is held for one family can be held for both.
func TestSocketForMore(t *testing.T) {
	four, got, err := Reserve(Mapping{HostIP: netip.IPv4Unspecified(), ContainerPort: 80, Proto: TCP})
	if err != nil {
		t.Fatal(err)
	}
	defer four.Close()
	if _, missing := four.Missing(got); missing {
		t.Error("it lacks what it holds")
	}
	both := got
	both.Dual = true
	part, missing := four.Missing(both)
	if !missing || part != both.Only6() {
		t.Fatalf("it lacks %+v, %v", part, missing)
	}
	six, _, err := Reserve(part)
	if err != nil {
		t.Fatal(err)
	}
	four.Add(six)
	if _, missing := four.Missing(both); missing {
		t.Error("it lacks what was added")
	}
	var r Relay
	if err := errors.Join(r.Serve(four, TCP, netip.AddrPortFrom(loopback, 1)), r.Close(), four.Close()); err != nil {
		t.Error(err)
	}
	if s, _, err := Reserve(both); err != nil {
		t.Errorf("after it was closed: %v", err)
	} else {
		s.Close()
	}
}
