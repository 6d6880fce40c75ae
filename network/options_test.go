package network

import (
	"context"
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
		w.answers("c through the published port", c.ns, hostAddr+":8080", n.Gateway.String())
		w.answers("host to 127.0.0.1", host, "127.0.0.1:8080", n.Gateway.String())
		w.answers("outside through the published port", w.outside, hostAddr+":8080", outsideAddr)
		w.blocked("c to a directly", c.ns, w.addr(a)+":80")
		w.blocked("outside to a directly", w.outside, w.addr(a)+":80")
		w.leavesNothing(n, a, b, c)
	})
}

// leavesNothing ends containers and their network, and looks for rules of the
// network that are left.
func (w *world) leavesNothing(n *Network, boxes ...*box) {
	w.t.Helper()
	for _, b := range boxes {
		w.stop(b)
	}
	w.must(w.m.Remove(context.Background(), n, nil))
	if left := w.sh(w.m.opt.IPTables + "-save | grep -e mini:" + n.tag() + " || true"); left != "" {
		w.t.Errorf("left of network %s:\n%s", n.Name, left)
	}
}
