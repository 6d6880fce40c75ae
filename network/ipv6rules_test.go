package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/minirt/mini/network/firewall"
)

// both makes a network of both families, and six one of IPv6 only.
func (w *world) both(name string, n int) *Network {
	return w.create(CreateOptions{
		Name: name, IPv6: true, Subnet: netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/24", n)), Subnet6: netip.MustParsePrefix(fmt.Sprintf("fd17:%d::/64", n)),
	})
}

func (w *world) six(name string, n int) *Network {
	return w.create(CreateOptions{Name: name, IPv6: true, NoIPv4: true, Subnet6: netip.MustParsePrefix(fmt.Sprintf("fd17:%d::/64", n))})
}

// rules6 counts mini's rules of IPv6, and those of IPv4.
func (w *world) count() (v4, v6 int) {
	if w.m.opt.Firewall == NFTables {
		list := func(family string) int {
			return strings.Count(w.sh("nft list tables | grep -q 'table "+family+" mini' && nft -s list table "+family+" mini || true"), "mini:")
		}
		return list("ip"), list("ip6")
	}
	return strings.Count(w.sh(w.m.opt.IPTables+"-save"), "mini:"), strings.Count(w.sh(w.ip6tables()+"-save"), "mini:")
}

// TestBasesComeAndGo: the shared rules of a family come with the first network that
// needs them, and all go with the last network.
func TestBasesComeAndGo(t *testing.T) {
	for _, backend := range drivers {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			ctx, before := context.Background(), w.traces()
			def, both, six := w.find(Bridge), w.both("both", 1), w.six("six", 2)
			base := func(v6 bool) int { return len(firewall.Base("DOCKER", "host", v6).Rules) }
			of := func(n *Network, v6 bool) (count int) {
				for _, r := range firewall.Bridge(n.rules(&mark{Prefix: "DOCKER", Bridge: n.Bridge})) {
					if r.V6 == v6 {
						count++
					}
				}
				return count
			}
			want := func(when string, v4, v6 int) {
				t.Helper()
				if got4, got6 := w.count(); got4 != v4 || got6 != v6 {
					t.Errorf("%s: %d rules of IPv4 and %d of IPv6, want %d and %d", when, got4, got6, v4, v6)
				}
				s, err := w.m.chainState()
				w.must(err)
				if (s.Stage == baseUp) != (v4 > 0) || (s.Stage6 == baseUp) != (v6 > 0) {
					t.Errorf("%s: the record says %q and %q", when, s.Stage, s.Stage6)
				}
			}
			w.must(w.m.Up(ctx, def, nil))
			want("without IPv6", base(false)+of(def, false), 0)
			w.must(w.m.Up(ctx, both, nil))
			want("with both", base(false)+of(def, false)+of(both, false), base(true)+of(both, true))
			w.must(w.m.Up(ctx, six, nil))
			want("with one of IPv6 only", base(false)+of(def, false)+of(both, false), base(true)+of(both, true)+of(six, true))
			w.must(w.m.Down(ctx, both, nil))
			w.must(w.m.Down(ctx, six, nil))
			want("with IPv4 only again", base(false)+of(def, false), base(true))
			w.must(w.m.Down(ctx, def, nil))
			want("down", 0, 0)
			w.must(w.m.Up(ctx, six, nil))
			want("with IPv6 only", 0, base(true)+of(six, true))
			w.must(w.m.Up(ctx, def, nil))
			want("with the default network beside it", base(false)+of(def, false), base(true)+of(six, true))
			w.must(w.m.Down(ctx, six, nil))
			w.must(w.m.Down(ctx, def, nil))
			if after := w.traces(); after != before {
				t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// TestUpAfterCrash6 is TestUpAfterCrash for networks with IPv6, alone and beside one
// without it.
func TestUpAfterCrash6(t *testing.T) {
	for backend, stride := range map[string]int{"iptables-nft": 7, "iptables-legacy": 2, NFTables: 1} {
		for _, beside := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, beside another network: %v", backend, beside), func(t *testing.T) {
				w := newWorld(t, backend, "0")
				for _, n := range []*Network{w.both("both", 1), w.six("six", 2)} {
					w.crashAndUp(n, beside, stride)
				}
			})
		}
	}
}

