package network

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/minirt/mini/network/netns"
	"github.com/minirt/mini/plan"
)

// ptp makes a network of the driver ptp with a subnet of the caller's choice.
func (w *world) ptp(opt CreateOptions) *Network {
	w.t.Helper()
	opt.Driver = DriverPtp
	if opt.Name == "" {
		opt.Name = "red"
	}
	return w.create(opt)
}

// TestPtp: who reaches whom, on each firewall, and what is left.
func TestPtp(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		n := w.ptp(CreateOptions{})
		a, b, c := w.start(n, "a", "8080:80"), w.start(n, "b"), w.start(w.find(Bridge), "c")
		w.serveIn(a)
		host, err := netns.Current()
		w.must(err)
		defer host.Close()
		w.serve(w.outside, ":80")
		w.routeBack()
		gw := n.Gateway.String()
		w.answers("b to a", b.ns, w.addr(a)+":80", w.addr(b))
		w.answers("a itself through the published port", a.ns, hostAddr+":8080", gw)
		w.answers("b through the published port", b.ns, hostAddr+":8080", gw)
		w.answers("c through the published port", c.ns, hostAddr+":8080", w.addr(c))
		w.answers("host to 127.0.0.1", host, "127.0.0.1:8080", gw)
		w.answers("outside through the published port", w.outside, hostAddr+":8080", outsideAddr)
		w.answers("a to the world", a.ns, outsideAddr+":80", hostAddr)
		w.blocked("c to a directly", c.ns, w.addr(a)+":80")
		w.blocked("outside to a directly", w.outside, w.addr(a)+":80")
		w.leavesNothing(n, a, b, c)
	})
}

// TestPtpUpIsUndone: when a later step fails, the host is as it was.
func TestPtpUpIsUndone(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	n := w.ptp(CreateOptions{Subnet: netip.MustParsePrefix("10.66.0.0/24")})
	before := w.traces()
	p, err := w.m.UpPlan(n)
	w.must(err)
	if last := p.Steps[len(p.Steps)-1]; !strings.HasPrefix(last.Cmds[0], "ip route add unreachable 10.66.0.0/24 metric ") {
		t.Fatalf("the last step is %+v", last)
	}
	fail := errors.New("the end of the world")
	p.Add(plan.Step{Name: "fail", Do: func(context.Context) error { return fail }})
	if err := p.Run(context.Background(), nil); !errors.Is(err, fail) {
		t.Fatalf("got %v", err)
	}
	if after := w.traces(); after != before {
		t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}
}

// TestPtpAddressChangesHands: a container that is dying keeps its cable for a
// moment, and the next one has its address.
func TestPtpAddressChangesHands(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	n := w.ptp(CreateOptions{})
	spec := w.spec("a")
	spec.IP = n.Gateway.Next()
	a := w.startSpec(n, spec)
	w.must(w.m.Release(a.ep)) // and the route is still there: a reload may have put it back
	spec = w.spec("b")
	spec.IP = a.ep.IP
	b := w.startSpec(n, spec)
	w.serveIn(b)
	host, err := netns.Current()
	w.must(err)
	defer host.Close()
	w.answers("the host to b", host, w.addr(b)+":80", n.Gateway.String())
	w.must(w.m.DetachPlan(a.ep).RunAll(context.Background(), nil))
	w.must(w.m.DeleteLink(a.ep))
	w.answers("the host to b, when a is gone", host, w.addr(b)+":80", n.Gateway.String())
	w.stop(b)
	if routes := w.sh("ip route show " + w.addr(b)); routes != "" {
		t.Errorf("left: %s", routes)
	}
}

// TestPtpDigits: no two networks have cables of the same name, nor the metric of
// another mini's network.
func TestPtpDigits(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	a := w.ptp(CreateOptions{})
	n := &Network{ID: a.ID[:ptpDigits] + strings.Repeat("0", 59), Name: "blue", Driver: DriverPtp}
	w.must(ptpDriver{w.m}.place(n))
	if n.cables() == a.cables() {
		t.Errorf("two networks have cables %s…", n.cables())
	}
	other := &Network{ID: "abcde" + strings.Repeat("0", 59), Name: "green", Driver: DriverPtp}
	w.sh("ip route add unreachable 203.0.113.0/24 metric 703711") // 0xabcde + 1
	w.must(ptpDriver{w.m}.place(other))
	if other.cables() == "ptabcde" {
		t.Error("another mini's digits are taken")
	}
	if len(n.cables()+"+") > 15 {
		t.Errorf("%s+ is too long for iptables", n.cables())
	}
}

