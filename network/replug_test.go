package network

import (
	"context"
	"strings"
	"testing"

	"github.com/minirt/mini/plan"
)

// TestReloadAfterTheBridgeIsGone: the bridge is made again, and the cables of the
// running containers are plugged in.
func TestReloadAfterTheBridgeIsGone(t *testing.T) {
	for name, opt := range map[string]CreateOptions{"open": {Name: "net"}, "icc=false": {Name: "net", NoICC: true}} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				n := w.create(opt)
				a, b := w.start(n, "a", "8080:80"), w.start(n, "b")
				w.serveIn(a)
				w.serve(w.outside, ":80")
				works := func(when string) {
					t.Helper()
					w.answers("outside, "+when, w.outside, hostAddr+":8080", outsideAddr)
					w.answers("a itself, "+when, a.ns, hostAddr+":8080", n.Gateway.String())
					w.answers("b through the published port, "+when, b.ns, hostAddr+":8080", n.Gateway.String())
					w.answers("b to the world, "+when, b.ns, outsideAddr+":80", hostAddr)
					if n.NoICC {
						w.blocked("b to a, "+when, b.ns, w.addr(a)+":80")
					} else {
						w.answers("b to a, "+when, b.ns, w.addr(a)+":80", w.addr(b))
					}
				}
				works("before")
				w.sh("ip link delete " + n.Bridge)
				var steps strings.Builder
				w.must(w.m.Reload(context.Background(), n, plan.Explainer(&steps)))
				works("after reload")
				if text := steps.String(); strings.Count(text, "plug veth") != 2 || !strings.Contains(text, "ip link set dev "+a.ep.HostLink+" master "+n.Bridge) {
					t.Errorf("the steps:\n%s", text)
				}
				w.sh("ip link delete " + n.Bridge)
				w.must(w.m.Up(context.Background(), n, nil)) // what the next container does
				works("after up")
				steps.Reset()
				w.must(w.m.Reload(context.Background(), n, plan.Explainer(&steps)))
				if steps.Len() > 0 {
					t.Errorf("steps though nothing was missing:\n%s", steps.String())
				}
				w.leavesNothing(n, a, b)
			})
		})
	}
}
