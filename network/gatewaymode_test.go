package network

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/network/netns"
)

// ping says whether an address answers.
func (w *world) ping(ns *os.File, addr string) bool {
	w.t.Helper()
	// The error is the answer.
	return netns.Do(ns, func() error { return exec.Command("busybox", "ping", "-c1", "-W1", addr).Run() }) == nil
}

// TestRouted: containers are reached by their own address, at published ports.
func TestRouted(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		before := w.traces()
		n, def := w.create(CreateOptions{Name: "routed", GatewayMode: firewall.ModeRouted}), w.find(Bridge)
		a, b, c := w.start(n, "a", "8080:80"), w.start(n, "b"), w.start(def, "c")
		host, err := netns.Current()
		w.must(err)
		defer host.Close()
		w.serveIn(a)
		a.listeners = append(a.listeners, w.serve(a.ns, ":81"))
		w.serveIn(c)
		w.serve(w.outside, ":80")
		w.routeBack()
		w.answers("outside to a's published port", w.outside, w.addr(a)+":80", outsideAddr)
		w.answers("c to a's published port", c.ns, w.addr(a)+":80", w.addr(c))
		w.answers("b to a", b.ns, w.addr(a)+":81", w.addr(b))
		w.answers("host to a", host, w.addr(a)+":81", n.Gateway.String())
		w.answers("a to the world", a.ns, outsideAddr+":80", w.addr(a))
		w.blocked("outside to another port of a", w.outside, w.addr(a)+":81")
		w.blocked("c to another port of a", c.ns, w.addr(a)+":81")
		w.blocked("outside to the host's port", w.outside, hostAddr+":8080")
		w.blocked("host to 127.0.0.1", host, "127.0.0.1:8080")
		w.blocked("a to c, on a network with NAT", a.ns, w.addr(c)+":80")
		if !w.ping(w.outside, w.addr(b)) || !w.ping(c.ns, w.addr(b)) {
			t.Error("b does not answer to ping")
		}
		if want := "network routed is routed"; len(w.notices) != 1 || !strings.Contains(w.notices[0], want) {
			t.Errorf("got notices %q, want one with %q", w.notices, want)
		}
		if rules := w.chain("nat", "POSTROUTING") + w.chain("nat", "DOCKER"); strings.Contains(rules, n.tag()) {
			t.Errorf("a routed network has rules of translation:\n%s", rules)
		}
		if rules := w.chain("raw", "DOCKER-RAW"); strings.Contains(rules, n.Subnet.String()) {
			t.Errorf("the addresses of a routed network are guarded:\n%s", rules)
		}
		w.stop(c)
		w.leavesNothing(n, a, b)
		w.pruned(before)
	})
}

// pruned takes the default network down and compares with the host's traces from before.
func (w *world) pruned(before string) {
	w.t.Helper()
	_, err := w.m.Prune(w.t.Context(), nil, nil)
	w.must(err)
	w.waitForVeths()
	if after := w.traces(); after != before {
		w.t.Errorf("left behind:\nbefore:\n%s\nafter:\n%s", before, after)
	}
}

// TestRoutedKeepsContainersApart: icc=false leaves published ports open to neighbours.
func TestRoutedKeepsContainersApart(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		n := w.create(CreateOptions{Name: "routed", GatewayMode: firewall.ModeRouted, NoICC: true})
		a, b := w.start(n, "a", "80"), w.start(n, "b")
		w.serveIn(a)
		w.blocked("b to a on the bridge", b.ns, w.addr(a)+":80")
		w.routeBack()
		w.answers("outside to a's published port", w.outside, w.addr(a)+":80", outsideAddr)
	})
}

// TestUnprotected: who has a route reaches all ports.
func TestUnprotected(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		n := w.create(CreateOptions{Name: "open", GatewayMode: firewall.ModeUnprotected})
		first := w.start(w.find(Bridge), "first") // comes up before, the other after
		a, b := w.start(n, "a", "8080:80"), w.start(n, "b")
		later := w.start(w.create(CreateOptions{Name: "later"}), "later")
		routed := w.start(w.create(CreateOptions{Name: "routed", GatewayMode: firewall.ModeRouted}), "routed")
		host, err := netns.Current()
		w.must(err)
		defer host.Close()
		w.serveIn(a)
		a.listeners = append(a.listeners, w.serve(a.ns, ":81"))
		w.serve(w.outside, ":80")
		w.routeBack()
		for name, c := range map[string]*box{"first": first, "later": later, "routed": routed} {
			w.serveIn(c)
			w.blocked(name+" to a directly", c.ns, w.addr(a)+":81")
			w.blocked("a directly to "+name, a.ns, w.addr(c)+":80")
		}
		w.answers("outside to a", w.outside, w.addr(a)+":81", outsideAddr)
		w.answers("outside through the published port", w.outside, hostAddr+":8080", outsideAddr)
		w.answers("b through the published port", b.ns, hostAddr+":8080", n.Gateway.String())
		w.answers("host to 127.0.0.1", host, "127.0.0.1:8080", n.Gateway.String())
		w.answers("a to the world", a.ns, outsideAddr+":80", hostAddr)
		w.answers("first through the published port", first.ns, hostAddr+":8080", w.addr(first))
		w.answers("later through the published port", later.ns, hostAddr+":8080", w.addr(later))
		w.leavesNothing(n, a, b)
	})
}

// TestIsolated: the host is no member of the network.
func TestIsolated(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		n := w.create(CreateOptions{Name: "alone", GatewayMode: firewall.ModeIsolated, Internal: true})
		a, b := w.start(n, "a"), w.start(n, "b")
		host, err := netns.Current()
		w.must(err)
		defer host.Close()
		w.serveIn(a)
		w.serve(host, ":22")
		w.answers("b to a", b.ns, w.addr(a)+":80", w.addr(b))
		if addrs := w.sh("ip -4 -o addr show dev " + n.Bridge); addrs != "" {
			t.Errorf("the bridge has an address: %s", addrs)
		}
		w.in(a.ns, func() error { w.sh("ip route add default dev eth0"); return nil })
		w.blocked("a to the gateway's address", a.ns, n.Gateway.String()+":22")
		w.blocked("a to the host", a.ns, hostAddr+":22")
		w.blocked("host to a", host, w.addr(a)+":80")
		w.leavesNothing(n, a, b)
	})
}
