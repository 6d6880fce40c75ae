package integration

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/minirt/mini/integration/host"
)

// cell is one cell of the access matrix: who asks whom, and what comes of it.
type cell struct {
	from, to string
	want     string // the client's address as the container sees it; dropped or refused
}

const (
	dropped = "dropped"
	refused = "refused"
)

// TestAccessMatrix is the table in docs/networking.md, for a container a with
// -p 8080:80, b on its bridge and c on another.
func TestAccessMatrix(t *testing.T) {
	for _, nf := range []bool{false, true} {
		for _, backend := range host.Backends {
			t.Run(fmt.Sprintf("bridge-nf-call-iptables=%d,%s", map[bool]int{true: 1}[nf], backend), func(t *testing.T) {
				t.Parallel()
				newMatrix(t, host.BridgeNF(nf), host.Iptables(backend)).check(t)
			})
		}
	}
}

type matrix struct {
	h    *host.Host
	pids map[string]int
	addr map[string]string // what the cells' addresses are called by
	gwC  string            // gateway of c's network
	ipC  string            // address of c
}

func newMatrix(t *testing.T, opts ...host.Option) *matrix {
	h := busyboxHost(t, opts...)
	must(t, h.Run("network", "create", "other"))
	m := &matrix{h: h, pids: map[string]int{}}
	m.pids["a"] = runWeb(t, h, "ca", "-p", "8080:80")
	m.pids["b"] = runIdle(t, h, "cb")
	m.pids["c"] = runIdle(t, h, "cc", "--net", "other")
	m.gwC = networkField(t, h, "other", "{{(index .IPAM.Config 0).Gateway}}")
	m.ipC = ipOf(t, h, "cc", "other")
	m.addr = map[string]string{
		"host-ip:8080": "192.0.2.1:8080", "127.0.0.1:8080": "127.0.0.1:8080",
		"bridge:8080": "172.17.0.1:8080", "other-bridge:8080": m.gwC + ":8080", "a:80": "172.17.0.2:80",
	}
	// The outside knows a way to the containers' addresses, as a neighbour of
	// the host can.
	must(t, h.Outside("ip", "route", "add", "172.17.0.0/16", "via", hostIP))
	return m
}

func (m *matrix) cells() []cell {
	return []cell{
		{"a", "host-ip:8080", gateway}, // hairpin
		{"b", "host-ip:8080", gateway},
		{"c", "host-ip:8080", m.ipC},
		{"host", "host-ip:8080", hostIP},
		{"host", "127.0.0.1:8080", gateway},
		{"outside", "host-ip:8080", outside},

		{"a", "bridge:8080", gateway},
		{"b", "bridge:8080", gateway},
		{"c", "bridge:8080", m.ipC},
		{"c", "other-bridge:8080", m.ipC},
		{"host", "bridge:8080", gateway},

		{"a", "a:80", "172.17.0.2"},
		{"b", "a:80", "172.17.0.3"},
		{"host", "a:80", gateway},
		{"c", "a:80", dropped},
		{"outside", "a:80", dropped},

		// Each has a loopback of its own.
		{"a", "127.0.0.1:8080", refused},
		{"b", "127.0.0.1:8080", refused},
		{"outside", "127.0.0.1:8080", refused},
	}
}

// check tries all cells at once, for it takes time to find that nothing comes,
// and then reports them one by one.
func (m *matrix) check(t *testing.T) { m.checkCells(t, m.cells()) }

func (m *matrix) checkCells(t *testing.T, cells []cell) {
	got := make([]string, len(cells))
	var all sync.WaitGroup
	for i, c := range cells {
		all.Go(func() { got[i] = m.try(c) })
	}
	all.Wait()
	for i, c := range cells {
		t.Run(c.from+" to "+c.to, func(t *testing.T) {
			if got[i] != c.want {
				t.Errorf("got %s, want %s", got[i], c.want)
			}
		})
	}
}

// try says what came of a cell, in the words of its want.
func (m *matrix) try(c cell) string {
	url, d := "http://"+m.addr[c.to]+addrPage, 5*time.Second
	if c.want == dropped {
		d = silence
	}
	var peer string
	var err error
	switch c.from {
	case "host":
		peer, err = getFrom(m.h, host.Inside, url, d)
	case "outside":
		peer, err = getFrom(m.h, host.Outside, url, d)
	default:
		peer, err = getIn(m.h, m.pids[c.from], url, d)
	}
	switch {
	case err == nil:
		return peer
	case unanswered(err):
		return dropped
	case isRefused(err):
		return refused
	}
	return err.Error()
}