// TestPtpWithoutDefinition: doctor takes away what a network has left that is not
// defined any more.
func TestPtpWithoutDefinition(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	before := w.traces()
	n := w.ptp(CreateOptions{})
	w.must(w.m.Up(context.Background(), n, nil))
	w.must(os.Remove(w.m.defPath(n.Name)))
	found, err := w.m.Diagnose(context.Background(), Census{})
	w.must(err)
	repair := RepairPlan(found)
	script := ""
	for _, s := range repair.Steps {
		script += strings.Join(s.Cmds, "\n") + "\n"
	}
	if !strings.Contains(script, "ip route delete unreachable "+n.Subnet.String()) || strings.Contains(script, "ip link delete") {
		t.Errorf("the repair is:\n%s", script)
	}
	w.must(w.m.Repair(context.Background(), found, nil))
	if routes := w.sh("ip route show type unreachable"); routes != "" || strings.Contains(w.rules(), n.cables()) {
		t.Errorf("left: %s\n%s\nbefore:\n%s", routes, w.rules(), before)
	}
}

// TestPtpUpAfterCrash: a kill at any step of bringing a network up leaves nothing that
// the next start does not use, and the next down does not take away.
func TestPtpUpAfterCrash(t *testing.T) {
	for _, backend := range []string{"iptables-legacy", NFTables} {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			ctx, before := context.Background(), w.traces()+w.sh("ip -6 route show type unreachable")
			n := w.ptp(CreateOptions{IPv6: true})
			up, err := w.m.UpPlan(n)
			w.must(err)
			for i := range len(up.Steps) + 1 {
				w.crashUp(n, i)
				if i%2 == 0 {
					w.must(w.m.Up(ctx, n, nil))
					if mk, err := w.m.isUp(n); mk == nil || err != nil || mk.Bridge != n.cables()+"+" {
						t.Fatalf("after %d steps the network is %+v, %v", i, mk, err)
					}
				}
				w.must(w.m.Down(ctx, n, nil))
				if after := w.traces() + w.sh("ip -6 route show type unreachable"); after != before {
					t.Fatalf("after %d steps is left:\n%s", i, after)
				}
			}
		})
	}
}

// TestPtpUnprotected: who has a route reaches the containers, but not containers of
// other networks, whichever came first.
func TestPtpUnprotected(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		first := w.start(w.find(Bridge), "first")
		n := w.ptp(CreateOptions{GatewayMode: "nat-unprotected"})
		a, b := w.start(n, "a", "8080:80"), w.start(n, "b")
		last := w.start(w.ptp(CreateOptions{Name: "blue"}), "last")
		w.serveIn(a)
		w.routeBack()
		w.answers("outside to a directly", w.outside, w.addr(a)+":80", outsideAddr)
		w.answers("b to a", b.ns, w.addr(a)+":80", w.addr(b))
		for name, box := range map[string]*box{"a container of a bridge": first, "a container of another ptp network": last} {
			w.blocked(name+" directly", box.ns, w.addr(a)+":80")
			w.answers(name+" through the port", box.ns, hostAddr+":8080", w.addr(box))
		}
		w.leavesNothing(n, a, b, first, last)
	})
}

// TestPtpMovesAway: a Docker that comes takes the chains; the rules of ptp networks
// move with all others.
func TestPtpMovesAway(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	n := w.ptp(CreateOptions{})
	a := w.start(n, "a", "8080:80")
	w.serveIn(a)
	w.sh("ipt=iptables-nft" + dockerComes)
	w.blocked("outside while the chains are Docker's", w.outside, hostAddr+":8080")
	w.must(w.m.Reload(context.Background(), n, nil))
	w.answers("outside after the move", w.outside, hostAddr+":8080", outsideAddr)
	if rules := w.sh("iptables-nft -S MINI-BRIDGE"); !strings.Contains(rules, "-o "+n.cables()+"+") {
		t.Errorf("in MINI-BRIDGE:\n%s", rules)
	}
	w.stop(a)
	w.must(w.m.Remove(context.Background(), n, nil))
	if rules := w.sh("iptables-nft-save"); strings.Contains(rules, "mini:") {
		t.Errorf("left:\n%s", rules)
	}
}
