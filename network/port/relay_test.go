package port

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	goruntime "runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/netns"
)

const relayPatience = 10 * time.Second

// served is a port of both families that a relay serves.
func served(t *testing.T, r *Relay, proto Proto, to netip.AddrPort) (*Socket, uint16) {
	t.Helper()
	s, m, err := Reserve(Mapping{HostIP: netip.IPv4Unspecified(), Dual: true, ContainerPort: 80, Proto: proto})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Serve(s, proto, to); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(r.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	})
	return s, m.HostPort
}

func local6(p uint16) string { return netip.AddrPortFrom(netip.IPv6Loopback(), p).String() }

// server stands for a container: handle gets each connection.
func server(t *testing.T, handle func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go handle(c.(*net.TCPConn))
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// echo says back what it heard when the client has said all.
func echo(c *net.TCPConn) {
	defer c.Close()
	if text, err := io.ReadAll(c); err == nil {
		_, _ = c.Write(text) // the client's side is tested
	}
}

func dial(t *testing.T, network, addr string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout(network, addr, relayPatience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(relayPatience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRelayTCP: more than fits into any buffer goes there, and comes back after
// the client has closed its half.
func TestRelayTCP(t *testing.T) {
	var r Relay
	_, p := served(t, &r, TCP, server(t, echo))
	for range 3 {
		c := dial(t, "tcp", local6(p)).(*net.TCPConn)
		text := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
		if _, err := c.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("%d bytes came back, %v, want %d", len(got), err, len(text))
		}
	}
}

// TestRelayTellsOfResets: nobody listens in the container, or it breaks off.
func TestRelayTellsOfResets(t *testing.T) {
	var r Relay
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	rude := server(t, func(c *net.TCPConn) { _ = c.SetLinger(0); c.Close() })
	for what, to := range map[string]netip.AddrPort{"nobody": nobody, "rude": rude} {
		_, p := served(t, &r, TCP, to)
		c, err := net.DialTimeout("tcp", local6(p), relayPatience)
		if err == nil {
			_, err = io.ReadAll(c)
			c.Close()
		}
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: got %v, want a reset", what, err)
		}
	}
}

// TestRelayIsForLocal6Only: the socket accepts nothing that is not for ::1.
func TestRelayIsForLocal6Only(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("this test needs root")
		}
		t.Skip("SKIPPED: this test needs root")
	}
	ns, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	var r Relay
	to := server(t, echo) // the relay's goroutines are outside of the namespace
	if err := netns.Do(ns, func() error {
		out, err := exec.Command("sh", "-ec", "ip link set lo up; ip addr add fd00::1/128 dev lo nodad; ip addr add 192.0.2.1/32 dev lo").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		_, p := served(t, &r, TCP, to)
		_, u := served(t, &r, UDP, to)
		for _, addr := range []string{"127.0.0.1", "192.0.2.1", "fd00::1"} {
			ip := netip.MustParseAddr(addr)
			if c, err := net.DialTimeout("tcp", netip.AddrPortFrom(ip, p).String(), 200*time.Millisecond); err == nil {
				c.Close()
				t.Errorf("%s: the socket accepted a connection", addr)
			} else if !os.IsTimeout(err) {
				t.Errorf("%s: got %v, want silence", addr, err)
			}
			c := dial(t, "udp", netip.AddrPortFrom(ip, u).String())
			if _, err := c.Write([]byte("x")); err != nil {
				t.Errorf("%s: %v, want silence", addr, err)
			}
		}
		c := dial(t, "tcp", local6(p)).(*net.TCPConn)
		if err := c.CloseWrite(); err != nil {
			return err
		}
		_, err = io.ReadAll(c)
		return err
	}); err != nil {
		t.Error(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.flows) != 0 {
		t.Errorf("%d UDP flows, want none", len(r.flows))
	}
}

// TestRelaySilenceAndClose: a port that is no longer served is silent, but what
// was connected goes on, until the end of the relay. Nothing is left of it.
func TestRelaySilenceAndClose(t *testing.T) {
	before := goruntime.NumGoroutine()
	var r Relay
	ping := server(t, func(c *net.TCPConn) { _, _ = io.Copy(c, c); c.Close() })
	s, p := served(t, &r, TCP, ping)
	c := dial(t, "tcp", local6(p))
	ask := func(when string) {
		t.Helper()
		buf := make([]byte, 4)
		if _, err := c.Write([]byte("ping")); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "ping" {
			t.Fatalf("%s: %q, %v", when, buf, err)
		}
	}
	ask("served")
	for range 2 {
		if err := r.Silence(s); err != nil {
			t.Fatal(err)
		}
	}
	if c, err := net.DialTimeout("tcp", local6(p), 200*time.Millisecond); err == nil {
		c.Close()
		t.Error("a silent port accepted a connection")
	}
	ask("silent")
	if err := r.Serve(s, TCP, ping); err != nil {
		t.Fatal(err)
	}
	again := dial(t, "tcp", local6(p))
	for range 2 {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []net.Conn{c, again} {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after the end: %v, want a reset", err)
		}
	}
	if err := r.Serve(s, TCP, ping); !errors.Is(err, errRelayClosed) {
		t.Errorf("got %v, want %v", err, errRelayClosed)
	}
	deadline := time.Now().Add(relayPatience) // the server's goroutines end with their connections
	for goruntime.NumGoroutine() > before+1 { // it listens on
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", goruntime.NumGoroutine(), before)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestRelayLastWords: what a container said before it ended reaches a client that
// listens, whatever is still to be passed on when the relay ends.
func TestRelayLastWords(t *testing.T) {
	text := bytes.Repeat([]byte("0123456789abcdef"), 1<<12)
	for range 50 {
		var r Relay
		said := make(chan struct{})
		_, p := served(t, &r, TCP, server(t, func(c *net.TCPConn) {
			_, _ = c.Write(text) // the client's side is tested
			c.Close()
			close(said)
		}))
		c := dial(t, "tcp", local6(p))
		<-said
		heard := make(chan error, 1)
		go func() {
			got, err := io.ReadAll(c)
			if err == nil && !bytes.Equal(got, text) {
				err = fmt.Errorf("%d bytes, want %d", len(got), len(text))
			}
			heard <- err
		}()
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-heard; err != nil {
			t.Fatal(err)
		}
	}
}

// TestRelayEndsThoughNobodyListens: the end of the relay does not wait for a container
// that said all it had to say, and takes nothing more of what a client sends.
func TestRelayEndsThoughNobodyListens(t *testing.T) {
	var r Relay
	end, said := make(chan struct{}), make(chan struct{})
	_, p := served(t, &r, TCP, server(t, func(c *net.TCPConn) {
		_ = c.CloseWrite() // the client's side is tested
		close(said)
		<-end
		c.Close()
	}))
	t.Cleanup(func() { close(end) }) // before the relay is closed for the second time
	c := dial(t, "tcp", local6(p))
	<-said
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatalf("the container's end: %v, want EOF", err)
	}
	if err := c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for err := error(nil); err == nil; { // until all that is on the way is full
		_, err = c.Write(make([]byte, 1<<16))
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Close() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(relayPatience):
		t.Error("the relay does not end")
	}
}

// openFiles counts the descriptors of the process.
func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestRelayLeavesDescriptors to the process, however few it may have.
func TestRelayLeavesDescriptors(t *testing.T) {
	for limit, want := range map[uint64]int{4: 1, 1024: 73, 4096: 292, 1 << 20: maxCalls, unix.RLIM_INFINITY: maxCalls} {
		if got := most(limit); got != want {
			t.Errorf("of %d descriptors: %d connections, want %d", limit, got, want)
		}
	}
}

// TestRelayIsFull: connections beyond the bound wait until one has ended.
func TestRelayIsFull(t *testing.T) {
	var r Relay
	before := openFiles(t)
	_, p := served(t, &r, TCP, server(t, func(c *net.TCPConn) {
		_, _ = c.Write([]byte("!")) // the client's side is tested
		_, _ = io.Copy(io.Discard, c)
		c.Close()
	}))
	var conns []net.Conn
	for range r.most {
		c := dial(t, "tcp", local6(p))
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatalf("connection %d: %v", len(conns), err)
		}
		conns = append(conns, c)
	}
	// The client's end and the container's are the test's own.
	if n := openFiles(t) - before; n > len(conns)*(callFiles+2)+16 {
		t.Errorf("%d connections take %d descriptors", len(conns), n)
	}
	last := dial(t, "tcp", local6(p))
	if err := last.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := last.Read(make([]byte, 1)); !os.IsTimeout(err) {
		t.Fatalf("one too many: %v, want silence", err)
	}
	conns[7].Close()
	if err := last.SetReadDeadline(time.Now().Add(relayPatience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(last, make([]byte, 1)); err != nil {
		t.Errorf("after one ended: %v", err)
	}
}

// TestRelayServesWhatIsHeld, and says so otherwise.
func TestRelayServesWhatIsHeld(t *testing.T) {
	var r Relay
	four, _, err := Reserve(Mapping{HostIP: loopback, ContainerPort: 80, Proto: TCP})
	if err != nil {
		t.Fatal(err)
	}
	defer four.Close()
	for _, s := range []*Socket{nil, {}, four} {
		if err := r.Serve(s, TCP, netip.AddrPort{}); err == nil {
			t.Error("a port that nobody holds is served")
		}
		if err := errors.Join(r.Silence(s), r.Close()); err != nil {
			t.Error(err)
		}
	}
}
