package port

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// udpServer stands for a container: it says what it heard.
func udpServer(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		buf := make([]byte, maxDatagram)
		for {
			n, from, err := l.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = l.WriteTo(append([]byte("heard "), buf[:n]...), from) // the client's side is tested
		}
	}()
	return l.LocalAddr().(*net.UDPAddr).AddrPort()
}

// ask sends a datagram, and expects what udpServer says to it.
func ask(t *testing.T, c net.Conn, text string) {
	t.Helper()
	send(t, c, text)
	buf := make([]byte, 100)
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "heard "+text {
		t.Fatalf("%s: got %q, %v", text, buf[:n], err)
	}
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func (r *Relay) countFlows() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.flows)
}

// TestRelayUDP: each client gets its own answers, however many there were before.
func TestRelayUDP(t *testing.T) {
	var r Relay
	_, p := served(t, &r, UDP, udpServer(t))
	first := dial(t, "udp", local6(p))
	ask(t, first, "first")
	for i := range r.most + 10 {
		c := dial(t, "udp", local6(p))
		ask(t, c, fmt.Sprint(i))
		c.Close()
	}
	ask(t, first, "first again")
	if n := r.countFlows(); n != r.most {
		t.Errorf("%d flows, want %d", n, r.most)
	}
	r.mu.Lock()
	for _, f := range r.flows {
		f.last = f.last.Add(-flowIdle)
	}
	r.mu.Unlock()
	r.tidy()
	if n := r.countFlows(); n != 0 {
		t.Errorf("%d flows that are quiet are left", n)
	}
	ask(t, first, "after it was quiet")
}

// TestRelaySilencesUDP: what was there ends, too.
func TestRelaySilencesUDP(t *testing.T) {
	var r Relay
	s, p := served(t, &r, UDP, udpServer(t))
	c := dial(t, "udp", local6(p))
	ask(t, c, "hello")
	if err := r.Silence(s); err != nil {
		t.Fatal(err)
	}
	send(t, c, "anybody?")
	if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 100)); !os.IsTimeout(err) {
		t.Errorf("a silent port says %d bytes, %v", n, err)
	}
	if n := r.countFlows(); n != 0 {
		t.Errorf("%d flows of a silent port", n)
	}
}

// TestRelayUDPRefused: a server that comes later gets what comes later, though
// the kernel reports the refusal of what came before.
func TestRelayUDPRefused(t *testing.T) {
	l, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	to := l.LocalAddr().(*net.UDPAddr).AddrPort()
	l.Close()
	var r Relay
	_, p := served(t, &r, UDP, to)
	c := dial(t, "udp", local6(p))
	for range 3 {
		send(t, c, "anybody?")
	}
	if l, err = net.ListenPacket("udp6", to.String()); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.SetDeadline(time.Now().Add(relayPatience)); err != nil {
		t.Fatal(err)
	}
	send(t, c, "hello")
	buf := make([]byte, 100)
	for got := ""; got != "hello"; { // one of the first may have been on its way still
		n, _, err := l.ReadFrom(buf)
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		got = string(buf[:n])
	}
}
