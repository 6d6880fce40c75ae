package network

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/minirt/mini/plan"
)

// before fails the test unless a line of rules with first stands above one with
// second.
func (w *world) before(rules, first, second string) {
	w.t.Helper()
	i, j := strings.Index(rules, first), strings.Index(rules, second)
	if i < 0 || j < 0 || i > j {
		w.t.Errorf("want %q above %q in:\n%s", first, second, rules)
	}
}

// TestUserChainStaysFirst: the administrator's rules keep the first word when
// the last network goes down and comes up again.
func TestUserChainStaysFirst(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			ctx, def := context.Background(), w.find(Bridge)
			w.must(w.m.Up(ctx, def, nil))
			w.sh(backend + " -A DOCKER-USER -s " + outsideAddr + " -j DROP")
			for range 2 {
				w.must(w.m.Down(ctx, def, nil))
				w.must(w.m.Up(ctx, def, nil))
				rules := w.sh(backend + " -S FORWARD")
				w.before(rules, "-j DOCKER-USER", "-j DOCKER-FORWARD")
				if strings.Count(rules, "-j DOCKER-USER") != 1 {
					t.Errorf("want one jump to DOCKER-USER:\n%s", rules)
				}
			}
		})
	}
}

// TestReloadKeepsTheOrder: single rules that somebody deleted come back where
// they belong, not at the end.
func TestReloadKeepsTheOrder(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			ctx, def, web := context.Background(), w.find(Bridge), w.create(CreateOptions{Name: "web"})
			w.must(w.m.Up(ctx, def, nil))
			w.must(w.m.Up(ctx, web, nil))
			want := w.traces()
			ordered := w.sh(backend + " -S DOCKER-FORWARD; " + backend + " -S DOCKER-BRIDGE; " + backend + " -S FORWARD")
			tag := " -m comment --comment mini:host"
			w.sh("ipt=" + backend + `
				$ipt -D DOCKER-FORWARD` + tag + ` -j DOCKER-BRIDGE
				$ipt -D FORWARD` + tag + ` -j DOCKER-USER
				$ipt -D DOCKER-BRIDGE 1
				$ipt -t raw -F DOCKER-RAW`)
			w.must(w.m.Reload(ctx, web, nil))
			if after := w.traces(); after != want {
				t.Errorf("reloaded:\n%s\nwant:\n%s", after, want)
			}
			rules := w.sh(backend + " -S DOCKER-FORWARD; " + backend + " -S FORWARD")
			w.before(rules, "-j DOCKER-BRIDGE", "-i mini0")
			w.before(rules, "-j DOCKER-USER", "-j DOCKER-FORWARD")
			w.before(w.sh(backend+" -S DOCKER-BRIDGE | grep mini0"), "-j ACCEPT", "-j DROP")
			w.must(w.m.Reload(ctx, def, nil))
			if now := w.sh(backend + " -S DOCKER-FORWARD"); len(now) > len(ordered) {
				t.Errorf("a second reload added rules:\n%s", now)
			}
		})
	}
}

// TestReloadForgetsTheGone: a container that goes while its rules are put back
// leaves none behind.
func TestReloadForgetsTheGone(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	a := w.start(w.find(Bridge), "a", "8080:80")
	step := w.m.stepRepublish(a.ep)
	w.stop(a)
	w.must(step.Do(context.Background()))
	if rules := w.sh("iptables-nft -t nat -S DOCKER"); strings.Contains(rules, "8080") {
		t.Errorf("left behind:\n%s", rules)
	}
}

// TestUpWithoutTheSharedRules: records that say "up" while the rules are gone
// keep no network from coming up whole.
func TestUpWithoutTheSharedRules(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			ctx, def, web := context.Background(), w.find(Bridge), w.create(CreateOptions{Name: "web"})
			w.must(w.m.Up(ctx, def, nil))
			w.sh("for t in raw nat filter; do " + backend + " -t $t -F; " + backend + " -t $t -X; done")
			b := w.start(web, "b", "8080:80")
			w.serveIn(b)
			w.answers("outside", w.outside, hostAddr+":8080", outsideAddr)
			w.before(w.sh(backend+" -S FORWARD"), "-j DOCKER-USER", "-j DOCKER-FORWARD")
			w.before(w.sh(backend+" -S DOCKER-FORWARD"), "-j DOCKER-BRIDGE", "-i br-")
		})
	}
}

