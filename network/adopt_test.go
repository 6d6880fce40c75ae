package network

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/minirt/mini/network/netns"
)

// foundBridge makes somebody's bridge br0.
func (w *world) foundBridge(more string) {
	w.t.Helper()
	w.sh("ip link add br0 type bridge; ip link set br0 alias 'the office'; " + more)
}

// neighbour puts a machine with the address 10.50.0.9 on br0.
func (w *world) neighbour() *os.File {
	w.t.Helper()
	ns, err := netns.New()
	w.must(err)
	w.t.Cleanup(func() { ns.Close() })
	w.sh(fmt.Sprintf("ip link add lan0 master br0 up type veth peer name eth0 netns /proc/%d/fd/%d", os.Getpid(), ns.Fd()))
	w.in(ns, func() error { w.sh("ip addr add 10.50.0.9/24 dev eth0; ip link set eth0 up"); return nil })
	return ns
}

// foundPicture is all of br0 that must be in the end as it was.
func (w *world) foundPicture() string {
	w.t.Helper()
	return w.sh(`ip -o link show br0 | sed 's/^[0-9]*: //; s/ state [A-Z]*//; s/ qdisc [a-z]*//; s/NO-CARRIER,//; s/,LOWER_UP//'
		ip -4 -o addr show br0 | sed 's/^[0-9]*: //'; ip route | sed 's/ linkdown//'; cat /proc/sys/net/ipv4/conf/br0/route_localnet`)
}

var office = netip.MustParsePrefix("10.50.0.0/24")

// TestAdopt: a bridge that is there is used, and left as it was found.
func TestAdopt(t *testing.T) {
	for name, c := range map[string]struct{ set, gateway string }{
		"down, without an address": {"", "10.50.0.1"},
		"up, with an address":      {"ip link set br0 up; ip addr add 10.50.0.7/24 dev br0", "10.50.0.7"},
		"open to 127.0.0.1":        {"sysctl -qw net.ipv4.conf.br0.route_localnet=1; ip link set br0 mtu 1400 up", "10.50.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				w.foundBridge(c.set)
				before := w.foundPicture()
				n := w.create(CreateOptions{Name: "office", Bridge: "br0", Subnet: office})
				if n.Gateway.String() != c.gateway {
					t.Errorf("the gateway is %s, want %s", n.Gateway, c.gateway)
				}
				a, b := w.start(n, "a", "8080:80"), w.start(n, "b")
				w.serveIn(a)
				w.serve(w.outside, ":80")
				host, err := netns.Current()
				w.must(err)
				defer host.Close()
				w.answers("b to a", b.ns, w.addr(a)+":80", w.addr(b))
				w.answers("b through the published port", b.ns, hostAddr+":8080", c.gateway)
				w.answers("outside", w.outside, hostAddr+":8080", outsideAddr)
				w.answers("host to 127.0.0.1", host, "127.0.0.1:8080", c.gateway)
				w.answers("a to the world", a.ns, outsideAddr+":80", hostAddr)
				if first, _, _ := strings.Cut(before, "\n"); !sameLink(first, w.foundPicture()) {
					t.Errorf("in use the bridge is\n%swas\n%s", w.foundPicture(), before)
				}
				w.leavesNothing(n, a, b)
				if after := w.foundPicture(); after != before {
					t.Errorf("the bridge is\n%swas\n%s", after, before)
				}
			})
		})
	}
}

// sameLink compares a link's MAC address, MTU and alias with those before.
func sameLink(before, after string) bool {
	want := strings.Fields(before)
	for i, word := range want {
		if (word == "link/ether" || word == "mtu" || word == "alias") && !strings.Contains(after, word+" "+want[i+1]) {
			return false
		}
	}
	return true
}