func (w *world) crashAndUp(n *Network, beside bool, stride int) {
	w.t.Helper()
	ctx, def, before := context.Background(), w.find(Bridge), w.traces()
	up, err := w.m.UpPlan(n)
	w.must(err)
	for i, all := 0, len(up.Steps); i < all; i += stride {
		if beside {
			w.must(w.m.Up(ctx, def, nil))
		}
		all = w.crashUp(n, i) // there is less to do beside the other network
		w.must(w.m.Up(ctx, n, nil))
		first := w.rules()
		w.must(w.m.Reload(ctx, n, nil))
		if again := w.rules(); again != first {
			w.t.Fatalf("after a crash at step %d of %s and a start a reload changes\n%s\nto\n%s", i, n.Name, first, again)
		}
		w.must(w.m.Down(ctx, n, nil))
		if beside {
			w.must(w.m.Down(ctx, def, nil))
		}
		if after := w.traces(); after != before {
			w.t.Fatalf("after a crash at step %d of %s is left:\n%s", i, n.Name, after)
		}
	}
}

// TestFailedUp6: a network whose rules of IPv6 cannot be made leaves nothing, and
// what was there stays.
func TestFailedUp6(t *testing.T) {
	for _, backend := range drivers {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			ctx, def, n, boom := context.Background(), w.find(Bridge), w.both("both", 1), errors.New("boom")
			w.must(w.m.Up(ctx, def, nil))
			before := w.traces()
			chains, err := w.m.chainState()
			w.must(err)
			mk, err := w.m.layout(n, "DOCKER")
			w.must(err)
			steps := w.m.upPlan(n, mk, chains).Steps
			for i := 0; i < len(steps); i += 3 {
				p := w.m.upPlan(n, mk, chains)
				failAt(&p, i, boom)
				if err := p.Run(ctx, nil); !errors.Is(err, boom) {
					t.Fatalf("step %d: %v", i, err)
				}
				if after := w.traces(); after != before {
					t.Fatalf("a failure after %q leaves:\n%s", p.Steps[i].Name, after)
				}
			}
			// And the records: the way out of the bridge's address fails.
			w.sh("ip link add " + n.Bridge + " type veth peer name other0")
			if err := w.m.Up(ctx, n, nil); err == nil {
				t.Fatal("there is a link of the bridge's name: no error")
			}
			w.sh("ip link del other0")
			if s, err := w.m.chainState(); err != nil || s.Stage != baseUp || s.Stage6 != "" {
				t.Errorf("after a failure the chains are %+v, %v", s, err)
			}
			w.must(w.m.Up(ctx, n, nil))
			w.must(w.m.Down(ctx, n, nil))
			w.must(w.m.Down(ctx, def, nil))
		})
	}
}

// TestWithoutIP6tables: a network with IPv6 says what is missing and changes nothing;
// others do not need it.
func TestWithoutIP6tables(t *testing.T) {
	w := newWorld(t, "iptables-legacy", "0")
	dir, ctx := t.TempDir(), context.Background()
	for _, suffix := range []string{"", "-save", "-restore"} {
		w.must(os.WriteFile(filepath.Join(dir, "iptables"+suffix), []byte("#!/bin/sh\nexec iptables-legacy"+suffix+" \"$@\"\n"), 0o700))
	}
	opt := w.m.opt
	opt.IPTables = dir + "/iptables"
	m, err := Open(opt)
	w.must(err)
	defer m.Close()
	legacy := w.m
	before := w.traces()
	def, both := w.find(Bridge), w.both("both", 1)
	w.m = m
	a := w.start(def, "a", "8080:80")
	w.serveIn(a)
	w.m = legacy // for the traces
	running := w.traces()
	const want = "networks with IPv6 need it"
	for _, n := range []*Network{both} {
		if err := m.Up(ctx, n, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error that says %q", err, want)
		}
	}
	if s, err := m.chainState(); err != nil || s.Stage6 != "" || s.Stage != baseUp {
		t.Errorf("the chains are %+v, %v", s, err)
	}
	if now := w.traces(); now != running {
		t.Errorf("changed:\n%s\nbefore:\n%s", now, running)
	}
	w.answers("outside", w.outside, hostAddr+":8080", outsideAddr)
	w.must(m.Reload(ctx, def, nil))
	if findings, err := m.Diagnose(ctx, Census{Running: func(string) *Running { return &Running{Netns: a.ns} }, Known: func(string) bool { return true }}); err != nil || slices.ContainsFunc(findings, isWrong) {
		t.Errorf("doctor finds %+v, %v", findings, err)
	}
	w.m = m
	w.stop(a)
	w.must(m.Down(ctx, def, nil))
	w.m = legacy
	w.waitForVeths()
	if after := w.traces(); after != before {
		t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}
}

