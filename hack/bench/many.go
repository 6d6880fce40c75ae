package main

import (
	"context"
	"fmt"
	"slices"
)

// share is how many containers an engine starts before it is the next one's turn.
const share = 10

// manyOneByOne measures detached starts in a row, and the removal of all.
func manyOneByOne(ctx context.Context, b *bench) ([]row, error) {
	const key = "many-one"
	engines := b.supporting((*engine).full)
	names := numbered("bench-one", b.opts.many)
	rates, removals := map[string][]float64{}, map[string][]float64{}
	for some := range slices.Chunk(names, share) {
		engines = b.startSome(ctx, key, engines, some, 1, rates)
	}
	b.each(ctx, "many-remove", engines, func(e *engine) error {
		t, err := e.timed(ctx, e.remove(names...))
		if err == nil {
			removals[e.name] = []float64{t / float64(len(names))}
		}
		return err
	})
	return []row{
		{key, fmt.Sprintf("%d detached starts, one by one", len(names)), perSecond, rates, timesBetter("≥ 15 × docker", 15)},
		{"many-remove", fmt.Sprintf("`rm -f` of all %d, per container", len(names)), seconds, removals, noGoal()},
	}, nil
}

// manyEightAtATime measures detached starts by eight launchers.
func manyEightAtATime(ctx context.Context, b *bench) ([]row, error) {
	const key, launchers = "many-eight", 8
	engines := b.supporting((*engine).full)
	names := numbered("bench-eight", b.opts.many)
	rates := map[string][]float64{}
	// Chunks of two waves and more, or the last ones, started alone, would
	// count too much.
	for some := range slices.Chunk(names, max(2*launchers+1, (len(names)+1)/2)) {
		engines = b.startSome(ctx, key, engines, some, launchers, rates)
	}
	b.removeAfter(ctx, engines)
	title := fmt.Sprintf("%d detached starts, %d at a time", len(names), launchers)
	return []row{{key, title, perSecond, rates, timesBetter("≥ 15 × docker", 15)}}, nil
}

// startSome starts containers with each engine in turn and adds the starts per
// second to rates. It returns the engines that managed.
func (b *bench) startSome(ctx context.Context, key string, engines []*engine, names []string, workers int, rates map[string][]float64) []*engine {
	return b.each(ctx, key, engines, func(e *engine) error {
		var cs []Command
		for _, name := range names {
			cs = append(cs, e.idle(name))
		}
		r, err := e.doAll(ctx, workers, cs)
		if err == nil {
			rates[e.name] = append(rates[e.name], float64(len(names))/inSeconds(r.Elapsed))
		}
		return err
	})
}
