package network

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/minirt/mini/network/netns"
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
	// Mini made the chain: without rules it goes when a network goes again.
	w.sh("iptables-nft -F DOCKER-USER; iptables-nft -F DOCKER-CT")
	w.must(w.m.Up(context.Background(), def, nil))
	w.must(w.m.Down(context.Background(), def, nil))
	if rules := w.sh("iptables-nft -S"); strings.Contains(rules, "DOCKER") {
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
		host, err := netns.Current()
		w.must(err)
		defer host.Close()
		w.serve(host, ":22")
		w.acceptSSH()
		w.answers("host to a", host, w.addr(a)+":80", n.Gateway.String())
		w.answers("c to the host", c.ns, w.find(Bridge).Gateway.String()+":22", w.addr(c))
		w.blocked("a to the host's address on the bridge", a.ns, n.Gateway.String()+":22")
		w.blocked("a to the host's other address", a.ns, hostAddr+":22")
		w.blocked("a to the host's address on another bridge", a.ns, w.find(Bridge).Gateway.String()+":22")
		w.overIPv6(n, a)
		w.leavesNothing(n, a, b)
	})
}

// acceptSSH is what an administrator does.
func (w *world) acceptSSH() {
	w.t.Helper()
	if w.m.opt.Firewall == NFTables {
		w.sh("nft 'add table ip admin; add chain ip admin in { type filter hook input priority 0; }; add rule ip admin in tcp dport 22 accept'")
		return
	}
	w.sh(w.m.opt.IPTables + " -A INPUT -p tcp --dport 22 -j ACCEPT")
}

// overIPv6 lets a container switch IPv6 on, which a privileged one can, and looks
// for the host at its link-local address.
func (w *world) overIPv6(n *Network, a *box) {
	w.t.Helper()
	l, err := net.Listen("tcp", ":23")
	w.must(err)
	defer l.Close()
	w.in(a.ns, func() error {
		w.sh("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0; ip -6 addr add fe80::a/64 dev eth0 nodad")
		return nil
	})
	mac := macFor(n.Gateway) // the kernel derives the address from it, RFC 4291 appendix A
	addr := fmt.Sprintf("[fe80::%x:%xff:fe%02x:%x%02x%%eth0]:23", int(mac[0]^2)<<8|int(mac[1]), mac[2], mac[3], mac[4], mac[5])
	begin := time.Now()
	for time.Since(begin) < 3*time.Second { // its own address takes a moment
		err = netns.Do(a.ns, func() error {
			c, err := net.DialTimeout("tcp6", addr, impatient)
			if err == nil {
				c.Close()
			}
			return err
		})
		if err == nil {
			w.t.Errorf("a reaches the host at %s", addr)
			return
		}
	}
}

// TestUDPFlowMovesOn: a client that never pauses reaches the new container, not
// what the old flow remembers.
func TestUDPFlowMovesOn(t *testing.T) {
	eachKind(t, func(t *testing.T, backend, call string) {
		w := makeWorld(t, backend, call)
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
			if !reaches(c, name) {
				t.Errorf("the client never reached container %q", name)
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

// reaches sends until the wanted container answers. UDP loses packets, for one
// while the bridge's port is coming up, and an answer of the container before
// may still be on its way.
func reaches(c net.Conn, want string) bool {
	buf := make([]byte, 64)
	for range 50 {
		if _, err := c.Write([]byte("?")); err != nil {
			continue // an earlier packet was refused
		}
		if c.SetReadDeadline(time.Now().Add(100*time.Millisecond)) != nil {
			return false
		}
		if n, err := c.Read(buf); err == nil && string(buf[:n]) == want {
			return true
		}
	}
	return false
}
