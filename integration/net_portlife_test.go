package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/integration/host"
)

// TestSamePortOfTwoHostAddresses leads to two containers.
func TestSamePortOfTwoHostAddresses(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Exec("ip", "addr", "add", "192.0.2.9/24", "dev", "uplink0"))
	for name, ip := range map[string]string{"first": "192.0.2.1", "second": "192.0.2.9", "third": "127.0.0.1"} {
		must(t, h.Run("run", "-d", "--hostname", name, "--name", name, "-p", ip+":8080:80", "busybox", "nc", "-ll", "-p", "80", "-e", "hostname"))
	}
	for _, c := range []struct {
		from host.Place
		ip   string
		want string
	}{
		{host.Outside, "192.0.2.1", "first"}, {host.Outside, "192.0.2.9", "second"},
		{host.Inside, "192.0.2.1", "first"}, {host.Inside, "192.0.2.9", "second"}, {host.Inside, "127.0.0.1", "third"},
	} {
		host.Eventually(t, 5*time.Second, func() error { return readsFrom(h, c.from, c.ip+":8080", c.want) })
	}
	fails(t, h.Run("run", "--rm", "-p", "8080:80", "busybox", "true"), 125, "Bind for 0.0.0.0:8080 failed: port is already allocated (held by container ")
	must(t, h.Run("rm", "-f", "first"))
	if err := readsFrom(h, host.Outside, "192.0.2.9:8080", "second"); err != nil {
		t.Error(err)
	}
	must(t, h.Exec("ip", "addr", "del", "192.0.2.9/24", "dev", "uplink0"))
}

