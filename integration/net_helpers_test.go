package integration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minirt/mini/integration/host"
)

// Where things are in a private host on which mini is used for the first time.
const (
	firstIP  = "172.17.0.2" // of the first container
	gateway  = "172.17.0.1" // of the default network
	hostIP   = "192.0.2.1"  // host.HostAddr
	outside  = "192.0.2.2"  // host.OutsideAddr
	addrPage = "/cgi-bin/addr"
)

// httpd is the command of a container that serves the image's page, and at
// addrPage the address that the client seems to have.
var httpd = []string{"busybox", "httpd", "-f", "-p", "80", "-h", "/www"}

// must ends the test unless the command succeeded, and gives its trimmed
// output. Unlike the host's Must methods it can be used in a subtest.
func must(t testing.TB, r host.Result) string {
	t.Helper()
	if r.Code != 0 || r.Err != nil {
		t.Fatalf("%v", r)
	}
	return r.Out()
}

// fails checks that the command failed with that exit code, said each of the
// texts on its standard error and nothing on its standard output.
func fails(t testing.TB, r host.Result, code int, texts ...string) {
	t.Helper()
	wantCode(t, r, code)
	for _, text := range texts {
		if !strings.Contains(r.Stderr, text) {
			t.Errorf("the error does not say %q:\n%v", text, r)
		}
	}
	if r.Stdout != "" {
		t.Errorf("a command that failed printed something:\n%v", r)
	}
}

// runWeb starts a detached container that serves on port 80, and waits until
// it does. It returns the process id of its init.
func runWeb(t testing.TB, h *host.Host, name string, flags ...string) int {
	t.Helper()
	args := append([]string{"run", "-d", "--name", name}, flags...)
	must(t, h.Run(append(args, httpd...)...))
	pid := initPid(t, h, name)
	waitForWeb(t, h, pid)
	return pid
}

// waitForWeb waits until port 80 answers on the loopback of a container.
func waitForWeb(t testing.TB, h *host.Host, pid int) {
	t.Helper()
	host.Eventually(t, 5*time.Second, func() error {
		_, err := getIn(h, pid, "http://127.0.0.1"+addrPage, time.Second)
		return err
	})
}

// runIdle starts a detached container that waits to be stopped, and returns
// the process id of its init.
func runIdle(t testing.TB, h *host.Host, name string, flags ...string) int {
	t.Helper()
	args := append([]string{"run", "-d", "--name", name}, flags...)
	must(t, h.Run(append(args, "busybox", "sleep", "1000")...))
	return initPid(t, h, name)
}

// getIn fetches a page from inside a container's network namespace, and gives
// its text without white space at the ends. A status other than 200 is an error.
func getIn(h *host.Host, pid int, url string, d time.Duration) (string, error) {
	return get(url, d, func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
		err = h.InNetnsOf(pid, func() error {
			conn, err = (&net.Dialer{}).DialContext(ctx, network, addr)
			return err
		})
		return conn, err
	})
}

// getFrom is getIn for the host itself and for the outside.
func getFrom(h *host.Host, from host.Place, url string, d time.Duration) (string, error) {
	return get(url, d, func(ctx context.Context, network, addr string) (net.Conn, error) {
		return h.Dial(ctx, from, network, addr)
	})
}

func get(url string, d time.Duration, dial func(context.Context, string, string) (net.Conn, error)) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	resp, err := host.Get(ctx, url, dial)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the server says %s", resp.Status)
	}
	return plainAddr(strings.TrimSpace(string(body))), err
}

// plainAddr takes off what busybox puts around an IPv4 address when it listens
// on an IPv6 socket: [::ffff:192.0.2.2].
func plainAddr(s string) string {
	return strings.TrimPrefix(strings.Trim(s, "[]"), "::ffff:")
}

// wantAddr checks that the page at url, fetched from the place, is the
// client's address as the container sees it.
func wantAddr(t testing.TB, h *host.Host, from host.Place, url, want string) {
	t.Helper()
	got, err := getFrom(h, from, url, 5*time.Second)
	if err != nil {
		t.Errorf("%s from %v: %v", url, from, err)
	} else if got != want {
		t.Errorf("%s from %v: the container sees %s, want %s", url, from, got, want)
	}
}

// silence is how long a test waits for an answer that must not come.
const silence = 700 * time.Millisecond

// unanswered says whether err is what a dropped packet leads to: time runs out.
// A refusal is an answer.
func unanswered(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// echoUDP answers each datagram in a container's network namespace with the
// address it came from. It ends with the test.
func echoUDP(t testing.TB, h *host.Host, pid int, addr string) {
	t.Helper()
	var conn net.PacketConn
	network := "udp4"
	if strings.HasPrefix(addr, "[::]") {
		network = "udp" // both families
	}
	err := h.InNetnsOf(pid, func() (err error) {
		conn, err = net.ListenPacket(network, addr)
		return err
	})
	if err != nil {
		t.Fatalf("listening in a container: %v", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			_, peer, err := conn.ReadFrom(buf)
			if err != nil {
				return // closed
			}
			// A client that went away does not matter.
			_, _ = conn.WriteTo([]byte(peer.String()), peer)
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
}

// askUDP sends a datagram from the place and gives the address that echoUDP
// says it came from. A datagram may be lost, so it is sent again.
func askUDP(h *host.Host, from host.Place, addr string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := h.Dial(ctx, from, "udp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return exchange(conn, 5)
}

// exchange sends up to n datagrams until one is answered with an address.
func exchange(conn net.Conn, n int) (string, error) {
	var last error
	for range n {
		if _, err := conn.Write([]byte("hello")); err != nil {
			last = err
			continue
		}
		if err := conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
			return "", err
		}
		buf := make([]byte, 100)
		n, err := conn.Read(buf)
		if err == nil {
			peer, _, err := net.SplitHostPort(string(buf[:n]))
			return peer, err
		}
		last = err
	}
	return "", last
}

// table turns output in columns into rows of words, the heading first.
func table(text string) (rows [][]string) {
	s := bufio.NewScanner(strings.NewReader(text))
	for s.Scan() {
		rows = append(rows, strings.Fields(s.Text()))
	}
	return rows
}

// inNet runs a program in the network namespace of a container's init, with
// the host's files.
func inNet(h *host.Host, pid int, args ...string) host.Result {
	return h.Exec(append([]string{"nsenter", "--net=/proc/" + fmt.Sprint(pid) + "/ns/net"}, args...)...)
}

// networkField gives what a Go template makes of mini network inspect.
func networkField(t testing.TB, h *host.Host, ref, format string) string {
	t.Helper()
	return must(t, h.Run("network", "inspect", "--format", format, ref))
}

// tryBind takes a port of the calling thread's namespace for a moment.
func tryBind(network, addr string) error {
	if strings.HasPrefix(network, "udp") {
		conn, err := net.ListenPacket(network, addr)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		return err
	}
	return l.Close()
}
