package main

import (
	"context"
	"fmt"
	"time"
)

// measurement makes one or more rows.
type measurement struct {
	key     string
	engines bool // it needs the engines; else mini's source alone
	run     func(ctx context.Context, b *bench) ([]row, error)
}

// measures are all there are, in the order of the table.
func measures() []measurement {
	return []measurement{
		runRow("run-bridge", "`run --rm busybox true`, bridge",
			timesBetter("≤ 1/15 docker", 15).andBelowCell(", < runc", "run-none", "runc"), "--net", "bridge"),
		runRow("run-publish", "`run --rm busybox true`, bridge, `-p`", timesBetter("≤ 1/15 docker", 15), "--net", "bridge", "-p", "8080:80"),
		runRow("run-fifty", "`run --rm busybox true`, bridge, `-p "+fiftyPorts+"`", noGoal(), "--net", "bridge", "-p", fiftyPorts),
		{"driver", true, firewallDrivers},
		runRow("run-none", "`run --rm busybox true`, none", noGoal(), "--net", "none"),
		runRow("run-host", "`run --rm busybox true`, host", noGoal(), "--net", "host"),
		{"many-one", true, manyOneByOne},
		{"many-eight", true, manyEightAtATime},
		{"remove-one", true, removeOne},
		{"first-byte", true, firstByte},
		{"exec", true, execTrue},
		{"growth", true, growth},
		{"memory", true, idleMemory},
		{"rules", true, rulesPerContainer},
		{"names", true, lookups},
		{"path", true, paths},
		{"ipam", false, allocations},
	}
}

// runRow measures the shortest container.
func runRow(key, title string, g goal, flags ...string) measurement {
	return measurement{key, true, func(ctx context.Context, b *bench) ([]row, error) {
		engines := b.supporting(func(e *engine) bool { return e.full() || key == "run-none" })
		samples := b.interleave(ctx, key, b.opts.runs, engines, func(e *engine) (float64, error) {
			return e.timed(ctx, e.runTrue(flags...))
		})
		return []row{{key, title, seconds, samples, g}}, nil
	}}
}

// removeOne measures the removal of a running container with a published port.
func removeOne(ctx context.Context, b *bench) ([]row, error) {
	const key, name = "remove-one", "bench-remove"
	samples := b.interleave(ctx, key, b.opts.runs, b.supporting((*engine).full), func(e *engine) (float64, error) {
		if _, err := e.do(ctx, e.idle(name, "-p", "8080:80")); err != nil {
			return 0, err
		}
		return e.timed(ctx, e.remove(name))
	})
	return []row{{key, "`rm -f` of one, running, with `-p`", seconds, samples, timesBetter("≤ 1/8 docker", 8)}}, nil
}

// firstByte measures from the start of "run -d -p" to a web server's answer.
func firstByte(ctx context.Context, b *bench) ([]row, error) {
	const key, name = "first-byte", "bench-web"
	samples := b.interleave(ctx, key, b.opts.runs, b.supporting((*engine).full), func(e *engine) (float64, error) {
		run := e.run([]string{"-d", "--name", name, "-p", "8080:80"}, "httpd", "-f", "-p", "80", "-h", "/www")
		var r Result
		q := FirstByteRequest{run, "http://127.0.0.1:8080/", 10 * time.Second}
		if err := e.host.call(ctx, "FirstByte", q, &r); err != nil {
			return 0, err
		}
		if err := r.failure(run); err != nil {
			return 0, err
		}
		_, err := e.do(ctx, e.remove(name))
		return inSeconds(r.Elapsed), err
	})
	return []row{{key, "`run -d -p` to the first byte", seconds, samples, timesBetter("≤ 1/12 docker", 12)}}, nil
}

// execTrue measures a command in a running container.
func execTrue(ctx context.Context, b *bench) ([]row, error) {
	const key, name = "exec", "bench-exec"
	engines := b.each(ctx, key, b.supporting((*engine).full), func(e *engine) error {
		_, err := e.do(ctx, e.idle(name))
		return err
	})
	defer b.removeAfter(ctx, engines)
	samples := b.interleave(ctx, key, b.opts.runs, engines, func(e *engine) (float64, error) {
		return e.timed(ctx, e.command("exec", name, "true"))
	})
	return []row{{key, "`exec true` in a running one", seconds, samples, timesBetter("≤ 1/8 docker", 8)}}, nil
}

// growth compares the last ten of 200 starts with the first ten, all of which
// stay. It is mini alone: the others would take minutes.
func growth(ctx context.Context, b *bench) ([]row, error) {
	const key, starts, part = "growth", 200, 10
	r := row{key, "200th start against the 1st", factor, map[string][]float64{}, below("≤ 1.1", 1.1)}
	engines := b.each(ctx, key, b.supporting(func(e *engine) bool { return e.name == "mini" }), func(e *engine) error {
		var took []float64
		for _, name := range numbered("bench-growth", starts) {
			t, err := e.timed(ctx, e.idle(name))
			if err != nil {
				return fmt.Errorf("after %d starts: %w", len(took), err)
			}
			took = append(took, t)
		}
		first, last := median(took[:part]), median(took[starts-part:])
		progress("starts 1-%d: %s, %d-%d: %s", part, seconds.format(first), starts-part+1, starts, seconds.format(last))
		r.samples[e.name] = []float64{last / first}
		return nil
	})
	b.removeAfter(ctx, engines)
	return []row{r}, nil
}

// idleMemory measures what stays beside an idle container with a published port.
func idleMemory(ctx context.Context, b *bench) ([]row, error) {
	const key, containers = "memory", 10
	samples := map[string][]float64{}
	engines := b.each(ctx, key, b.supporting((*engine).full), func(e *engine) error {
		for i, name := range numbered("bench-memory", containers) {
			if _, err := e.do(ctx, e.idle(name, "-p", fmt.Sprintf("%d:80", 9000+i))); err != nil {
				return err
			}
		}
		var m Memory
		if err := e.host.call(ctx, "Memory", e.helpers, &m); err != nil {
			return err
		}
		if m.Processes == 0 {
			return fmt.Errorf("no process of %v", e.helpers)
		}
		progress("%s: %d processes for %d containers", e.name, m.Processes, containers)
		samples[e.name] = []float64{m.PSS / containers}
		return nil
	})
	b.removeAfter(ctx, engines)
	return []row{{key, "memory (PSS) beside an idle one with `-p`", memSize, samples, timesBetter("≤ 1/2 docker", 2)}}, nil
}

// removeAfter removes the containers of a measure that is over. When bench is
// to end they end with their hosts.
func (b *bench) removeAfter(ctx context.Context, engines []*engine) {
	b.each(ctx, "removing containers", engines, func(e *engine) error { return e.removeAll(ctx) })
}

func numbered(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return names
}