// readsFrom connects and reads to the end.
func readsFrom(h *host.Host, from host.Place, addr, want string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := h.Dial(ctx, from, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	text, err := io.ReadAll(conn)
	if got := strings.TrimSpace(string(text)); got != want {
		err = errors.Join(err, fmt.Errorf("%s from %v: reached %q, want %s", addr, from, got, want))
	}
	return err
}

// TestPortWithConnectionsInTimeWait is taken all the same: what a server left
// behind is no server.
func TestPortWithConnectionsInTimeWait(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	l, err := h.Listen(host.Inside, "tcp4", "0.0.0.0:8080")
	if err != nil {
		t.Fatal(err)
	}
	client, err := h.Dial(t.Context(), host.Outside, "tcp4", "192.0.2.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server.Close() // who closes first, waits
	_, _ = io.ReadAll(client)
	client.Close()
	l.Close()
	host.Eventually(t, patience, func() error {
		if must(t, h.Exec("ss", "-Htn", "state", "time-wait", "sport = 8080")) == "" {
			return errors.New("nothing waits: this shows nothing")
		}
		return nil
	})
	// A plain bind is refused for a minute.
	if err := h.InHost(func() error { return plainBind(8080) }); !errors.Is(err, unix.EADDRINUSE) {
		t.Fatalf("a plain bind: %v, want EADDRINUSE", err)
	}
	runWeb(t, h, "web", "-p", "8080:80")
	for range 2 {
		// The container's server closes first: its side waits, in its own namespace.
		wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
		wantAddr(t, h, host.Inside, "http://127.0.0.1:8080"+addrPage, gateway)
		must(t, h.Run("restart", "-t", "0", "web"))
		waitForWeb(t, h, initPid(t, h, "web"))
	}
	wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
}

// plainBind binds as a program does that never heard of SO_REUSEADDR.
func plainBind(port int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Bind(fd, &unix.SockaddrInet4{Port: port})
}

// TestRemoteClientsKeepTheirAddress, also those behind a router; and so do
// containers that call each other directly.
func TestRemoteClientsKeepTheirAddress(t *testing.T) {
	t.Parallel()
	const far = "198.51.100.7"
	h := busyboxHost(t)
	must(t, h.Outside("ip", "addr", "add", far+"/32", "dev", "lo"))
	pid := runWeb(t, h, "web", "-p", "8080:80", "-p", "5353:53/udp")
	echoUDP(t, h, pid, ":53")
	dial := func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
		var from net.Addr = &net.TCPAddr{IP: net.ParseIP(far)}
		if network == "udp4" {
			from = &net.UDPAddr{IP: net.ParseIP(far)}
		}
		err = h.InOutside(func() error {
			conn, err = (&net.Dialer{LocalAddr: from}).DialContext(ctx, network, addr)
			return err
		})
		return conn, err
	}
	if got, err := get("http://192.0.2.1:8080"+addrPage, patience, dial); err != nil || got != far {
		t.Errorf("TCP: the container sees %q, want %s: %v", got, far, err)
	}
	conn, err := dial(t.Context(), "udp4", "192.0.2.1:5353")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got, err := exchange(conn, 5); err != nil || got != far {
		t.Errorf("UDP: the container sees %q, want %s: %v", got, far, err)
	}
	must(t, h.Run("network", "create", "other"))
	c := runIdle(t, h, "three", "--network", "other")
	if got, err := getIn(h, c, "http://192.0.2.1:8080"+addrPage, patience); err != nil || got != ipOf(t, h, "three", "other") {
		t.Errorf("from another network: sees %q, %v", got, err)
	}
	b := runIdle(t, h, "two")
	if got, err := getIn(h, b, "http://172.17.0.2"+addrPage, patience); err != nil || got != "172.17.0.3" {
		t.Errorf("from a container: sees %q, %v", got, err)
	}
}

// TestUDPFlowSurvivesARestart: a client that keeps its socket, and never stops
// sending, reaches the container's next life, at another address perhaps.
func TestUDPFlowSurvivesARestart(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	echoUDP(t, h, runIdle(t, h, "web", "-p", "5353:53/udp"), ":53")
	survives(t, h, "192.0.2.1:5353", ":53")
}

// survives tells whether UDP flows to the address of a port of the container web
// survive its restart. Inside it listens at own.
func survives(t testing.TB, h *host.Host, addr, own string) {
	t.Helper()
	for _, from := range []host.Place{host.Outside, host.Inside} {
		conn, err := h.Dial(t.Context(), from, "udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := exchange(conn, 5); err != nil {
			t.Fatalf("from %v, before: %v", from, err)
		}
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				case <-time.After(2 * time.Millisecond):
					_, _ = conn.Write([]byte("anybody?")) // refused while nobody is there
				}
			}
		}()
		must(t, h.Run("restart", "-t", "0", "web"))
		close(stop)
		<-done
		drain(t, conn) // answers of the first life
		echoUDP(t, h, initPid(t, h, "web"), own)
		if _, err := exchange(conn, 5); err != nil {
			t.Errorf("from %v, after the restart: %v", from, err)
		}
	}
}

// drain reads what has arrived.
func drain(t testing.TB, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for buf := make([]byte, 100); ; {
		if _, err := conn.Read(buf); errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
	}
}

// TestPortsOfAFailedStartAreFree, all of them, whatever holds it up.
func TestPortsOfAFailedStartAreFree(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("network", "create", "red"))
	for _, args := range [][]string{
		{"busybox", "nothing-like-that"},
		{"-u", "nobody-like-that", "busybox", "true"},
		{"--net", "bridge", "--net", "red", "busybox", "nothing-like-that"},
	} {
		ports := []string{"-p", "8080:80", "-p", "7000-7004:7000-7004", "-p", "5353:53/udp", "-p", "6000-6001:60"}
		for _, mode := range []string{"run", "create"} {
			r := h.Run(append(append([]string{mode, "--rm", "--name", "box"}, ports...), args...)...)
			if mode == "create" {
				must(t, r)
				r = h.Run("start", "box")
			}
			if r.Code == 0 {
				t.Fatalf("it started: %v", r)
			}
			for _, addr := range []string{"0.0.0.0:8080", "0.0.0.0:7000", "0.0.0.0:7004", "0.0.0.0:6000"} {
				wantClosed(t, h, addr)
			}
			if err := h.InHost(func() error { return tryBind("udp4", "0.0.0.0:5353") }); err != nil {
				t.Errorf("UDP: %v", err)
			}
			if n := publishedRules(t, h); n != 0 {
				t.Errorf("%d DNAT rules are left", n)
			}
		}
	}
}
