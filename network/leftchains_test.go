package network

import (
	"context"
	"strings"
	"testing"
)

// TestForeignJumps: a network goes down though somebody's rules need its chains.
// What stays is said, with the command that would help, and goes later.
func TestForeignJumps(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			before := w.traces()
			def, ctx, ipt := w.find(Bridge), context.Background(), w.m.opt.IPTables
			w.must(w.m.Up(ctx, def, nil))
			w.sh(ipt + " -A FORWARD -i foo0 -j DOCKER-BRIDGE; " + ipt + " -t nat -A PREROUTING -p tcp --dport 99 -j DOCKER; " + ipt + " -A DOCKER-CT -i foo0 -j DROP")
			w.must(w.m.Down(ctx, def, nil))
			said := strings.Join(w.notices, "\n")
			for _, want := range []string{
				"chain DOCKER-BRIDGE of table filter stays", "iptables -t filter -D FORWARD -i foo0 -j DOCKER-BRIDGE",
				"chain DOCKER of table nat stays", "iptables -t nat -D PREROUTING -p tcp -m tcp --dport 99 -j DOCKER",
				"chain DOCKER-CT of table filter stays", "iptables -t filter -D DOCKER-CT -i foo0 -j DROP",
			} {
				if !strings.Contains(said, want) {
					t.Errorf("it does not say %q:\n%s", want, said)
				}
			}
			rules := w.sh(ipt + "-save")
			if strings.Contains(rules, "mini:") || strings.Count(rules, "foo0") != 2 || !strings.Contains(rules, "--dport 99") {
				t.Errorf("it left, or took away, the wrong rules:\n%s", rules)
			}

			// As long as a rule sends packets into the chain, it is not mini's to fill.
			w.must(w.m.Up(ctx, def, nil))
			if mk, err := w.m.readMark(def); err != nil || mk.Prefix != "MINI" {
				t.Errorf("got %+v, %v, want the prefix MINI", mk, err)
			}
			w.must(w.m.Down(ctx, def, nil))

			w.sh(ipt + " -D FORWARD -i foo0 -j DOCKER-BRIDGE; " + ipt + " -t nat -D PREROUTING -p tcp --dport 99 -j DOCKER; " + ipt + " -D DOCKER-CT -i foo0 -j DROP")
			w.notices = nil
			w.must(w.m.Up(ctx, def, nil))
			if mk, err := w.m.readMark(def); err != nil || mk.Prefix != "DOCKER" || len(w.notices) > 0 {
				t.Errorf("got %+v, %v, notices %q, want the prefix DOCKER and no word", mk, err, w.notices)
			}
			w.must(w.m.Down(ctx, def, nil))
			if after := w.traces(); after != before || len(w.notices) > 0 {
				t.Errorf("left behind: %s\nbefore: %s\nnotices: %q", after, before, w.notices)
			}
		})
	}
}

// TestWhoUses: a rule with mini's tag that is on no record is not called somebody's.
func TestWhoUses(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			def, ctx, ipt := w.find(Bridge), context.Background(), w.m.opt.IPTables
			w.must(w.m.Up(ctx, def, nil))
			w.sh(ipt + " -t nat -A DOCKER -p tcp --dport 99 -m comment --comment mini:0123456789ab:gone -j RETURN; " + ipt + " -A DOCKER-CT -i foo0 -j DROP")
			w.must(w.m.Down(ctx, def, nil))
			said := strings.Join(w.notices, "\n")
			for _, want := range []string{
				"chain DOCKER of table nat stays: a rule with mini's tag uses it that is not on record here\n  delete the rule, if no other mini, with another --root, needs it: ",
				"chain DOCKER-CT of table filter stays: somebody else uses it\n  delete his rule, if it is not needed: ",
			} {
				if !strings.Contains(said, want) {
					t.Errorf("it does not say %q:\n%s", want, said)
				}
			}
			w.sh(ipt + " -t nat -F DOCKER; " + ipt + " -F DOCKER-CT")
			w.must(w.m.Down(ctx, def, nil))
		})
	}
}

// TestForeignJumpsGoLater: a network that is not up is taken down once more.
func TestForeignJumpsGoLater(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			before := w.traces()
			def, ctx, ipt := w.find(Bridge), context.Background(), w.m.opt.IPTables
			w.must(w.m.Up(ctx, def, nil))
			w.sh(ipt + " -A FORWARD -i foo0 -j DOCKER-BRIDGE")
			w.must(w.m.Down(ctx, def, nil))
			w.sh(ipt + " -D FORWARD -i foo0 -j DOCKER-BRIDGE")
			_, err := w.m.Prune(ctx, nil, nil)
			w.must(err)
			if after := w.traces(); after != before {
				t.Errorf("left behind: %s\nbefore: %s", after, before)
			}
		})
	}
}
