package network

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/network/port"
)

// join connects a container that runs to one more network.
func (w *world) join(b *box, n *Network, number string) *Endpoint {
	w.t.Helper()
	ctx := context.Background()
	spec := w.spec(b.ep.ContainerName)
	spec.ContainerID, spec.Interface, spec.DefaultRoute = b.ep.ContainerID, number, false
	spec.DefaultRoute6 = false
	ep, err := w.m.Reserve(n, spec)
	w.must(err)
	w.t.Cleanup(func() { ep.Close() })
	w.must(w.m.Up(ctx, n, nil))
	p, err := w.m.AttachPlan(ep, b.ns)
	w.must(err)
	w.must(p.Run(ctx, nil))
	return ep
}

// route is the container's default route.
func (w *world) route(b *box) (text string) {
	w.t.Helper()
	w.in(b.ns, func() error { text = strings.TrimSpace(w.sh("ip route show default")); return nil })
	return text
}

// TestHandover moves route and ports to another network and back.
func TestHandover(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			ctx := context.Background()
			a := w.start(w.find(Bridge), "a", "8080:80", "5353:53/udp", "7000-7001:7000-7001")
			w.serveIn(a)
			second := &box{ns: a.ns, ep: w.join(a, w.create(CreateOptions{Name: "back"}), "eth1")}
			for _, to := range []*box{second, a, second} {
				from := a
				if to == a {
					from = second
				}
				w.must(w.m.Handover(ctx, HandoverSpec{Moves: all, From: from.ep, To: to.ep, Namespace: a.ns}, nil))
				if want := "default via " + to.ep.Gateway.String() + " dev " + to.ep.Interface; w.route(a) != want {
					t.Errorf("the route is %q, want %q", w.route(a), want)
				}
				w.answers("the published port", w.outside, hostAddr+":8080", outsideAddr)
				w.recorded("of "+to.ep.NetworkName, to)
				if now, err := w.m.Endpoint(networkOf(from.ep), from.ep.ContainerID); err != nil || len(now.Ports)+len(now.Rules) > 0 || now.DefaultRoute {
					t.Errorf("%s still has %v, %v", from.ep.NetworkName, now, err)
				}
			}
			// The first network goes: nobody notices.
			w.must(w.m.DisconnectPlan(a.ep, a.ns).RunAll(ctx, nil))
			w.must(w.m.Release(a.ep))
			w.answers("without the first network", w.outside, hostAddr+":8080", outsideAddr)
			w.stop(second)
			if left := w.sh(backend + " -t nat -S DOCKER"); strings.Contains(left, "DNAT") {
				t.Errorf("left behind: %s", left)
			}
		})
	}
}

// TestHandoverThatFails, or is cut off, at any step: whoever clears up finds
// every rule, and a failure changes nothing.
func TestHandoverThatFails(t *testing.T) {
	w := makeWorld(t, "iptables-legacy", "0")
	ctx, boom := context.Background(), errors.New("boom")
	back := w.create(CreateOptions{Name: "back"})
	keep := w.start(w.find(Bridge), "keep")
	w.join(keep, back, "eth1")
	before := w.traces()
	for i := range 3 {
		for _, crash := range []bool{false, true} {
			a := w.start(w.find(Bridge), "a", "8080:80", "5353:53/udp")
			second := &box{ns: a.ns, ep: w.join(a, back, "eth1")}
			was := w.route(a)
			p, changes, err := w.m.handover(HandoverSpec{Moves: all, From: a.ep, To: second.ep, Namespace: a.ns})
			w.must(err)
			if len(p.Steps) != 3 {
				t.Fatalf("%d steps, want 3", len(p.Steps))
			}
			if crash {
				w.killedAfter(p, i, changes...)
			} else {
				failAt(&p, i, boom)
				if err := w.m.apply(ctx, p, changes, nil); !errors.Is(err, boom) {
					t.Fatalf("got %v", err)
				}
				if got := w.route(a); got != was {
					t.Errorf("the failure of step %d leaves the route %q", i, got)
				}
				w.recorded("after a failure", a)
			}
			for _, b := range []*box{a, second} {
				found, err := w.m.Endpoint(networkOf(b.ep), b.ep.ContainerID)
				w.must(err)
				w.must(w.m.Drop(ctx, found, nil))
				w.must(w.m.DeleteLink(found))
				w.must(b.ep.Close())
			}
			if after := w.traces(); after != before {
				t.Errorf("step %d, crash %v: left is\n%s\nwas\n%s", i, crash, after, before)
			}
		}
	}
}

// TestHandoverToARoutedNetwork and back: there the container's own ports are
// open, and the host's are free.
func TestHandoverToARoutedNetwork(t *testing.T) {
	w := makeWorld(t, "iptables-nft", "0")
	ctx := context.Background()
	a := w.start(w.find(Bridge), "a", "8080:80")
	w.serveIn(a)
	n := w.create(CreateOptions{Name: "routed", GatewayMode: firewall.ModeRouted})
	second := &box{ns: a.ns, ep: w.join(a, n, "eth1")}
	w.routeBack()
	wishes := w.ports("8080:80")
	w.blocked("before", w.outside, w.addr(second)+":80")
	w.must(w.m.Handover(ctx, HandoverSpec{Moves: all, From: a.ep, To: second.ep, Namespace: a.ns, Ports: wishes}, nil))
	w.answers("routed", w.outside, w.addr(second)+":80", outsideAddr)
	b := w.start(w.find(Bridge), "b", "8080:80") // so the port is free
	err := w.m.Handover(ctx, HandoverSpec{Moves: all, From: second.ep, To: a.ep, Namespace: a.ns, Ports: wishes}, nil)
	wantErr(t, "a port that was taken meanwhile", err, port.ErrInUse, "(held by container b)")
	w.stop(b)
	w.must(w.m.Handover(ctx, HandoverSpec{Moves: all, From: second.ep, To: a.ep, Namespace: a.ns, Ports: wishes}, nil))
	w.answers("published again", w.outside, hostAddr+":8080", outsideAddr)
	w.blocked("no longer routed", w.outside, w.addr(second)+":80")
	w.recorded("back", a)
}

// all is what the gateway of a network with IPv4 has.
var all = Gateway{Route4: true, Ports: true}