// TestLoopbackOfTheHostStaysClosed: route_localnet, which lets 127.0.0.1:8080
// reach a container, must not let a container, nor the outside, reach what
// listens on the host's 127.0.0.1 only.
func TestLoopbackOfTheHostStaysClosed(t *testing.T) {
	for _, backend := range host.Backends {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			h := busyboxHost(t, host.Iptables(backend))
			if err := h.ServeAddr(host.Inside, "127.0.0.1:6379"); err != nil {
				t.Fatal(err)
			}
			pid := runWeb(t, h, "web", "-p", "8080:80")
			// What a container with CAP_NET_ADMIN, or a neighbour, can do.
			attack := `set -e; echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet
				ip rule add pref 100 lookup local; ip rule del pref 0
				ip route add table 99 default via $1 dev $2; ip rule add pref 10 to 127.0.0.1 dport 6379 lookup 99`
			must(t, inNet(h, pid, "sh", "-c", attack, "sh", gateway, "eth0"))
			must(t, h.Outside("sh", "-c", attack, "sh", hostIP, host.OutsideLink))

			// The host has packets to drop: the attack reached it.
			before := droppedLoopback(t, h)
			if _, err := getIn(h, pid, "http://127.0.0.1:6379/", silence); !unanswered(err) {
				t.Errorf("a container gets to the host's loopback: %v", err)
			}
			if after := droppedLoopback(t, h); after <= before {
				t.Errorf("no packet from the container was dropped: the attack is not one")
			}
			if _, err := getFrom(h, host.Outside, "http://127.0.0.1:6379/", silence); !unanswered(err) {
				t.Errorf("the outside gets to the host's loopback: %v", err)
			}
			wantAddr(t, h, host.Inside, "http://127.0.0.1:8080"+addrPage, gateway)
		})
	}
}

// droppedLoopback counts the packets that the guards of 127/8 dropped.
func droppedLoopback(t testing.TB, h *host.Host) int {
	t.Helper()
	n := 0
	if h.Backend() == host.Native {
		rule := regexp.MustCompile(`ip [sd]addr 127\.0\.0\.0/8 iifname != "lo" counter packets (\d+) `)
		for _, found := range rule.FindAllStringSubmatch(must(t, h.Exec("nft", "list", "ruleset")), -1) {
			packets, err := strconv.Atoi(found[1])
			if err != nil {
				t.Fatal(err)
			}
			n += packets
		}
		return n
	}
	out := must(t, h.Exec("iptables", "-t", "raw", "-nvxL", "DOCKER-RAW"))
	for _, row := range table(out) {
		var packets int
		if len(row) < 9 || row[2] != "DROP" || (row[7] != "127.0.0.0/8" && row[8] != "127.0.0.0/8") {
			continue
		}
		if _, err := fmt.Sscan(row[0], &packets); err != nil {
			t.Fatalf("reading %v: %v", row, err)
		}
		n += packets
	}
	return n
}

// TestUDPKeepsFlowingThroughARestart: a client that never pauses finds the
// container again, though its flow was tracked before.
func TestUDPKeepsFlowingThroughARestart(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	// The client is there before the container is: the kernel remembers its
	// flow as one to the host itself.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := h.Dial(ctx, host.Outside, "udp4", "192.0.2.1:5353")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("anybody?")); err != nil {
		t.Fatal(err)
	}
	stop := keepSending(conn)
	pid := runIdle(t, h, "dns", "-p", "5353:53/udp")
	stop()
	t.Run("started", func(t *testing.T) { wantUDP(t, h, pid, conn) })
	must(t, h.Run("restart", "-t", "0", "dns"))
	t.Run("restarted", func(t *testing.T) { wantUDP(t, h, initPid(t, h, "dns"), conn) })
}

// keepSending sends a datagram every 10 ms until it is told to stop. The
// answers, errors included, do not matter.
func keepSending(conn net.Conn) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
				_, _ = conn.Write([]byte("x"))
			}
		}
	}()
	return func() { close(done); <-ended }
}

func wantUDP(t *testing.T, h *host.Host, pid int, conn net.Conn) {
	t.Helper()
	echoUDP(t, h, pid, ":53")
	if got, err := exchange(conn, 6); err != nil || got != outside {
		t.Errorf("the container sees %q, want %s: %v", got, outside, err)
	}
}
