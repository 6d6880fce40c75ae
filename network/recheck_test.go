package network

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestStartRepairsTheRules: whatever somebody did to the firewall or to
// forwarding, the next start on a network that is up puts it right, for the
// containers that run, too.
func TestStartRepairsTheRules(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			ctx, def := context.Background(), w.find(Bridge)
			a := w.start(def, "a", "8080:80")
			w.serveIn(a)
			other := w.start(w.create(CreateOptions{Name: "web"}), "other")
			for i, hurt := range []string{
				"for t in raw nat filter; do $ipt -t $t -F; done",
				"for t in raw nat filter; do $ipt -t $t -F; $ipt -t $t -X; done",
				"$ipt -F FORWARD", "$ipt -t nat -F PREROUTING", "$ipt -t raw -F PREROUTING",
				"$ipt -I FORWARD -j DROP", "$ipt -I FORWARD -o mini0 -j REJECT; $ipt -I FORWARD -j ACCEPT",
				"$ipt -D FORWARD 1", "sysctl -q -w net.ipv4.ip_forward=0",
			} {
				w.sh("ipt=" + backend + "\n" + hurt)
				w.must(w.m.Up(ctx, def, nil))
				w.answers("outside, after "+hurt, w.outside, hostAddr+":8080", outsideAddr)
				w.blocked("another network, after "+hurt, other.ns, w.addr(a)+":80")
				rules := w.sh(backend + "-save")
				w.before(rules, "-j DOCKER-USER", "-j DOCKER-FORWARD")
				if n := strings.Count(rules, "--dport 8080"); n != 1 {
					t.Errorf("after %s there are %d rules for the port", hurt, n)
				}
				if len(w.notices) != i+1 {
					t.Errorf("after %s: the notices are %q", hurt, w.notices)
				}
			}
			w.sh(backend + " -I FORWARD -j DROP")
			w.blocked("outside, with a rule above mini's", w.outside, hostAddr+":8080")
			w.must(w.m.Reload(ctx, def, nil))
			w.answers("outside, reloaded", w.outside, hostAddr+":8080", outsideAddr)
			w.must(w.m.Up(ctx, def, nil))
			if n := len(w.notices); n != 9 {
				t.Errorf("a start without need says %q", w.notices[9:])
			}
		})
	}
}

// TestStartRepairsNFTables is the same for mini's own table.
func TestStartRepairsNFTables(t *testing.T) {
	w := newWorld(t, NFTables, "0")
	ctx, def := context.Background(), w.find(Bridge)
	a := w.start(def, "a", "8080:80")
	w.serveIn(a)
	other := w.start(w.create(CreateOptions{Name: "web"}), "other")
	whole := w.rules()
	for i, hurt := range []string{
		"flush ruleset", "flush table ip mini", "flush chain ip mini filter-FORWARD", "flush chain ip mini nat-PREROUTING",
		"flush chain ip mini raw-PREROUTING; flush chain ip mini raw-DOCKER-RAW", "insert rule ip mini filter-FORWARD counter drop",
	} {
		w.sh("nft '" + hurt + "'")
		w.must(w.m.Up(ctx, def, nil))
		w.answers("outside, after "+hurt, w.outside, hostAddr+":8080", outsideAddr)
		w.blocked("another network, after "+hurt, other.ns, w.addr(a)+":80")
		w.before(w.chain("filter", "FORWARD"), "jump filter-DOCKER-USER", "jump filter-DOCKER-FORWARD")
		if len(w.notices) != i+1 {
			t.Errorf("after %s: the notices are %q", hurt, w.notices)
		}
	}
	w.sh("nft delete rule ip mini filter-FORWARD handle $(nft -a list chain ip mini filter-FORWARD | sed -n 's/.*counter packets.* drop # handle //p')")
	if now := w.rules(); now != whole {
		t.Errorf("repaired:\n%s\nwant:\n%s", now, whole)
	}
	w.must(w.m.Up(ctx, def, nil))
	if n := len(w.notices); n != 6 {
		t.Errorf("a start without need says %q", w.notices[6:])
	}
}

// TestFlushWhileContainersStart: somebody flushes the firewall again and again
// while containers start side by side. After one more start all rules are there,
// each once, and in the end none is left.
func TestFlushWhileContainersStart(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			w.flushWhileStarting(func() *Network { return w.find(Bridge) })
		})
		t.Run(backend+", with IPv6", func(t *testing.T) {
			w := newWorld(t, backend, "0")
			w.flushWhileStarting(func() *Network { return w.both("both", 1) })
		})
	}
}

func (w *world) flushWhileStarting(find func() *Network) {
	t := w.t
	var err error
	w.m, err = Open(w.m.opt) // with the tag that the others have
	w.must(err)
	defer w.m.Close()
	before, n := w.traces(), find()
	// A start may fail when its rules go while it looks: it says so.
	c := w.crowd(n, 16, t.Logf)
	enough := make(chan struct{})
	go func() { c.ready.Wait(); close(enough) }()
	for flushed := false; ; flushed = true {
		select {
		case <-enough:
		default:
			// The program may fail when rules are changed while it looks.
			for _, ipt := range []string{w.m.opt.IPTables, w.ip6tables()} {
				w.sh("for t in raw nat filter; do " + ipt + " -t $t -F || true; done")
			}
			time.Sleep(100 * time.Millisecond) // so that somebody gets anywhere
			continue
		}
		if !flushed {
			t.Fatal("all were ready before the first flush")
		}
		break
	}
	w.must(w.m.Up(context.Background(), n, nil))
	w.intact(n)
	c.end()
	w.must(w.m.Down(context.Background(), n, nil))
	w.waitForVeths()
	if after := w.traces(); after != before {
		t.Errorf("left behind:\n%s", after)
	}
}

// intact wants each rule of each container on record exactly once.
func (w *world) intact(n *Network) {
	w.t.Helper()
	eps, err := w.m.Endpoints(n)
	w.must(err)
	rules := map[bool]string{false: w.sh(w.m.opt.IPTables + "-save -t nat"), true: w.sh(w.ip6tables() + "-save -t nat")}
	for _, ep := range eps {
		if len(ep.Rules) != len(n.ruleFamilies()) {
			w.t.Errorf("%s has the rules %v, want one for each family", ep.ContainerName, ep.Rules)
		}
		for _, r := range ep.Rules {
			match := fmt.Sprintf("--dport %d ", ep.Ports[0].HostPort)
			if got := strings.Count(rules[r.V6], match); got != 1 {
				w.t.Errorf("%d rules for %s:\n%s", got, r.AddCommand(), rules[r.V6])
			}
		}
	}
	if len(eps) == 0 {
		w.t.Error("no container is left")
	}
}
