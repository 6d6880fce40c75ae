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
	engines := b.supporting((*engine).full)
	names := numbered("bench-one", b.opts.many)
	rates := map[string][]float64{}
	for some := range slices.Chunk(names, share) {
		if err := b.startSome(ctx, engines, some, 1, rates); err != nil {
			b.removeQuietly(engines, names...)
			return nil, err
		}
	}
	removal := row{"many-remove", fmt.Sprintf("`rm -f` of all %d, per container", len(names)), seconds, map[string][]float64{}, noGoal()}
	for _, e := range engines {
		t, err := e.timed(ctx, e.remove(names...))
		if err != nil {
			return nil, err
		}
		removal.samples[e.name] = []float64{t / float64(len(names))}
	}
	title := fmt.Sprintf("%d detached starts, one by one", len(names))
	return []row{{"many-one", title, perSecond, rates, timesBetter("≥ 15 × docker", 15)}, removal}, nil
}

// manyEightAtATime measures detached starts by eight launchers.
func manyEightAtATime(ctx context.Context, b *bench) ([]row, error) {
	const launchers = 8
	engines := b.supporting((*engine).full)
	names := numbered("bench-eight", b.opts.many)
	defer b.removeQuietly(engines, names...)
	rates := map[string][]float64{}
	// Chunks of two waves and more, or the last ones, started alone, would
	// count too much.
	for some := range slices.Chunk(names, max(2*launchers+1, (len(names)+1)/2)) {
		if err := b.startSome(ctx, engines, some, launchers, rates); err != nil {
			return nil, err
		}
	}
	title := fmt.Sprintf("%d detached starts, %d at a time", len(names), launchers)
	return []row{{"many-eight", title, perSecond, rates, timesBetter("≥ 15 × docker", 15)}}, nil
}

// startSome starts containers with each engine in turn and adds the starts per second to rates.
func (b *bench) startSome(ctx context.Context, engines []*engine, names []string, workers int, rates map[string][]float64) error {
	for _, e := range engines {
		var cs []Command
		for _, name := range names {
			cs = append(cs, e.idle(name))
		}
		r, err := e.doAll(ctx, workers, cs)
		if err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		rates[e.name] = append(rates[e.name], float64(len(names))/inSeconds(r.Elapsed))
	}
	return nil
}
