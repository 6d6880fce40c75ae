package network

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/minirt/mini/network/netns"
	"github.com/minirt/mini/plan"
)

// BenchmarkContainer measures what a container's life costs, step by step.
// Medians are reported in microseconds per step.
func BenchmarkContainer(b *testing.B) {
	b.Run("plain", func(b *testing.B) { benchContainer(b) })
	b.Run("port", func(b *testing.B) { benchContainer(b, "80") })
	b.Run("ports100", func(b *testing.B) { benchContainer(b, "8000-8099:80-179") })
}

func benchContainer(b *testing.B, ports ...string) {
	w := makeWorld(b, "iptables", "1")
	n, ctx := w.find(Bridge), context.Background()
	w.must(w.m.Up(ctx, n, nil))
	times := make(map[string][]time.Duration)
	phase := func(name string, fn func() error) {
		begin := time.Now()
		w.must(fn())
		times[name] = append(times[name], time.Since(begin))
	}
	observe := func(e plan.Event) {
		name := "  " + short(e.Step.Name)
		times[name] = append(times[name], e.Elapsed)
	}
	for b.Loop() {
		ns, err := netns.New()
		w.must(err)
		var ep *Endpoint
		phase("reserve", func() (err error) { ep, err = w.m.Reserve(n, w.spec("bench", ports...)); return err })
		phase("up", func() error { return w.m.Up(ctx, n, nil) })
		phase("attach", func() error {
			p, err := w.m.AttachPlan(ep, ns)
			w.must(err)
			return p.Run(ctx, observe)
		})
		phase("detach", func() error { return w.m.DetachPlan(ep).RunAll(ctx, observe) })
		phase("release", func() error { return w.m.Release(ep) })
		ns.Close()
	}
	for _, name := range slices.Sorted(maps.Keys(times)) {
		d := times[name]
		slices.Sort(d)
		fmt.Printf("%-16s %8.1f µs\n", name, float64(d[len(d)/2].Nanoseconds())/1000)
	}
}
