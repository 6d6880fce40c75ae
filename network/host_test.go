package network

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	goruntime "runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/netns"
	"github.com/minirt/mini/network/port"
)

// needRoot fails in CI and skips for a developer who is not root.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this test needs root")
	}
	t.Skip("SKIPPED: this test needs root")
}

// world is a private host with an uplink to an outside.
//
//	host 192.0.2.1 (uplink0) ──── 192.0.2.2 outside
type world struct {
	t       testing.TB
	m       *Manager
	outside *os.File
	notices []string
}

const (
	hostAddr    = "192.0.2.1"
	outsideAddr = "192.0.2.2"
)

// enter moves the test's goroutine into a new network and mount namespace. The
// thread is never unlocked: it ends with the goroutine, and the namespaces with
// it. So a test that enters must not run subtests.
func enter(t testing.TB) {
	t.Helper()
	needRoot(t)
	goruntime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		t.Fatalf("making namespaces: %v", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatalf("making mounts private: %v", err)
	}
	// iptables-legacy keeps its lock below /run, ip keeps names there.
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		t.Fatalf("mounting /run: %v", err)
	}
}

// newWorld is makeWorld for a test that runs beside others.
func newWorld(t *testing.T, backend, call string) *world {
	t.Helper()
	t.Parallel()
	return makeWorld(t, backend, call)
}

// makeWorld enters a private host with the given back end, one of drivers, and
// bridge-nf-call-iptables.
// A test that takes a port again which it gave back must run alone: see
// [port.Socket.Close].
func makeWorld(t testing.TB, backend, call string) *world {
	t.Helper()
	enter(t)
	w := &world{t: t}
	var err error
	w.outside, err = netns.New()
	w.must(err)
	t.Cleanup(func() { w.outside.Close() })
	w.sh("ip link set lo up")
	w.sh(fmt.Sprintf("ip link add uplink0 address 0a:00:00:00:00:01 type veth peer name up0 netns /proc/%d/fd/%d", os.Getpid(), w.outside.Fd()))
	w.sh("ip addr add " + hostAddr + "/24 dev uplink0 && ip link set uplink0 up")
	w.in(w.outside, func() error {
		w.sh("ip link set lo up; ip addr add " + outsideAddr + "/24 dev up0 && ip link set up0 up")
		return nil
	})
	w.sh("ip route add default via " + outsideAddr)
	w.must(os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte(call), 0))
	state := t.TempDir()
	if _, ok := t.(*testing.B); ok {
		state = "/run/bench" // a private tmpfs, for the true costs
	}
	opt := Options{
		Root: t.TempDir(), State: state, IPTables: backend,
		Notice: func(s string) { w.notices = append(w.notices, s) },
	}
	if backend == NFTables {
		opt.Firewall, opt.IPTables = NFTables, "iptables-that-must-not-be-used"
	}
	w.m, err = Open(opt)
	w.must(err)
	w.m.owner = "host" // as in the default state directory
	t.Cleanup(w.m.Close)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) in(ns *os.File, fn func() error) {
	w.t.Helper()
	w.must(netns.Do(ns, fn))
}

