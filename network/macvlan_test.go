package network

import (
	"context"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/minirt/mini/network/netns"
)

// lan makes a macvlan network on the uplink, with the outside as its gateway.
func (w *world) lan() *Network {
	w.t.Helper()
	return w.create(CreateOptions{
		Name: "lan", Driver: DriverMacvlan, Options: map[string]string{"parent": "uplink0"},
		Subnet: netip.MustParsePrefix("192.0.2.0/24"), Gateway: netip.MustParseAddr(outsideAddr),
		IPRange: netip.MustParsePrefix("192.0.2.64/28"), Reserved: map[string]netip.Addr{"host": netip.MustParseAddr(hostAddr)},
	})
}

// TestMacvlan: the container is a neighbour of the outside, and not of its host.
func TestMacvlan(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	before := w.traces()
	n := w.lan()
	a, b := w.start(n, "a", "8080:80"), w.start(n, "b")
	w.serveIn(a)
	w.serve(w.outside, ":80")
	host, err := netns.Current()
	w.must(err)
	defer host.Close()
	if w.addr(a) != "192.0.2.64" || w.addr(b) != "192.0.2.65" {
		t.Errorf("the addresses are %s and %s", w.addr(a), w.addr(b))
	}
	w.answers("outside to a", w.outside, w.addr(a)+":80", outsideAddr)
	w.answers("b to a", b.ns, w.addr(a)+":80", w.addr(b))
	w.answers("a to the world", a.ns, outsideAddr+":80", w.addr(a))
	w.blocked("host to a", host, w.addr(a)+":80")
	if len(a.ep.Ports) != 0 || len(w.notices) != 1 || !strings.Contains(w.notices[0], "no ports are published") {
		t.Errorf("ports %v, notices %q", a.ep.Ports, w.notices)
	}
	// One leaves while it lives, the other dies.
	w.must(w.m.DisconnectPlan(b.ep, b.ns).RunAll(context.Background(), nil))
	w.must(w.m.DisconnectPlan(b.ep, b.ns).RunAll(context.Background(), nil))
	w.in(b.ns, func() error {
		if links := w.sh("ip -o link"); strings.Contains(links, "eth0") {
			t.Errorf("left in the container:\n%s", links)
		}
		return nil
	})
	w.must(w.m.Release(b.ep))
	w.stop(a)
	w.must(w.m.Remove(context.Background(), n, nil))
	if after := w.traces(); after != before {
		t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}
}

// TestMacvlanDryRun compares what the script builds with what mini builds.
func TestMacvlanDryRun(t *testing.T) {
	t.Parallel()
	script, built := "", ""
	inside := func(w *world, ns *os.File) (text string) {
		w.in(ns, func() error {
			text = w.sh("ip -d -o link show eth0 | grep -o 'mtu [0-9]*\\|link/ether [^ ]*\\|macvlan mode [a-z]*'; ip -o -4 addr; ip route")
			return nil
		})
		return text
	}
	t.Run("mini", func(t *testing.T) {
		w := makeWorld(t, "iptables-nft", "0")
		n := w.lan()
		p, _, err := w.m.Preview(n, w.spec("web"))
		w.must(err)
		var b strings.Builder
		w.must(p.Script(&b))
		script = b.String()
		a := w.start(n, "web")
		built = inside(w, a.ns)
	})
	t.Run("script", func(t *testing.T) {
		w := makeWorld(t, "iptables-nft", "0")
		w.sh(script)
		ns, err := os.Open("/run/netns/mini-web")
		w.must(err)
		defer ns.Close()
		if got := inside(w, ns); got != built || !strings.Contains(got, "macvlan mode bridge") {
			t.Errorf("the script built:\n%s\nmini built:\n%s\nthe script:\n%s", got, built, script)
		}
	})
}

func TestMacvlanErrors(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	for want, opt := range map[string]CreateOptions{
		"macvlan needs a parent":             {Driver: DriverMacvlan},
		"the host has no link eth7":          {Driver: DriverMacvlan, Options: map[string]string{"parent": "eth7"}},
		"it is the loopback":                 {Driver: DriverMacvlan, Options: map[string]string{"parent": "lo"}},
		`"odd" is no mode`:                   {Driver: DriverMacvlan, Options: map[string]string{"parent": "uplink0", "macvlan_mode": "odd"}},
		"macvlan has no bridge, no ":         {Driver: DriverMacvlan, Options: map[string]string{"parent": "uplink0", "isolate": "true"}},
		"macvlan has no bridge":              {Driver: DriverMacvlan, Options: map[string]string{"parent": "uplink0", "icc": "false"}},
		"need --driver macvlan":              {Options: map[string]string{"parent": "uplink0"}},
		`driver "ipvlan" is not supported`:   {Driver: "ipvlan"},
		"overlaps 10.9.0.0/16 (network web)": {Driver: DriverMacvlan, Options: map[string]string{"parent": "uplink0"}, Subnet: netip.MustParsePrefix("10.9.0.0/24")},
	} {
		if strings.Contains(want, "(network web)") {
			w.create(CreateOptions{Name: "web", Subnet: netip.MustParsePrefix("10.9.0.0/16")})
		}
		opt.Name = "lan"
		if _, err := w.m.Create(opt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
