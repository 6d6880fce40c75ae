package network

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/netns"
	"github.com/minirt/mini/plan"
)

// TestForeignChains: chains, rules and links of others stay as they are.
func TestForeignChains(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			w.sh("ipt=" + backend + `
				$ipt -t nat -N DOCKER; $ipt -t nat -A PREROUTING -j DOCKER; $ipt -t nat -A DOCKER -p tcp --dport 1 -j RETURN
				$ipt -N DOCKER-USER; $ipt -A DOCKER-USER -s 203.0.113.0/24 -j DROP; $ipt -A FORWARD -j DOCKER-USER
				$ipt -P FORWARD DROP
				ip link add mini0 type bridge`)
			before := w.traces()
			def := w.find(Bridge)
			a := w.start(def, "a", "8080:80")
			w.serveIn(a)
			w.answers("outside, with MINI chains", w.outside, hostAddr+":8080", outsideAddr)
			if got := strings.Join(w.notices, "\n"); got != "chain DOCKER belongs to somebody else: mini's chains are named MINI" {
				t.Errorf("the notices are %q", got)
			}
			if mk, err := w.m.readMark(def); err != nil || mk.Bridge != "mini1" {
				t.Errorf("the bridge is %+v, error %v, want mini1", mk, err)
			}
			w.stop(a)
			w.must(w.m.Down(context.Background(), def, nil))
			w.waitForVeths()
			// The jump stays with the administrator's rule: it has an effect.
			after := strings.ReplaceAll(w.traces(), "-A FORWARD -m comment --comment \""+"mini:host\" -j DOCKER-USER\n", "")
			if after != before {
				t.Errorf("changed:\nbefore:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// TestUserChain: what the administrator adds while mini runs has the first word
// and survives.
func TestUserChain(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	def := w.find(Bridge)
	a := w.start(def, "a", "8080:80")
	w.serveIn(a)
	w.answers("outside", w.outside, hostAddr+":8080", outsideAddr)
	w.sh("iptables-nft -A DOCKER-USER -s " + outsideAddr + " -j DROP; iptables-nft -A DOCKER-CT -p sctp -j ACCEPT")
	w.blocked("outside, against the administrator's rule", w.outside, hostAddr+":8080")
	w.stop(a)
	w.must(w.m.Down(context.Background(), def, nil))
	rules := w.sh("iptables-nft -S")
	for _, want := range []string{"-j DOCKER-USER", "-A DOCKER-USER -s " + outsideAddr + "/32 -j DROP", "-A DOCKER-CT -p sctp -j ACCEPT"} {
		if !strings.Contains(rules, want) {
			t.Errorf("%q is gone:\n%s", want, rules)
		}
	}
	if strings.Contains(rules, "DOCKER-FORWARD") {
		t.Errorf("left behind:\n%s", rules)
	}
}

// TestTwoRoots: two minis on one host do not know each other.
func TestTwoRoots(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	before := w.traces()
	a := w.start(w.find(Bridge), "a", "8080:80")
	first := w.m
	opt := first.opt
	opt.Root, opt.State = t.TempDir(), t.TempDir()
	second, err := Open(opt)
	w.must(err)
	defer second.Close()
	w.m = second
	b := w.start(w.find(Bridge), "b", "8081:80")
	for _, x := range []*box{a, b} {
		w.serveIn(x)
	}
	w.answers("outside to a", w.outside, hostAddr+":8080", outsideAddr)
	w.answers("outside to b", w.outside, hostAddr+":8081", outsideAddr)
	w.blocked("a to b", a.ns, w.addr(b)+":80")
	_, err = second.Reserve(w.find(Bridge), w.spec("c", "8080:80"))
	wantErr(t, "the other's port", err, nil, "port is already allocated (held by ")
	w.stop(b)
	w.must(second.Down(context.Background(), w.find(Bridge), nil))
	w.answers("outside to a, after the second mini", w.outside, hostAddr+":8080", outsideAddr)
	w.m = first
	w.stop(a)
	w.must(first.Down(context.Background(), w.find(Bridge), nil))
	w.waitForVeths()
	if after := w.traces(); after != before {
		t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}
}

// TestInternal: an internal network has no way in or out, but works inside.
func TestInternal(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		n := w.create(CreateOptions{Name: "closed", Internal: true})
		a, b := w.start(n, "a", "8080:80"), w.start(n, "b")
		if len(a.ep.Ports) != 0 || len(w.notices) != 1 {
			t.Errorf("ports %v, notices %q, want no port and one notice", a.ep.Ports, w.notices)
		}
		c := w.start(w.find(Bridge), "c")
		for _, x := range []*box{a, b, c} {
			w.serveIn(x)
		}
		w.serve(w.outside, ":80")
		w.answers("b to a", b.ns, w.addr(a)+":80", w.addr(b))
		w.blocked("a to the world", a.ns, outsideAddr+":80")
		w.in(a.ns, func() error { w.sh("ip route add default via " + n.Gateway.String()); return nil })
		w.blocked("a to the world with a route of its own", a.ns, outsideAddr+":80")
		w.blocked("a to c", a.ns, w.addr(c)+":80")
		w.blocked("c to a", c.ns, w.addr(a)+":80")
	})
}

// TestUDPFlowMovesOn: a client that never pauses reaches the new container, not
// what the old flow remembers.
func TestUDPFlowMovesOn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		def := w.find(Bridge)
		var c net.Conn
		w.in(w.outside, func() (err error) { c, err = net.Dial("udp4", hostAddr+":5353"); return err })
		defer c.Close()
		// Before the port is published, the packet is tracked without DNAT.
		if _, err := c.Write([]byte("early")); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"first", "second"} {
			b := w.start(def, name, "5353:53/udp")
			w.echoUDP(b)
			if got := askUDP(c); got != name {
				t.Errorf("the client reached %q, want %q", got, name)
			}
			w.stop(b)
		}
	})
}