// TestAdoptTakesTheSubnet: without --subnet that of the bridge is meant, and its
// other addresses are kept back.
func TestAdoptTakesTheSubnet(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	w.foundBridge("ip addr add 10.50.0.2/29 dev br0; ip addr add 10.50.0.3/29 dev br0; ip link set br0 up")
	n := w.create(CreateOptions{Name: "office", Bridge: "br0"})
	if n.Subnet.String() != "10.50.0.0/29" || n.Gateway.String() != "10.50.0.2" || n.AnySubnet {
		t.Errorf("subnet %s, gateway %s, any %v", n.Subnet, n.Gateway, n.AnySubnet)
	}
	for _, want := range []string{"10.50.0.1", "10.50.0.4"} {
		if b := w.start(n, "b"+want[8:]); w.addr(b) != want {
			t.Errorf("got address %s, want %s", w.addr(b), want)
		}
	}
	_, err := w.m.Create(CreateOptions{Name: "second", Bridge: "br0"})
	wantErr(t, "a second network", err, ErrExists, "network office has the bridge br0 already")
}

// TestAdoptAsRouterThere: a gateway that is another machine on the bridge.
func TestAdoptAsRouterThere(t *testing.T) {
	w := newWorld(t, "iptables-nft", "1")
	w.foundBridge("ip addr add 10.50.0.2/24 dev br0; ip link set br0 up")
	neighbour := w.neighbour()
	w.serve(neighbour, ":80")
	before := w.foundPicture()
	n := w.create(CreateOptions{Name: "office", Bridge: "br0", Subnet: office, Gateway: netip.MustParseAddr("10.50.0.1")})
	a := w.start(n, "a")
	if w.addr(a) != "10.50.0.3" {
		t.Errorf("got address %s, want the first that the bridge does not have", w.addr(a))
	}
	if got := w.foundPicture(); !strings.Contains(got, "10.50.0.2/24") || strings.Contains(got, "10.50.0.1/24") {
		t.Errorf("the bridge has other addresses:\n%s", got)
	}
	w.serveIn(a)
	w.answers("a to a neighbour of the bridge", a.ns, "10.50.0.9:80", w.addr(a))
	w.answers("the neighbour to a", neighbour, w.addr(a)+":80", "10.50.0.9")
	w.leavesNothing(n, a)
	w.foundAgain(before)
}

// TestAdoptNoICC: the port needs the MAC address of the bridge, which is not mini's choice.
func TestAdoptNoICC(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.foundBridge("")
		n := w.create(CreateOptions{Name: "office", Bridge: "br0", Subnet: office, NoICC: true})
		a, b := w.start(n, "a", "8080:80"), w.start(n, "b")
		w.serveIn(a)
		w.blocked("b to a", b.ns, w.addr(a)+":80")
		w.answers("b through the published port", b.ns, hostAddr+":8080", n.Gateway.String())
		w.leavesNothing(n, a, b)
	})
}

// foundAgain wants the bridge that was found as it was before.
func (w *world) foundAgain(before string) {
	w.t.Helper()
	if after := w.foundPicture(); after != before {
		w.t.Errorf("the bridge is\n%swas\n%s", after, before)
	}
}

// TestAdoptRefuses what is no bridge, what is another network's, and an MTU that
// is not the bridge's; nothing changes.
func TestAdoptRefuses(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	w.foundBridge("ip link add p0 type veth peer name p1; ip link add br9 type bridge; ip link set br9 alias mini:0123456789ab:other")
	before := w.traces()
	_, err := w.m.Create(CreateOptions{Name: "x", Bridge: "p0"})
	wantErr(t, "no bridge", err, ErrExists, "link p0 exists and is no bridge, but of type veth")
	_, err = w.m.Create(CreateOptions{Name: "x", Bridge: "br9"})
	wantErr(t, "another mini's", err, ErrExists, "link br9 exists and is the bridge of another network, with the tag mini:0123456789ab:other")
	n := w.create(CreateOptions{Name: "x", Bridge: "br0", MTU: 1400})
	wantErr(t, "another MTU", w.m.Up(context.Background(), n, nil), ErrInvalid, "bridge br0 has the MTU 1500 and is not mini's to change: network x cannot have the MTU 1400")
	if after := w.traces(); after != before {
		t.Errorf("now:\n%s\nbefore:\n%s", after, before)
	}
}

