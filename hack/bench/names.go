package main

import (
	"context"
	"errors"
	"fmt"
)

// lookupsPerSample is how many lookups one sample is made of.
const lookupsPerSample = 4000

// lookups measures how fast an engine tells a container of its own network the
// address of another one: one question after the other, and 8 at a time.
func lookups(ctx context.Context, b *bench) ([]row, error) {
	const key, network, server, client = "names", "bench-names", "bench-named", "bench-asking"
	place := map[string]string{}
	asking := func(e *engine) bool { return e.name == "mini" || e.name == "docker" }
	engines := b.each(ctx, key, b.supporting(asking), func(e *engine) error {
		_, err := e.do(ctx, e.command("network", "create", network))
		for _, name := range []string{server, client} {
			if err == nil {
				_, err = e.do(ctx, e.idle(name, "--network", network))
			}
		}
		if err != nil {
			return err
		}
		pid, err := e.pid(ctx, client)
		place[e.name] = fmt.Sprintf("pid:%d", pid)
		return err
	})
	rate := row{key + "-rate", "lookups of a container's name, 8 at a time", perSecond, map[string][]float64{}, timesBetter("≥ docker", 1)}
	worst := row{key + "-p99", "one lookup of a container's name, 99th percentile", seconds, map[string][]float64{}, timesBetter("≤ docker", 1)}
	for i := range b.opts.runs + 1 {
		engines = b.each(ctx, key, engines, func(e *engine) error {
			one, eight := LookupsResult{}, LookupsResult{}
			q := LookupsRequest{Place: place[e.name], Name: server, N: lookupsPerSample, Workers: 1}
			err := e.host.call(ctx, "Lookups", q, &one)
			q.Workers = 8
			if err = errors.Join(err, e.host.call(ctx, "Lookups", q, &eight)); err == nil && i > 0 {
				rate.add(e.name, eight.PerSecond)
				worst.add(e.name, one.P99)
			}
			return err
		})
	}
	for _, e := range engines {
		_, err := e.do(ctx, e.remove(server, client))
		if err == nil {
			_, err = e.do(ctx, e.command("network", "rm", network))
		}
		if err != nil {
			b.note("%s of %s: %v", key, e.name, err)
		}
	}
	return []row{rate, worst}, nil
}
