package network

import (
	"context"
	"strings"
	"testing"

	"github.com/minirt/mini/network/netns"
)

// routeBack lets the outside know the way to the containers.
func (w *world) routeBack() {
	w.t.Helper()
	w.in(w.outside, func() error { w.sh("ip route add 172.16.0.0/12 via " + hostAddr); return nil })
}

// TestNoMasquerade: the world sees the container's address; all else is as it
// is on other networks.
func TestNoMasquerade(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		n := w.create(CreateOptions{Name: "plain", NoMasquerade: true})
		a, b, c := w.start(n, "a", "8080:80"), w.start(n, "b"), w.start(w.find(Bridge), "c")
		w.serveIn(a)
		host, err := netns.Current()
		w.must(err)
		defer host.Close()
		w.serve(w.outside, ":80")
		w.routeBack()
		w.answers("a to the world", a.ns, outsideAddr+":80", w.addr(a))
		w.answers("c to the world", c.ns, outsideAddr+":80", hostAddr)
		w.answers("a itself through the published port", a.ns, hostAddr+":8080", n.Gateway.String())
		w.answers("b through the published port", b.ns, hostAddr+":8080", n.Gateway.String())
		w.answers("b to a", b.ns, w.addr(a)+":80", w.addr(b))
		w.answers("c through the published port", c.ns, hostAddr+":8080", w.addr(c))
		w.answers("host to 127.0.0.1", host, "127.0.0.1:8080", n.Gateway.String())
		w.answers("outside through the published port", w.outside, hostAddr+":8080", outsideAddr)
		w.blocked("c to a directly", c.ns, w.addr(a)+":80")
		w.blocked("outside to a directly", w.outside, w.addr(a)+":80")
		w.leavesNothing(n, a, b, c)
	})
}

// TestNoICC: containers of the network do not reach each other but by published
// ports, whatever bridge-nf-call-iptables is.
func TestNoICC(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		n := w.create(CreateOptions{Name: "lonely", Options: map[string]string{"icc": "false"}})
		a, b, c := w.start(n, "a", "8080:80"), w.start(n, "b", "8081:80"), w.start(w.find(Bridge), "c")
		w.serveIn(a)
		w.serveIn(b)
		host, err := netns.Current()
		w.must(err)
		defer host.Close()
		w.serve(w.outside, ":80")
		w.serve(host, hostAddr+":22")
		w.blocked("b to a", b.ns, w.addr(a)+":80")
		w.blocked("a to b", a.ns, w.addr(b)+":80")
		w.in(b.ns, func() error { // with the other's address known, and with a route through the host
			w.sh("ip neigh replace " + w.addr(a) + " lladdr " + a.ep.MAC.String() + " dev eth0")
			return nil
		})
		w.blocked("b to a, whose MAC address it knows", b.ns, w.addr(a)+":80")
		w.answers("a itself through the published port", a.ns, hostAddr+":8080", n.Gateway.String())
		w.answers("b through a's published port", b.ns, hostAddr+":8080", n.Gateway.String())
		w.answers("a through b's published port", a.ns, n.Gateway.String()+":8081", n.Gateway.String())
		w.answers("c through the published port", c.ns, hostAddr+":8080", w.addr(c))
		w.answers("host to a", host, w.addr(a)+":80", n.Gateway.String())
		w.answers("host to 127.0.0.1", host, "127.0.0.1:8080", n.Gateway.String())
		w.answers("outside through the published port", w.outside, hostAddr+":8080", outsideAddr)
		w.answers("a to the world", a.ns, outsideAddr+":80", hostAddr)
		w.answers("a to the host", a.ns, hostAddr+":22", w.addr(a))
		w.blocked("c to a directly", c.ns, w.addr(a)+":80")
		if fdb := w.sh("bridge fdb show br " + n.Bridge); !strings.Contains(fdb, a.ep.MAC.String()+" dev "+a.ep.HostLink+" master "+n.Bridge+" static") {
			t.Errorf("the bridge forgets where a is:\n%s", fdb)
		}
		w.leavesNothing(n, a, b, c)
	})
}

// TestNoICCThroughTheHost: containers that send packets for each other to the
// host's MAC address get nowhere either.
func TestNoICCThroughTheHost(t *testing.T) {
	test := func(t *testing.T, w *world, internal bool) {
		n := w.create(CreateOptions{Name: "lonely", NoICC: true, Internal: internal})
		a, b := w.start(n, "a"), w.start(n, "b")
		w.serveIn(a)
		for _, pair := range [][2]*box{{a, b}, {b, a}} {
			w.in(pair[0].ns, func() error {
				w.sh("ip route add " + w.addr(pair[1]) + " via " + n.Gateway.String())
				return nil
			})
		}
		w.blocked("b to a through the host", b.ns, w.addr(a)+":80")
	}
	t.Run("open", func(t *testing.T) { each(t, func(t *testing.T, w *world) { test(t, w, false) }) })
	t.Run("internal", func(t *testing.T) { each(t, func(t *testing.T, w *world) { test(t, w, true) }) })
}

// leavesNothing ends containers and their network, and looks for rules of the
// network that are left.
func (w *world) leavesNothing(n *Network, boxes ...*box) {
	w.t.Helper()
	for _, b := range boxes {
		w.stop(b)
	}
	w.must(w.m.Remove(context.Background(), n, nil))
	if rules := w.rules(); strings.Contains(rules, "mini:"+n.tag()) {
		w.t.Errorf("left of network %s:\n%s", n.Name, rules)
	}
}
