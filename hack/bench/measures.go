package main

import (
	"context"
	"fmt"
	"slices"
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
		runRow("run-publish", "the same with `-p`", timesBetter("≤ 1/15 docker", 15), "--net", "bridge", "-p", "8080:80"),
		runRow("run-none", "the same, `--net none`", noGoal(), "--net", "none"),
		runRow("run-host", "the same, `--net host`", noGoal(), "--net", "host"),
		{"many-one", true, manyOneByOne},
		{"many-eight", true, manyEightAtATime},
		{"remove-one", true, removeOne},
		{"first-byte", true, firstByte},
		{"exec", true, execTrue},
		{"growth", true, growth},
		{"memory", true, idleMemory},
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
	engines := b.supporting((*engine).full)
	defer b.removeQuietly(engines, name)
	for _, e := range engines {
		if _, err := e.do(ctx, e.idle(name)); err != nil {
			return nil, err
		}
	}
	samples := b.interleave(ctx, key, b.opts.runs, engines, func(e *engine) (float64, error) {
		return e.timed(ctx, e.command("exec", name, "true"))
	})
	return []row{{key, "`exec true` in a running one", seconds, samples, timesBetter("≤ 1/8 docker", 8)}}, nil
}

// growth compares the last ten of 200 starts with the first ten, all of which
// stay. It is mini alone: the others would take minutes.
func growth(ctx context.Context, b *bench) ([]row, error) {
	const starts, part = 200, 10
	r := row{"growth", "200th start against the 1st", factor, map[string][]float64{}, below("≤ 1.1", 1.1)}
	for _, e := range b.supporting(func(e *engine) bool { return e.name == "mini" }) {
		var took []float64
		names := numbered("bench-growth", starts)
		defer b.removeQuietly([]*engine{e}, names...)
		for _, name := range names {
			t, err := e.timed(ctx, e.idle(name))
			if err != nil {
				return nil, fmt.Errorf("after %d starts: %w", len(took), err)
			}
			took = append(took, t)
		}
		first, last := median(took[:part]), median(took[starts-part:])
		progress("growth: starts 1-%d %s, %d-%d %s", part, seconds.format(first), starts-part+1, starts, seconds.format(last))
		r.samples[e.name] = []float64{last / first}
	}
	return []row{r}, nil
}

// idleMemory measures what stays beside an idle container with a published port.
func idleMemory(ctx context.Context, b *bench) ([]row, error) {
	const key, containers = "memory", 10
	engines := b.supporting((*engine).full)
	names := numbered("bench-memory", containers)
	defer b.removeQuietly(engines, names...)
	samples := map[string][]float64{}
	for _, e := range engines {
		for i, name := range names {
			if _, err := e.do(ctx, e.idle(name, "-p", fmt.Sprintf("%d:80", 9000+i))); err != nil {
				return nil, err
			}
		}
		var m Memory
		if err := e.host.call(ctx, "Memory", e.helpers, &m); err != nil {
			return nil, err
		}
		if m.Processes == 0 {
			b.note("memory of %s: no process of %v", e.name, e.helpers)
			continue
		}
		progress("memory of %s: %d processes for %d containers", e.name, m.Processes, containers)
		samples[e.name] = []float64{m.PSS / containers}
	}
	return []row{{key, "memory (PSS) beside an idle one with `-p`", memSize, samples, timesBetter("≤ 1/2 docker", 2)}}, nil
}

// removeQuietly removes containers whose measure is over, on a context of its
// own; what cannot be removed ends with the host.
func (b *bench) removeQuietly(engines []*engine, names ...string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, e := range engines {
		for some := range slices.Chunk(names, 50) {
			if _, err := e.do(ctx, e.remove(some...)); err != nil {
				progress("removing containers of %s: %v", e.name, err)
			}
		}
	}
}

func numbered(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return names
}