// TestUserChain6: the administrator's chain of IPv6 keeps its rules and the first
// word, whatever networks come and go.
func TestUserChain6(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			ctx, before := context.Background(), w.traces()
			def, both, ipt := w.find(Bridge), w.both("both", 1), w.ip6tables()
			w.must(w.m.Up(ctx, both, nil))
			w.sh(ipt + " -A DOCKER-USER -s 2001:db8::9 -j DROP")
			w.must(w.m.Down(ctx, both, nil))
			kept := w.sh(ipt + "-save | grep ^-A")
			if !strings.Contains(kept, "-A DOCKER-USER -s 2001:db8::9/128 -j DROP") || !strings.Contains(kept, "-j DOCKER-USER") || strings.Count(kept, "\n") != 2 {
				t.Errorf("kept is\n%s", kept)
			}
			// A network without IPv6 has nothing to do with it.
			w.must(w.m.Up(ctx, def, nil))
			w.must(w.m.Down(ctx, def, nil))
			if now := w.sh(ipt + "-save | grep ^-A"); now != kept {
				t.Errorf("changed to\n%s", now)
			}
			if findings, err := w.m.Diagnose(ctx, Census{}); err != nil || slices.ContainsFunc(findings, isWrong) {
				t.Errorf("doctor finds %+v, %v", findings, err)
			}
			w.must(w.m.Up(ctx, both, nil))
			forward := w.sh(ipt + " -S FORWARD")
			w.before(forward, "-j DOCKER-USER", "-j DOCKER-FORWARD")
			if strings.Count(forward, "-j DOCKER-USER") != 1 {
				t.Errorf("want one jump to DOCKER-USER:\n%s", forward)
			}
			w.sh(ipt + " -F DOCKER-USER")
			w.must(w.m.Down(ctx, both, nil))
			if after := w.traces(); after != before {
				t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// TestForeignJumps6: chains of IPv6 that somebody's rules need stay, and are named
// with the command that would help.
func TestForeignJumps6(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			ctx, before, n, ipt := context.Background(), w.traces(), w.both("both", 1), w.ip6tables()
			w.must(w.m.Up(ctx, n, nil))
			w.sh(ipt + " -A FORWARD -i foo0 -j DOCKER-BRIDGE; " + ipt + " -A DOCKER-CT -i foo0 -j DROP")
			w.must(w.m.Down(ctx, n, nil))
			said := strings.Join(w.notices, "\n")
			for _, want := range []string{
				"chain DOCKER-BRIDGE of table filter of IPv6 stays", "ip6tables -t filter -D FORWARD -i foo0 -j DOCKER-BRIDGE",
				"chain DOCKER-CT of table filter of IPv6 stays", "ip6tables -t filter -D DOCKER-CT -i foo0 -j DROP",
			} {
				if !strings.Contains(said, want) {
					t.Errorf("it does not say %q:\n%s", want, said)
				}
			}
			if v4, v6 := w.count(); v4 != 0 || v6 != 0 {
				t.Errorf("%d rules of IPv4 and %d of IPv6 are left", v4, v6)
			}
			w.sh(ipt + " -D FORWARD -i foo0 -j DOCKER-BRIDGE; " + ipt + " -D DOCKER-CT -i foo0 -j DROP")
			w.must(w.m.Down(ctx, n, nil))
			if after := w.traces(); after != before {
				t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// TestMoveAside6: a subnet of IPv6 that nobody asked for moves when the host has got
// another use for it; that of IPv4 stays, and one that was asked for does, too.
func TestMoveAside6(t *testing.T) {
	w := newWorld(t, "iptables-legacy", "0")
	ctx := context.Background()
	n := w.create(CreateOptions{Name: "any", IPv6: true})
	asked := w.both("asked", 1)
	for _, subnet := range []netip.Prefix{n.Subnet6, asked.Subnet6} {
		w.sh("ip -6 route add " + subnet.String() + " dev uplink0")
	}
	w.must(w.m.Up(ctx, n, nil))
	now := w.find("any")
	if now.Subnet6 == n.Subnet6 || now.Subnet6.Bits() != 64 || now.Subnet != n.Subnet || !now.Subnet6.Contains(now.Gateway6) {
		t.Errorf("it moved from %s and %s to %s and %s", n.Subnet, n.Subnet6, now.Subnet, now.Subnet6)
	}
	if len(w.notices) != 1 || !strings.Contains(w.notices[0], "network any moves from subnet "+n.Subnet.String()+" and "+n.Subnet6.String()) {
		t.Errorf("the notices are %q", w.notices)
	}
	if rules := w.sh("ip6tables-legacy-save"); !strings.Contains(rules, now.Subnet6.String()) || strings.Contains(rules, n.Subnet6.String()) {
		t.Errorf("the rules are\n%s", rules)
	}
	if err := w.m.Up(ctx, asked, nil); err == nil || !strings.Contains(err.Error(), asked.Subnet6.String()) {
		t.Errorf("a subnet that was asked for, and is in use: %v", err)
	}
	w.must(w.m.Down(ctx, now, nil))
}