// TestRecordsOfAnotherBoot: after a reboot the records on a disk describe
// nothing that is there.
func TestRecordsOfAnotherBoot(t *testing.T) {
	w := newWorld(t, "iptables-legacy", "0")
	ctx, def, web := context.Background(), w.find(Bridge), w.create(CreateOptions{Name: "web"})
	w.must(w.m.Up(ctx, def, nil))
	w.must(w.m.Up(ctx, web, nil))
	w.sh(`ip link del mini0; ip link del ` + web.Bridge + `; for t in raw nat filter; do iptables-legacy -t $t -F; iptables-legacy -t $t -X; done`)
	before := w.traces()
	_, err := w.m.bootID()
	w.must(err)
	w.m.boot = "another"
	if mk, err := w.m.readMark(web); mk != nil || err != nil {
		t.Errorf("the old mark is believed: %+v, %v", mk, err)
	}
	w.must(w.m.Up(ctx, def, nil))
	// web is not up any more, so this is the last network.
	w.must(w.m.Down(ctx, def, nil))
	if after := w.traces(); after != before {
		t.Errorf("left behind:\n%s", after)
	}
}

// TestFailedUpAfterACrash: what a crash left stays on record when the next try
// fails, and is taken away in the end.
func TestFailedUpAfterACrash(t *testing.T) {
	w := newWorld(t, "iptables-legacy", "0")
	ctx, before, def := context.Background(), w.traces(), w.find(Bridge)
	up, err := w.m.UpPlan(def)
	w.must(err)
	w.crashUp(def, len(up.Steps)-5)
	w.sh("ip route add 172.17.0.0/24 dev uplink0")
	if err := w.m.Up(ctx, def, nil); err == nil {
		t.Fatal("the subnet clashes with a route: no error")
	}
	w.sh("ip route del 172.17.0.0/24 dev uplink0")
	if mk, err := w.m.readMark(def); mk == nil || mk.Ready || err != nil {
		t.Fatalf("the mark is %+v, %v", mk, err)
	}
	failing, cancel := context.WithCancel(ctx)
	stop := func(e plan.Event) {
		if e.Index == e.Total-4 {
			cancel()
		}
	}
	if err := w.m.Up(failing, def, stop); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if s, err := w.m.chainState(); s.Stage != baseStarting || err != nil {
		t.Fatalf("the chains are %+v, %v", s, err)
	}
	w.must(w.m.Down(ctx, def, nil))
	if after := w.traces(); after != before {
		t.Errorf("left behind:\n%s", after)
	}
}

// TestUpDropsStaleRules: a network whose settings changed since a crash has no
// rules of the old settings.
func TestUpDropsStaleRules(t *testing.T) {
	w := newWorld(t, "iptables-legacy", "0")
	ctx, before, def := context.Background(), w.traces(), w.find(Bridge)
	up, err := w.m.UpPlan(def)
	w.must(err)
	w.crashUp(def, len(up.Steps))
	w.sh("ip link del mini0; ip link add mini0 type bridge") // now somebody else's
	w.must(w.m.Up(ctx, def, nil))
	if rules := w.sh("iptables-legacy-save"); strings.Contains(rules, "-i mini0 ") || !strings.Contains(rules, "-i mini1 ") {
		t.Errorf("the rules are:\n%s", rules)
	}
	w.must(w.m.Down(ctx, def, nil))
	w.sh("ip link del mini0")
	if after := w.traces(); after != before {
		t.Errorf("left behind:\n%s", after)
	}
}

// TestDownExplainsWhatItDoes: a chain that stays is not said to go.
func TestDownExplainsWhatItDoes(t *testing.T) {
	w := newWorld(t, "iptables-legacy", "0")
	ctx, def := context.Background(), w.find(Bridge)
	for _, rule := range []string{"", "iptables-legacy -A DOCKER-USER -s 203.0.113.9 -j DROP"} {
		w.must(w.m.Up(ctx, def, nil))
		w.sh(rule)
		var out bytes.Buffer
		w.must(w.m.Down(ctx, def, plan.Explainer(&out)))
		for _, cmd := range []string{"-X DOCKER-USER", "-D FORWARD -m comment --comment mini:host -j DOCKER-USER"} {
			if got := strings.Contains(out.String(), cmd); got != (rule == "") {
				t.Errorf("with rule %q, %q is printed: %v\n%s", rule, cmd, got, out.String())
			}
		}
	}
}
