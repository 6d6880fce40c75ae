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

// BenchmarkCrowded measures a container with a port beside 500 published ports.
func BenchmarkCrowded(b *testing.B) {
	for _, backend := range backends {
		b.Run(backend, func(b *testing.B) { benchCrowded(b, backend) })
	}
}

func benchCrowded(b *testing.B, backend string) {
	w := makeWorld(b, backend, "1")
	n, ctx := w.find(Bridge), context.Background()
	attach := func() time.Duration {
		ns, err := netns.New()
		w.must(err)
		defer ns.Close()
		ep, err := w.m.Reserve(n, w.spec("bench", "80"))
		w.must(err)
		w.must(w.m.Up(ctx, n, nil))
		begin := time.Now()
		p, err := w.m.AttachPlan(ep, ns)
		w.must(err)
		w.must(p.Run(ctx, nil))
		spent := time.Since(begin)
		w.must(w.m.DetachPlan(ep).RunAll(ctx, nil))
		w.must(w.m.Release(ep))
		time.Sleep(50 * time.Millisecond) // let the kernel finish with what was deleted
		return spent
	}
	median := func() time.Duration {
		var times []time.Duration
		for range 30 {
			times = append(times, attach())
		}
		slices.Sort(times)
		return times[len(times)/2]
	}
	for b.Loop() {
		empty := median()
		crowd, err := w.m.Reserve(n, w.spec("crowd", "10000-10499:80-579"))
		w.must(err)
		w.must(w.m.fw().AddAll(ctx, crowd.Rules))
		fmt.Printf("%s: attach beside 0 ports %v, beside 500 %v\n", backend, empty, median())
		w.must(w.m.fw().RemoveAll(ctx, crowd.Rules))
		w.must(w.m.Release(crowd))
	}
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

// BenchmarkFirstAnswer measures from the end of the attachment to the answer of
// a server that was already listening: through the published port.
func BenchmarkFirstAnswer(b *testing.B) {
	w := makeWorld(b, "iptables", "0")
	n, ctx := w.find(Bridge), context.Background()
	host, err := netns.Current()
	w.must(err)
	defer host.Close()
	var times []time.Duration
	for b.Loop() {
		ns, err := netns.New()
		w.must(err)
		ep, err := w.m.Reserve(n, w.spec("bench", "80"))
		w.must(err)
		l := w.serve(ns, ":80")
		w.must(w.m.Up(ctx, n, nil))
		p, err := w.m.AttachPlan(ep, ns)
		w.must(err)
		w.must(p.Run(ctx, nil))
		begin := time.Now()
		if w.call(host, fmt.Sprintf("127.0.0.1:%d", ep.Ports[0].HostPort), patient) == "" {
			b.Error("no answer")
		}
		times = append(times, time.Since(begin))
		w.must(w.m.DetachPlan(ep).RunAll(ctx, nil))
		w.must(w.m.Release(ep))
		w.must(l.Close())
		ns.Close()
	}
	slices.Sort(times)
	fmt.Printf("first answer: median %v, 90 %% %v, max %v\n", times[len(times)/2], times[len(times)*9/10], times[len(times)-1])
}