// echoUDP answers each packet with the container's name.
func (w *world) echoUDP(b *box) {
	w.t.Helper()
	var conn net.PacketConn
	w.in(b.ns, func() (err error) { conn, err = net.ListenPacket("udp4", ":53"); return err })
	b.listeners = append(b.listeners, conn)
	go func() {
		buf := make([]byte, 64)
		for {
			_, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if _, err := conn.WriteTo([]byte(b.ep.ContainerName), from); err != nil {
				return
			}
		}
	}()
}

// askUDP sends until an answer comes: UDP loses packets, for one while the
// bridge's port is coming up.
func askUDP(c net.Conn) string {
	buf := make([]byte, 64)
	for range 50 {
		if _, err := c.Write([]byte("?")); err != nil {
			continue // an earlier packet was refused
		}
		if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			return err.Error()
		}
		if n, err := c.Read(buf); err == nil {
			return string(buf[:n])
		}
	}
	return ""
}

// TestRollback: a plan that fails at any step leaves what was there before.
func TestRollback(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	ctx, before := context.Background(), w.traces()
	def := w.find(Bridge)
	up, err := w.m.UpPlan(def)
	w.must(err)
	boom := errors.New("boom")
	for i := range up.Steps {
		p, err := w.m.UpPlan(def)
		w.must(err)
		failAt(&p, i, boom)
		if err := p.Run(ctx, nil); !errors.Is(err, boom) {
			t.Fatalf("step %d: %v", i, err)
		}
		if after := w.traces(); after != before {
			t.Fatalf("a failure after %q leaves:\n%s", p.Steps[i].Name, after)
		}
	}
	w.must(w.m.Up(ctx, def, nil))
	before = w.traces()
	ns, err := netns.New()
	w.must(err)
	defer ns.Close()
	ep, err := w.m.Reserve(def, w.spec("a", "8080:80", "5353:53/udp"))
	w.must(err)
	defer ep.Close()
	attach, err := w.m.AttachPlan(ep, ns)
	w.must(err)
	for i := range attach.Steps {
		p, err := w.m.AttachPlan(ep, ns)
		w.must(err)
		failAt(&p, i, boom)
		if err := p.Run(ctx, nil); !errors.Is(err, boom) {
			t.Fatalf("step %d: %v", i, err)
		}
		if after := w.traces(); after != before {
			t.Fatalf("a failure after %q leaves:\n%s", p.Steps[i].Name, after)
		}
	}
}

// failAt lets step i do its work and then fail.
func failAt(p *plan.Plan, i int, err error) {
	do := p.Steps[i].Do
	p.Steps[i].Do = func(ctx context.Context) error {
		if do != nil {
			if err := do(ctx); err != nil {
				return err
			}
		}
		return err
	}
}

// TestUpAfterCrash: a network whose bringing up was cut off at any step comes
// up, under the same names, and goes down without a trace.
func TestUpAfterCrash(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			ctx, before := context.Background(), w.traces()
			def := w.find(Bridge)
			up, err := w.m.UpPlan(def)
			w.must(err)
			for i := range up.Steps {
				w.crashUp(def, i)
				w.must(w.m.Up(ctx, def, nil))
				if mk, err := w.m.readMark(def); err != nil || mk.Bridge != "mini0" || mk.Prefix != "DOCKER" {
					t.Fatalf("after a crash at %q the network is %+v, %v", up.Steps[i].Name, mk, err)
				}
				w.must(w.m.Down(ctx, def, nil))
				if after := w.traces(); after != before {
					t.Fatalf("after a crash at %q is left:\n%s", up.Steps[i].Name, after)
				}
			}
		})
	}
}

// crashUp does what Up does until step i, and then no more.
func (w *world) crashUp(n *Network, i int) {
	w.t.Helper()
	unlock, err := lock(w.m.statePath("networks.lock"), unix.LOCK_EX)
	w.must(err)
	defer unlock()
	chains, err := w.m.startChains()
	w.must(err)
	mk, err := w.m.layout(n, chains.Prefix)
	w.must(err)
	w.must(os.MkdirAll(w.m.netDir(n), 0o700))
	w.must(replaceJSON(w.m.markPath(n), mk))
	p := w.m.upPlan(n, mk, true)
	p.Steps = p.Steps[:i]
	w.must(p.Run(context.Background(), nil))
}

func TestDisconnect(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	n := w.create(CreateOptions{Name: "web"})
	a := w.start(n, "a", "8080:80")
	w.must(w.m.DisconnectPlan(a.ep).RunAll(context.Background(), nil))
	w.must(w.m.DisconnectPlan(a.ep).RunAll(context.Background(), nil))
	w.must(w.m.DetachPlan(a.ep).RunAll(context.Background(), nil))
	w.must(w.m.Release(a.ep))
	w.must(w.m.Release(a.ep))
	w.in(a.ns, func() error {
		if got := w.sh("ip -o link"); strings.Contains(got, "eth0") {
			t.Errorf("the container still has %s", got)
		}
		return nil
	})
	removed, err := w.m.Prune(context.Background(), nil, nil)
	w.must(err)
	if strings.Join(removed, " ") != "web" {
		t.Errorf("pruned %q, want web", removed)
	}
}
