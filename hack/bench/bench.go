package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// bench is one whole run.
type bench struct {
	opts    options
	begin   time.Time
	base    string // directory of the machine, for all
	image   string // root filesystem tarball
	source  string // top of mini's source, empty when not found
	engines []*engine
	hands   []*byHand
	table   table
	notes   []string
}

// measure does a whole run and prints the table, also when it is interrupted:
// what was measured until then.
func measure(ctx context.Context, o options) (err error) {
	base, err := os.MkdirTemp("/var/tmp", "mini-bench-")
	if err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	b := &bench{opts: o, begin: time.Now(), base: base, source: sourceDir()}
	defer func() { err = errors.Join(err, b.cleanUp()) }()
	if os.Geteuid() != 0 {
		return errors.New("private hosts need root")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("stopped after %v, the table is not complete", o.limit))
	defer cancel()
	chosen := slices.DeleteFunc(measures(), func(m measurement) bool { return !o.only.MatchString(m.key) })
	if len(chosen) == 0 {
		return fmt.Errorf("no measure matches -only; there are %s", keys(measures()))
	}
	progress("measures: %s", keys(chosen))
	if err := b.prepare(ctx, chosen); err != nil {
		return err
	}
	b.runAll(ctx, chosen)
	if err := b.print(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

func keys(ms []measurement) string {
	var s []string
	for _, m := range ms {
		s = append(s, m.key)
	}
	return strings.Join(s, " ")
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// note keeps a remark for below the table.
func (b *bench) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	progress("note: %s", text)
	b.notes = append(b.notes, text)
}

// prepare makes the binary, the image and the engines.
func (b *bench) prepare(ctx context.Context, chosen []measurement) error {
	if !slices.ContainsFunc(chosen, func(m measurement) bool { return m.engines }) {
		return nil
	}
	mini, err := b.miniBinary(ctx)
	if err != nil {
		b.note("mini is not measured: %v", err)
	}
	if b.image, err = b.makeImage(ctx); err != nil {
		return err
	}
	for _, m := range makers(mini) {
		progress("preparing %s", m.name)
		e, err := m.start(ctx, b.base, b.image)
		switch {
		case ctx.Err() != nil:
			if e != nil {
				b.engines = append(b.engines, e)
			}
			return context.Cause(ctx)
		case errors.Is(err, errMissing):
			progress("%s is not installed", m.name)
		case err != nil:
			b.note("%s is not measured: %v", m.name, err)
		default:
			b.engines = append(b.engines, e)
		}
	}
	return nil
}

// runAll runs the measures one after the other. One that fails leaves a note.
func (b *bench) runAll(ctx context.Context, chosen []measurement) {
	for _, m := range chosen {
		if ctx.Err() != nil {
			return
		}
		start := time.Now()
		rows, err := m.run(ctx, b)
		progress("%s: %v", m.key, time.Since(start).Round(time.Second/10))
		b.table.rows = append(b.table.rows, rows...)
		if err != nil && ctx.Err() == nil {
			b.note("%s: %v", m.key, err)
		}
	}
}

// print writes the facts, the table and the notes.
func (b *bench) print() error {
	for _, f := range b.facts() {
		fmt.Println("* " + f)
	}
	fmt.Println()
	if err := b.table.write(os.Stdout); err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	fmt.Print("\nMedians of n samples, taken in turn (A B C, A B C, …). docker/mini says how many times\n" +
		"better mini is: docker's time through mini's, or mini's rate through docker's.\n")
	for _, n := range b.notes {
		fmt.Println("\nNote: " + n)
	}
	return nil
}

// cleanUp ends all engines and removes everything from the machine.
func (b *bench) cleanUp() error {
	var hosts []*privateHost
	for _, e := range b.engines {
		hosts = append(hosts, e.host)
	}
	for _, h := range b.hands {
		hosts = append(hosts, h.host)
	}
	errs := make([]error, len(hosts))
	var wg sync.WaitGroup
	for i, h := range hosts {
		wg.Go(func() { errs[i] = h.destroy() })
	}
	wg.Wait()
	return errors.Join(errors.Join(errs...), poll(5*time.Second, func() error { return os.RemoveAll(b.base) }))
}

// supporting returns the engines that do.
func (b *bench) supporting(ok func(*engine) bool) []*engine {
	var some []*engine
	for _, e := range b.engines {
		if ok(e) {
			some = append(some, e)
		}
	}
	return some
}

// each calls f for the engines in turn and returns those for which it went well. One
// that fails is noted, and its containers removed so that they are in nobody's way.
func (b *bench) each(ctx context.Context, key string, engines []*engine, f func(*engine) error) []*engine {
	var well []*engine
	for _, e := range engines {
		if ctx.Err() != nil {
			return nil
		}
		err := f(e)
		if err == nil {
			well = append(well, e)
		} else if ctx.Err() == nil {
			b.note("%s of %s: %v", key, e.name, err)
			if err := e.removeAll(ctx); err != nil {
				b.note("cleaning up after that: %v", err)
			}
		}
	}
	return well
}

// interleave takes n samples of each engine in turn, after one that does not
// count. An engine that fails is left out from then on.
func (b *bench) interleave(ctx context.Context, key string, n int, engines []*engine, once func(*engine) (float64, error)) map[string][]float64 {
	samples := map[string][]float64{}
	for i := range n + 1 {
		engines = b.each(ctx, key, engines, func(e *engine) error {
			v, err := once(e)
			if err == nil && i > 0 {
				samples[e.name] = append(samples[e.name], v)
			}
			return err
		})
	}
	return samples
}