// TestAdoptSurvivesACrash: what was written down before the crash decides what is
// taken back, not what a second look finds.
func TestAdoptSurvivesACrash(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	w.foundBridge("")
	before := w.foundPicture()
	n := w.create(CreateOptions{Name: "office", Bridge: "br0", Subnet: office})
	w.must(w.m.Up(context.Background(), n, nil))
	mk, err := w.m.readMark(n)
	w.must(err)
	mk.Ready = false // as if it had been killed before it could say so
	w.must(replaceJSON(w.m.markPath(n), mk))
	w.must(w.m.Up(context.Background(), n, nil))
	w.must(w.m.Down(context.Background(), n, nil))
	w.foundAgain(before)
}

// TestAdoptUndoes: a plan that fails takes back what it gave the bridge.
func TestAdoptUndoes(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	w.foundBridge("")
	before := w.foundPicture()
	n := w.create(CreateOptions{Name: "office", Bridge: "br0", Subnet: office})
	p, err := w.m.UpPlan(n)
	w.must(err)
	last := &p.Steps[len(p.Steps)-1]
	do := last.Do
	last.Do = func(ctx context.Context) error { w.must(do(ctx)); return os.ErrInvalid }
	if err := p.Run(context.Background(), nil); err == nil {
		t.Fatal("it did not fail")
	}
	w.foundAgain(before)
}

// TestAdoptDryRun: the script needs the bridge that is there.
func TestAdoptDryRun(t *testing.T) {
	root := t.TempDir()
	script, built := "", ""
	const make = "ip link set br0 address 02:00:00:00:00:50"
	t.Run("mini", func(t *testing.T) {
		w := makeWorld(t, "iptables-nft", "1")
		w.m.opt.Root = root
		w.foundBridge(make)
		w.create(CreateOptions{Name: "office", Bridge: "br0", Subnet: office, NoICC: true})
		script, built = w.previewAndBuild(w.find("office"))
	})
	t.Run("script", func(t *testing.T) {
		w := makeWorld(t, "iptables-nft", "1")
		w.foundBridge(make)
		w.scriptBuilds(script, built)
	})
}

// TestAdoptReload: a bridge that its owner makes anew is taken again.
func TestAdoptReload(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	w.foundBridge("")
	n := w.create(CreateOptions{Name: "office", Bridge: "br0", Subnet: office})
	w.must(w.m.Up(context.Background(), n, nil))
	w.sh("ip link delete br0")
	wantErr(t, "without the bridge", w.m.Reload(context.Background(), n, nil), ErrNotFound, "bridge br0 of network office is gone, and not mini's to make")
	w.foundBridge("ip link set br0 up; ip addr add 10.50.0.8/24 dev br0")
	before := w.foundPicture()
	w.must(w.m.Reload(context.Background(), n, nil))
	if got := w.foundPicture(); strings.Contains(got, "10.50.0.1/24") {
		t.Errorf("the new bridge has an address of its own, and got one more:\n%s", got)
	}
	w.must(w.m.Remove(context.Background(), n, nil))
	w.foundAgain(before)
}

// TestAdoptAfterCrash: cut off at any step, the network comes up, and the bridge
// is in the end as it was found; also when the network never comes up again.
func TestAdoptAfterCrash(t *testing.T) {
	w := newWorld(t, "iptables-legacy", "0")
	w.foundBridge("")
	before, all, ctx := w.foundPicture(), w.traces(), context.Background()
	n := w.create(CreateOptions{Name: "office", Bridge: "br0", Subnet: office})
	up, err := w.m.UpPlan(n)
	w.must(err)
	for i := range up.Steps {
		for _, again := range []bool{true, false} {
			w.crashUp(n, i)
			if again {
				w.must(w.m.Up(ctx, n, nil))
			}
			w.must(w.m.Down(ctx, n, nil))
			if after := w.foundPicture(); after != before {
				t.Fatalf("after a crash at %q, up again %v, the bridge is\n%swas\n%s", up.Steps[i].Name, again, after, before)
			}
			if after := w.traces(); after != all {
				t.Fatalf("after a crash at %q is left:\n%s", up.Steps[i].Name, after)
			}
		}
	}
}
