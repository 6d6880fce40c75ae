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
		for _, six := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/IPv6=%t", backend, six), func(t *testing.T) {
				w := newWorld(t, backend, "0")
				moves := all
				if six {
					moves = Gateway{Route4: true, Route6: true, Ports: true}
				}
				front, back := w.create(CreateOptions{Name: "front", IPv6: six}), w.create(CreateOptions{Name: "back", IPv6: six})
				a := w.start(front, "a", "8080:80", "7000-7003:7000-7003")
				w.changesByHand(a, &box{ns: a.ns, ep: w.join(a, back, "eth1")}, moves)
			})
		}
	}
}

// changesByHand changes the ports of a container and moves its gateway to another
// network and back. First mini does it all; then what it printed, from the same
// beginning.
func (w *world) changesByHand(a, second *box, moves Gateway) {
	ctx, tool := context.Background(), w.m.opt.IPTables
	w.sh(fmt.Sprintf("mkdir -p /run/netns; touch /run/netns/mini-a; mount --bind /proc/%d/fd/%d /run/netns/mini-a", os.Getpid(), a.ns.Fd()))
	tools := []string{tool}
	if moves.Route6 {
		tools = append(tools, strings.Replace(tool, "ip", "ip6", 1))
	}
	look := func() (text string) {
		for _, tool := range tools {
			text += w.sh(tool + " -t nat -S DOCKER")
		}
		w.in(a.ns, func() error { text += w.sh("ip route show default; ip -6 route show default"); return nil })
		return text
	}
	steps := []func(plan.Observer) error{
		func(o plan.Observer) error {
			_, err := w.m.Publish(ctx, a.ep, EndpointSpec{Ports: w.ports("7004:7004", "127.0.0.1:53:53/udp")}, o)
			return err
		},
		func(o plan.Observer) error {
			return w.m.Handover(ctx, HandoverSpec{Moves: moves, From: a.ep, To: second.ep, Namespace: a.ns}, o)
		},
		func(o plan.Observer) error {
			return w.m.Unpublish(ctx, second.ep, second.ep.Find(w.ports("7001:7001")[0]), o)
		},
		func(o plan.Observer) error {
			return w.m.Handover(ctx, HandoverSpec{Moves: moves, From: second.ep, To: a.ep, Namespace: a.ns}, o)
		},
	}
	var before, scripts, looks []string
	for _, tool := range tools {
		before = append(before, w.sh(tool+"-save -t nat"))
	}
	for _, do := range steps {
		script := ""
		w.must(do(func(e plan.Event) { script += strings.Join(e.Step.Cmds, "\n") + "\n" }))
		scripts, looks = append(scripts, script), append(looks, look())
	}
	for i, tool := range tools {
		w.sh(tool + "-restore <<'EOF'\n" + before[i] + "EOF\n")
	}
	for i, script := range scripts {
		w.runScript(script)
		if got := look(); got != looks[i] {
			w.t.Errorf("step %d: mini left\n%s\nthe commands\n%s\nleft\n%s", i, looks[i], script, got)
		}
	}
	w.sh("umount /run/netns/mini-a")
}
