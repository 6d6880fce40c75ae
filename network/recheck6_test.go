package network

import (
	"context"
	"testing"
)

// TestStartRepairsIPv6: whatever somebody did to the rules of IPv6, the next start on
// a network with IPv6 puts it right; one on a network without it does not look.
func TestStartRepairsIPv6(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			ctx, def, both := context.Background(), w.find(Bridge), w.both("both", 1)
			w.start(both, "a", "8080:80")
			w.must(w.m.Up(ctx, def, nil))
			whole := w.rules()
			for i, hurt := range []string{
				"for t in raw nat filter; do $ipt -t $t -F; done",
				"for t in raw nat filter; do $ipt -t $t -F; $ipt -t $t -X; done",
				"$ipt -F FORWARD", "$ipt -t nat -F PREROUTING", "$ipt -t raw -F PREROUTING", "$ipt -t nat -F OUTPUT", "$ipt -D FORWARD 1",
			} {
				w.sh("ipt=" + w.ip6tables() + "\n" + hurt)
				w.must(w.m.Up(ctx, def, nil))
				if len(w.notices) != i {
					t.Errorf("a start without IPv6 after %s says %q", hurt, w.notices[i:])
				}
				w.must(w.m.Up(ctx, both, nil))
				if now := w.rules(); now != whole {
					t.Errorf("after %s the rules are\n%s\nwant\n%s", hurt, now, whole)
				}
				forward := w.sh(w.ip6tables() + " -S FORWARD")
				w.before(forward, "-j DOCKER-USER", "-j DOCKER-FORWARD")
				if len(w.notices) != i+1 {
					t.Errorf("after %s: the notices are %q", hurt, w.notices)
				}
			}
			w.sh(w.ip6tables() + " -I FORWARD -j DROP")
			w.must(w.m.Up(ctx, both, nil))
			w.before(w.sh(w.ip6tables()+" -S FORWARD"), "-j DOCKER-FORWARD", "-j DROP")
		})
	}
}

// TestStartRepairsTableIP6 is the same for mini's own table.
func TestStartRepairsTableIP6(t *testing.T) {
	w := newWorld(t, NFTables, "0")
	ctx, both := context.Background(), w.both("both", 1)
	w.start(both, "a", "8080:80", "7000-7003:7000-7003")
	whole := w.rules()
	for i, hurt := range []string{
		"delete table ip6 mini", "flush table ip6 mini", "flush chain ip6 mini filter-FORWARD", "flush chain ip6 mini nat-OUTPUT",
		"flush ruleset",
	} {
		w.sh("nft '" + hurt + "'")
		w.must(w.m.Up(ctx, both, nil))
		if now := w.rules(); now != whole {
			t.Errorf("after %s the rules are\n%s\nwant\n%s", hurt, now, whole)
		}
		if len(w.notices) != i+1 {
			t.Errorf("after %s: the notices are %q", hurt, w.notices)
		}
	}
}
