package integration

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/minirt/mini/integration/host"
)

// TestForwardedNames: the host's servers are asked from the host's namespace,
// also one on its loopback.
func TestForwardedNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, addr string
		place      host.Place
	}{{"outside", outside, host.Outside}, {"loopback", "127.0.0.53", host.Inside}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := namesHost(t, host.File("/etc/resolv.conf", "nameserver "+c.addr+"\n"))
			s := serveNames(t, func(f func() error) error { return h.In(c.place, f) }, c.addr)
			pid := runIdle(t, h, "web", "--net", "red")
			wantName(t, h, pid, "www.example", c.addr)
			wantName(t, h, pid, "bare", c.addr)
			asked := s.asked.Load()
			wantName(t, h, pid, "web", "10.1.0.2")
			if s.asked.Load() != asked {
				t.Error("the name of a container was asked of others")
			}
			s.large.Store(true)
			if got, err := lookup(h, pid, "large.example"); err != nil || len(strings.Fields(got)) != 100 || s.tcp.Load() == 0 {
				t.Errorf("a large answer: %q, error %v, asked %d times over TCP", got, err, s.tcp.Load())
			}
		})
	}
}

// TestOwnServersAreAskedFromInside: a server of --dns that only the container
// reaches.
func TestOwnServersAreAskedFromInside(t *testing.T) {
	t.Parallel()
	h := namesHost(t)
	others := serveNames(t, h.InOutside, outside)
	server := runIdle(t, h, "server", "--net", "red")
	s := serveNames(t, func(f func() error) error { return h.InNetnsOf(server, f) }, "10.1.0.2")
	pid := runIdle(t, h, "web", "--net", "red", "--dns", "10.1.0.2")
	wantName(t, h, pid, "www.example", "10.1.0.2")
	if s.asked.Load() == 0 || others.asked.Load() != 0 {
		t.Errorf("its own server was asked %d times, the host's %d times", s.asked.Load(), others.asked.Load())
	}
	// One on the container's own loopback.
	self := runIdle(t, h, "self", "--net", "red", "--dns", "127.0.0.1")
	serveNames(t, func(f func() error) error { return h.InNetnsOf(self, f) }, "127.0.0.1")
	wantName(t, h, self, "www.example", "127.0.0.1")
}

// TestDeadServers: the second one is asked after 4 s; and with none left an
// error comes, in a time that is bounded.
func TestDeadServers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, servers, want string
		least, most         time.Duration
	}{
		{"the first", "nameserver 127.0.0.60\nnameserver 127.0.0.53\n", "127.0.0.53", 3 * time.Second, 6 * time.Second},
		{"all", "nameserver 127.0.0.60\nnameserver 127.0.0.61\nnameserver 127.0.0.62\nnameserver 127.0.0.53\n", "", 10 * time.Second, 15 * time.Second},
		{"nobody listens", "nameserver 127.0.0.70\nnameserver 127.0.0.53\n", "127.0.0.53", 0, time.Second},
		{"none", "# none\n", "", 0, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := namesHost(t, host.File("/etc/resolv.conf", c.servers))
			serveNames(t, h.InHost, "127.0.0.53")
			for _, addr := range []string{"127.0.0.60:53", "127.0.0.61:53", "127.0.0.62:53"} {
				var silent net.PacketConn
				if err := h.InHost(func() (err error) { silent, err = net.ListenPacket("udp4", addr); return err }); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { silent.Close() })
			}
			pid := runIdle(t, h, "web", "--net", "red")
			begin := time.Now()
			got, err := lookup(h, pid, "www.example")
			took := time.Since(begin)
			if got != c.want || (err == nil) != (c.want != "") || took < c.least || took > c.most {
				t.Errorf("got %q, error %v after %v; want %q between %v and %v", got, err, took, c.want, c.least, c.most)
			}
			if err != nil && !errors.Is(err, codeError(dnsmessage.RCodeServerFailure)) {
				t.Errorf("error %v, want SERVFAIL", err)
			}
			wantName(t, h, pid, "web", "10.1.0.2")
		})
	}
}

