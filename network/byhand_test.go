package network

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/minirt/mini/plan"
)

// TestChangesByHand: the commands that --explain prints for ports and gateways of
// a running container do what mini does.
func TestChangesByHand(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			ctx := context.Background()
			a := w.start(w.find(Bridge), "a", "8080:80", "7000-7003:7000-7003")
			second := &box{ns: a.ns, ep: w.join(a, w.create(CreateOptions{Name: "back"}), "eth1")}
			w.sh(fmt.Sprintf("mkdir -p /run/netns; touch /run/netns/mini-a; mount --bind /proc/%d/fd/%d /run/netns/mini-a", os.Getpid(), a.ns.Fd()))
			look := func() string { return w.sh(backend+" -t nat -S DOCKER") + w.route(a) }
			hear := func(do func(plan.Observer) error) (script string) {
				w.must(do(func(e plan.Event) { script += strings.Join(e.Step.Cmds, "\n") + "\n" }))
				return script
			}
			steps := []func(plan.Observer) error{
				func(o plan.Observer) error {
					_, err := w.m.Publish(ctx, a.ep, EndpointSpec{Ports: w.ports("7004:7004", "127.0.0.1:53:53/udp")}, o)
					return err
				},
				func(o plan.Observer) error {
					return w.m.Handover(ctx, HandoverSpec{Moves: all, From: a.ep, To: second.ep, Namespace: a.ns}, o)
				},
				func(o plan.Observer) error {
					return w.m.Unpublish(ctx, second.ep, second.ep.Find(w.ports("7001:7001")[0]), o)
				},
				func(o plan.Observer) error {
					return w.m.Handover(ctx, HandoverSpec{Moves: all, From: second.ep, To: a.ep, Namespace: a.ns}, o)
				},
			}
			// First mini does it all; then what it printed, from the same beginning.
			before := w.sh(backend + "-save -t nat")
			var scripts, looks []string
			for _, do := range steps {
				scripts = append(scripts, hear(do))
				looks = append(looks, look())
			}
			w.sh(backend + "-restore <<'EOF'\n" + before + "EOF\n")
			for i, script := range scripts {
				w.runScript(script)
				if got := look(); got != looks[i] {
					t.Errorf("step %d: mini left\n%s\nthe commands\n%s\nleft\n%s", i, looks[i], script, got)
				}
			}
			w.sh("umount /run/netns/mini-a")
		})
	}
}
