package network

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/minirt/mini/network/netns"
)

// backends and the values of bridge-nf-call-iptables that all must work with.
var (
	backends = []string{"iptables-nft", "iptables-legacy"}
	calls    = []string{"0", "1"}
	// drivers are the back ends and the driver that needs none.
	drivers = append(slices.Clone(backends), NFTables)
)

// each runs a test in a private host of every kind.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	eachKind(t, func(t *testing.T, backend, call string) { test(t, newWorld(t, backend, call)) })
}

func eachKind(t *testing.T, test func(t *testing.T, backend, call string)) {
	for _, backend := range drivers {
		for _, call := range calls {
			t.Run(backend+"/call="+call, func(t *testing.T) { test(t, backend, call) })
		}
	}
}

// TestAccess is the access matrix: who reaches what, and with which address.
func TestAccess(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		before := w.traces()
		def, other := w.find(Bridge), w.create(CreateOptions{Name: "other"})
		a := w.start(def, "a", "8080:80", "127.0.0.1:8081:80")
		b := w.start(def, "b")
		c := w.start(other, "c")
		host, err := netns.Current()
		w.must(err)
		defer host.Close()
		for _, x := range []*box{a, b, c} {
			w.serveIn(x)
		}
		w.serve(w.outside, ":80")
		w.serve(host, hostAddr+":22")
		w.serve(host, "127.0.0.1:23")

		w.answers("a itself through the published port", a.ns, hostAddr+":8080", def.Gateway.String())
		w.answers("b through the published port", b.ns, hostAddr+":8080", def.Gateway.String())
		w.answers("b through the gateway's published port", b.ns, def.Gateway.String()+":8080", def.Gateway.String())
		w.answers("c through the published port", c.ns, hostAddr+":8080", w.addr(c))
		w.answers("host to its address", host, hostAddr+":8080", hostAddr)
		w.answers("host to 127.0.0.1", host, "127.0.0.1:8080", def.Gateway.String())
		w.answers("host to 127.0.0.1 only", host, "127.0.0.1:8081", def.Gateway.String())
		w.answers("outside keeps its address", w.outside, hostAddr+":8080", outsideAddr)
		w.answers("host to the container", host, w.addr(a)+":80", def.Gateway.String())
		w.answers("b to a", b.ns, w.addr(a)+":80", w.addr(b))
		w.answers("a to the host", a.ns, hostAddr+":22", w.addr(a))
		w.answers("a to the world", a.ns, outsideAddr+":80", hostAddr)

		w.in(w.outside, func() error { w.sh("ip route add 172.16.0.0/12 via " + hostAddr); return nil })
		w.blocked("c to a directly", c.ns, w.addr(a)+":80")
		w.blocked("a to c directly", a.ns, w.addr(c)+":80")
		w.blocked("outside to a directly", w.outside, w.addr(a)+":80")
		w.blocked("outside to a port of 127.0.0.1", w.outside, hostAddr+":8081")

		for _, x := range []*box{a, b, c} {
			w.stop(x)
		}
		w.must(w.m.Remove(context.Background(), other, nil))
		_, err = w.m.Prune(context.Background(), nil, nil)
		w.must(err)
		w.waitForVeths()
		if after := w.traces(); after != before {
			t.Errorf("left behind:\nbefore:\n%s\nafter:\n%s", before, after)
		}
		if len(w.notices) > 0 {
			t.Errorf("unexpected notices: %q", w.notices)
		}
	})
}

// waitForVeths waits for the kernel to clean up dead namespaces.
func (w *world) waitForVeths() {
	w.t.Helper()
	w.sh("for i in $(seq 500); do ip -o link show type veth | grep -q ': veth[0-9a-f]' || exit 0; sleep 0.01; done; exit 1")
}

// TestLoopbackGuard shows that route_localnet does not open the host's loopback
// services to a privileged container, and that without the guard it would; then
// that Reload brings the guard back.
func TestLoopbackGuard(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		def := w.find(Bridge)
		a := w.start(def, "a")
		host, err := netns.Current()
		w.must(err)
		defer host.Close()
		w.serve(host, "127.0.0.1:23")
		w.in(a.ns, func() error {
			w.sh("sysctl -qw net.ipv4.conf.eth0.route_localnet=1; ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.1 via " + def.Gateway.String() + " src " + w.addr(a))
			return nil
		})
		w.blocked("a to the host's loopback", a.ns, "127.0.0.1:23")
		w.flush("raw", "DOCKER-RAW")
		w.answers("a to the host's loopback without the guard", a.ns, "127.0.0.1:23", w.addr(a))
		w.must(w.m.Reload(context.Background(), def, nil))
		w.blocked("a to the host's loopback after reload", a.ns, "127.0.0.1:23")
	})
}

// TestSmallMTU: the kernel gives a link with an MTU below 1280 no IPv6, and no
// settings for it.
func TestSmallMTU(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	for i, opt := range []CreateOptions{{Name: "small", MTU: 576}, {Name: "closed", MTU: 576, Internal: true}} {
		n := w.create(opt)
		a, b := w.start(n, fmt.Sprint("a", i)), w.start(n, fmt.Sprint("b", i))
		w.serveIn(b)
		w.answers(opt.Name, a.ns, w.addr(b)+":80", w.addr(a))
	}
}