// TestNamesOnInternalNetwork: nothing is asked of the host's servers until the
// container is on a network that leads outside. Names work.
func TestNamesOnInternalNetwork(t *testing.T) {
	t.Parallel()
	h := namesHost(t)
	s := serveNames(t, h.InOutside, outside)
	must(t, h.Run("network", "create", "--internal", "--subnet", "10.3.0.0/24", "closed"))
	pid := runIdle(t, h, "web", "--net", "closed")
	wantName(t, h, pid, "web", "10.3.0.2")
	_, err := lookup(h, pid, "www.example")
	if !errors.Is(err, codeError(dnsmessage.RCodeServerFailure)) || s.asked.Load() != 0 {
		t.Errorf("error %v, asked %d times; want SERVFAIL and nobody asked", err, s.asked.Load())
	}
	asks := func() string { return must(t, h.Run("exec", "web", "grep", "asks of", "/etc/resolv.conf")) }
	want(t, asks(), "# Mini answers for containers; other names it asks of: nobody")
	must(t, h.Run("network", "connect", "red", "web"))
	want(t, asks(), "# Mini answers for containers; other names it asks of: host(192.0.2.2)")
	wantName(t, h, pid, "www.example", outside)
	must(t, h.Run("network", "disconnect", "red", "web"))
	asked := s.asked.Load()
	wantNoName(t, h, pid, "www.example")
	if s.asked.Load() != asked {
		t.Error("asked after the network was left")
	}
	// The container's own servers are asked: it reaches them itself, or not.
	server := runIdle(t, h, "server", "--net", "closed")
	serveNames(t, func(f func() error) error { return h.InNetnsOf(server, f) }, "10.3.0.3")
	own := runIdle(t, h, "own", "--net", "closed", "--dns", "10.3.0.3")
	wantName(t, h, own, "www.example", "10.3.0.3")
}

// TestMonitorStaysSmall when it has answered many questions.
func TestMonitorStaysSmall(t *testing.T) {
	t.Parallel()
	h := namesHost(t)
	pid := runIdle(t, h, "web", "--net", "red")
	var conn net.Conn
	if err := h.InNetnsOf(pid, func() (err error) { conn, err = net.Dial("udp4", "127.0.0.11:53"); return err }); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	query := []byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03web\x00\x00\x01\x00\x01")
	answer := make([]byte, 512)
	for range 10000 {
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(query); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(answer); err != nil {
			t.Fatal(err)
		}
	}
	const limit = 8 << 10 // kB; without collecting garbage it is 12 MB
	if got := anonymous(t, monitorPid(t, h, "web")); got > limit {
		t.Errorf("the monitor has %d kB of its own, want %d or less", got, limit)
	}
}

// anonymous is how much memory of its own a process has, in kB.
func anonymous(t testing.TB, pid int) (kB int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "Anonymous:")
	if _, err := fmt.Sscan(after, &kB); err != nil {
		t.Fatal(err)
	}
	return kB
}

// TestLookupsWhileContainersComeAndGo: the first lookup of each of many
// containers, started side by side, finds the one that stays.
func TestLookupsWhileContainersComeAndGo(t *testing.T) {
	t.Parallel()
	h := namesHost(t)
	runIdle(t, h, "web", "--net", "red")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 8 {
				r := h.Run("run", "--rm", "--net", "red", "--network-alias", "client", "busybox", "sh", "-c", "nslookup -type=a web. && nslookup -type=a client.")
				if r.Code != 0 || !strings.Contains(r.Stdout, "10.1.0.2") {
					t.Errorf("%v", r)
				}
			}
		})
	}
	all.Wait()
}

// TestLookupsDuringReconnects: names of a network that stays are answered all
// the time that another comes and goes.
func TestLookupsDuringReconnects(t *testing.T) {
	t.Parallel()
	h := namesHost(t)
	pid := runIdle(t, h, "web", "--net", "red")
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { done <- n }()
		for ; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if got, err := lookup(h, pid, "web.red"); got != "10.1.0.2" || err != nil {
				t.Errorf("lookup %d: got %q, error %v", n, got, err)
				return
			}
		}
	}()
	for range 8 {
		must(t, h.Run("network", "connect", "blue", "web"))
		wantName(t, h, pid, "web.blue", ipOf(t, h, "web", "blue"))
		must(t, h.Run("network", "disconnect", "blue", "web"))
		wantNoName(t, h, pid, "web.blue")
	}
	close(stop)
	if n := <-done; n < 8 {
		t.Errorf("only %d lookups were made meanwhile", n)
	}
}