// sh runs a shell command in the calling thread's namespaces.
func (w *world) sh(script string) string {
	w.t.Helper()
	out, err := exec.Command("sh", "-ec", script).CombinedOutput()
	if err != nil {
		w.t.Errorf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// box is a container: a namespace with an endpoint. A socket keeps a namespace
// alive, so the listeners are closed with it. A connection whose last packet
// was lost when the cable was unplugged keeps it too, so the pair is deleted.
type box struct {
	ns        *os.File
	ep        *Endpoint
	listeners []io.Closer
}

func (w *world) addr(b *box) string { return b.ep.IP.String() }

var boxes atomic.Int64

func (w *world) spec(name string, ports ...string) EndpointSpec {
	w.t.Helper()
	s := EndpointSpec{
		ContainerID: fmt.Sprintf("%06x%058x", boxes.Add(1), 1), ContainerName: name,
		Interface: "eth0", DefaultRoute: true, DefaultRoute6: true,
	}
	s.Ports = w.ports(ports...)
	return s
}

func (w *world) ports(specs ...string) (all []port.Mapping) {
	for _, p := range specs {
		m, err := port.Parse(p)
		if err != nil {
			panic(err) // a mistake in the test
		}
		all = append(all, m...)
	}
	return all
}

// start connects a new container to a network.
func (w *world) start(n *Network, name string, ports ...string) *box {
	w.t.Helper()
	return w.startSpec(n, w.spec(name, ports...))
}

func (w *world) startSpec(n *Network, spec EndpointSpec) *box {
	w.t.Helper()
	ns, err := netns.New()
	w.must(err)
	w.t.Cleanup(func() { ns.Close() })
	ep, err := w.m.Reserve(n, spec)
	w.must(err)
	w.t.Cleanup(func() { ep.Close() })
	w.must(w.m.Up(context.Background(), n, nil))
	p, err := w.m.AttachPlan(ep, ns)
	w.must(err)
	w.must(p.Run(context.Background(), nil))
	return &box{ns: ns, ep: ep}
}

func (w *world) stop(b *box) {
	w.t.Helper()
	w.must(w.m.DetachPlan(b.ep).RunAll(context.Background(), nil))
	w.must(w.m.Release(b.ep))
	for _, l := range b.listeners {
		l.Close()
	}
	b.ns.Close()
	w.must(w.m.DeleteLink(b.ep))
}

// serveIn starts the server of a container.
func (w *world) serveIn(b *box) {
	w.t.Helper()
	b.listeners = append(b.listeners, w.serve(b.ns, ":80"))
}

// create makes a user's network.
func (w *world) create(opt CreateOptions) *Network {
	w.t.Helper()
	n, err := w.m.Create(opt)
	w.must(err)
	return n
}

func (w *world) find(ref string) *Network {
	w.t.Helper()
	n, err := w.m.Find(ref)
	w.must(err)
	return n
}

// serve answers TCP connections in a namespace with the client's address.
func (w *world) serve(ns *os.File, addr string) io.Closer {
	w.t.Helper()
	var l net.Listener
	w.in(ns, func() (err error) {
		l, err = net.Listen("tcp4", addr)
		return err
	})
	w.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, netip.MustParseAddrPort(c.RemoteAddr().String()).Addr())
			c.Close()
		}
	}()
	return l
}

// call connects from a namespace and gives the answer, or "" when there is none
// in time. An answer that must not come is waited for only shortly.
func (w *world) call(ns *os.File, addr string, patience time.Duration) string {
	answer := ""
	// The error is the answer here: what fails to connect is blocked.
	_ = netns.Do(ns, func() error {
		c, err := net.DialTimeout("tcp4", addr, patience)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		text, err := io.ReadAll(c)
		answer = string(text)
		return err
	})
	return answer
}

const (
	patient   = 5 * time.Second
	impatient = 300 * time.Millisecond
)

func (w *world) answers(what string, ns *os.File, addr, want string) {
	w.t.Helper()
	if got := w.call(ns, addr, patient); got != want {
		w.t.Errorf("%s (%s): the server saw %q, want %q", what, addr, got, want)
	}
}

func (w *world) blocked(what string, ns *os.File, addr string) {
	w.t.Helper()
	if got := w.call(ns, addr, impatient); got != "" {
		w.t.Errorf("%s (%s): got an answer, the server saw %q", what, addr, got)
	}
}

// traces gives all that mini could leave on the host.
func (w *world) traces() string {
	return strings.Join([]string{
		w.sh("ip -o link show | sed 's/^[0-9]*: //; s/@[^:]*//' | cut -d: -f1"), w.sh("ip -o -4 addr | sed 's/^[0-9]*: //'; ip -o -6 addr show scope global | sed 's/^[0-9]*: //'"), w.sh("ip route | sed 's/ linkdown//'"),
		w.rules(),
	}, "\n")
}

// rules gives all chains and rules of the back end and of both families, in no order.
func (w *world) rules() string {
	w.t.Helper()
	if w.m.opt.Firewall == NFTables {
		return w.sh("nft -s list ruleset | sort")
	}
	const lines = "-save | grep -v '^#' | sed 's/\\[[0-9]*:[0-9]*\\]//' | grep '^-\\|^:' | sort -u | grep -v '^:[A-Z]* ACCEPT' || true"
	return w.sh(w.m.opt.IPTables+lines) + w.sh(w.ip6tables()+lines)
}

// ip6tables is the program beside that of iptables.
func (w *world) ip6tables() string {
	return strings.Replace(w.m.opt.IPTables, "iptables", "ip6tables", 1)
}

// chain gives the rules of one chain in their order.
func (w *world) chain(table, name string) string {
	w.t.Helper()
	if w.m.opt.Firewall == NFTables {
		return w.sh("nft -s list chain ip mini " + table + "-" + name)
	}
	return w.sh(w.m.opt.IPTables + " -t " + table + " -S " + name)
}

// flush takes all rules out of a chain, as a stranger would.
func (w *world) flush(table, name string) {
	w.t.Helper()
	if w.m.opt.Firewall == NFTables {
		w.sh("nft flush chain ip mini " + table + "-" + name)
		return
	}
	w.sh(w.m.opt.IPTables + " -t " + table + " -F " + name)
}
