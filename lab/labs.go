package lab

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/minirt/mini/plan"
)

// Errors that callers may want to tell apart.
var (
	ErrNotFound = errors.New("no such lab")
	ErrExists   = errors.New("is up already")
	ErrBusy     = errors.New("is being built, checked or removed by another mini")
	ErrInUse    = errors.New("is in use")
)

// Labs are the labs of one state directory.
type Labs struct {
	state string
	owner string // what tells its namespaces from those of other state directories
}

// Open gives the labs whose records are below the directory state, which need not exist.
func Open(state string) *Labs {
	abs, err := filepath.Abs(state)
	if err != nil {
		abs = state // only a vanished working directory: the tag need not be more than unique
	}
	sum := sha256.Sum256([]byte(abs))
	return &Labs{state: state, owner: hex.EncodeToString(sum[:4])}
}

// tag is the alias of each loopback link of a lab.
func (l *Labs) tag(name string) string { return "mini:lab:" + name + ":" + l.owner }

// builder makes a lab's plan. The caller closes its spaces.
func (l *Labs) builder(t *Topology) (*builder, error) {
	m, found := t.resolve()
	if len(found) > 0 {
		return nil, t.Check()
	}
	return &builder{m: m, tag: l.tag(t.Name), s: newSpaces()}, nil
}

// Script prints a shell script that builds the lab by hand, in a place where it is not up.
func (l *Labs) Script(t *Topology, w io.Writer) error {
	b, err := l.builder(t)
	if err != nil {
		return err
	}
	defer b.s.close()
	if _, err := io.WriteString(w, "#!/bin/sh\nset -e\n"); err != nil {
		return fmt.Errorf("printing the script of lab %s: %w", t.Name, err)
	}
	return b.build().Script(w)
}

// Up builds a lab. What a crash left of an earlier one is taken away first. When a step
// fails, those before it are undone.
func (l *Labs) Up(ctx context.Context, t *Topology, observe plan.Observer) error {
	b, err := l.builder(t)
	if err != nil {
		return err
	}
	defer b.s.close()
	unlock, err := l.lock(t.Name)
	if err != nil {
		return err
	}
	defer unlock()
	if err := l.makeRoom(ctx, t.Name, b.m.names()); err != nil {
		return err
	}
	r := newRecord(t, b.m.names())
	if err := l.save(t.Name, r); err != nil {
		return err
	}
	b.before = func(probes []probe) []plan.Step { return lookSteps(b, probes, r.Before) }
	if err := b.build().Run(ctx, observe); err != nil {
		return errors.Join(fmt.Errorf("building lab %s: %w", t.Name, err), l.dropAfter(t.Name, err))
	}
	r.State = Up
	return l.save(t.Name, r)
}

// dropAfter removes the record of a lab that was rolled back. One that could not be keeps it.
func (l *Labs) dropAfter(name string, err error) error {
	var step *plan.StepError
	if errors.As(err, &step) && step.Rollback != nil {
		return nil
	}
	return l.drop(name)
}

// makeRoom takes away what is left of a lab that is not up, and refuses to build over names that others have.
func (l *Labs) makeRoom(ctx context.Context, name string, spaces []string) error {
	r, err := l.load(name)
	if err != nil {
		return err
	}
	if r != nil && r.State == Up {
		return fmt.Errorf("lab %s %w", name, ErrExists)
	}
	if r != nil {
		if err := l.clear(ctx, name, r.Spaces, nil); err != nil {
			return err
		}
	}
	for _, s := range spaces {
		if hasName(s) {
			return fmt.Errorf("building lab %s: there is a network namespace %s already that is not its own", name, s)
		}
	}
	return nil
}

// Down takes a lab away. Processes that run in it are ended when force is set, and are an error otherwise.
func (l *Labs) Down(ctx context.Context, name string, force bool, observe plan.Observer) error {
	if matches(placeName, name) && !l.isKnown(name) {
		return fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	unlock, err := l.lock(name)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := l.load(name)
	found, lost := names("lab-" + name + "-")
	if lost != nil {
		return lost
	}
	// A record that cannot be read is removed with what is found by name.
	spaces := slices.DeleteFunc(found, func(s string) bool { return !l.isOurs(name, s) })
	if r != nil {
		spaces = union(r.Spaces, spaces)
	}
	if r == nil && err == nil && len(spaces) == 0 {
		// A crash while the first record was written leaves half of one.
		return errors.Join(fmt.Errorf("%w: %s", ErrNotFound, name), l.drop(name))
	}
	if err := l.vacate(name, spaces, force); err != nil {
		return err
	}
	return l.clear(ctx, name, spaces, observe)
}

// union gives a and what of b is not in it.
func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// isOurs says that a namespace is the lab's. One that cannot be asked is not.
func (l *Labs) isOurs(name, space string) bool {
	tag, err := tagOf(space)
	return err == nil && tag == l.tag(name)
}

// clear removes namespaces of a lab, the last one first, and then its record.
func (l *Labs) clear(ctx context.Context, name string, spaces []string, observe plan.Observer) error {
	p := plan.Plan{Title: "take lab " + name + " away"}
	for _, s := range slices.Backward(spaces) {
		if !hasName(s) || isSpace(filepath.Join(runDir, s)) && !l.isOurs(name, s) {
			continue
		}
		p.Add(plan.Step{
			Name: "remove " + s, Why: "Links, addresses, routes and rules end with their namespace.",
			Cmds: []string{plan.Command("ip", "netns", "delete", s)},
			Do:   func(context.Context) error { return dropName(s) },
		})
	}
	if err := p.RunAll(ctx, observe); err != nil {
		return fmt.Errorf("removing lab %s: %w", name, err)
	}
	return l.drop(name)
}

// Find gives the topology of a lab that is up.
func (l *Labs) Find(name string) (*Topology, error) {
	if !matches(placeName, name) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	r, err := l.load(name)
	switch {
	case err != nil:
		return nil, err
	case r == nil || r.State != Up:
		return nil, fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	return r.Topology, nil
}

// missing says that a place of the lab is not there.
func (l *Labs) missing(m *model) error {
	for _, s := range m.names() {
		if !isSpace(filepath.Join(runDir, s)) {
			return fmt.Errorf("lab %s is not up: there is no network namespace %s", m.name, s)
		}
	}
	return nil
}

// Check tries all that the topology expects, in a lab that is up, and gives a result for each
// expectation, in the topology's order. The error says that it could not be tried.
func (l *Labs) Check(ctx context.Context, t *Topology) ([]Result, error) {
	b, err := l.builder(t)
	if err != nil {
		return nil, err
	}
	defer b.s.close()
	if err := l.missing(b.m); err != nil {
		return nil, err
	}
	unlock, err := l.lock(t.Name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	r, err := l.load(t.Name)
	if err != nil {
		return nil, err
	}
	now := slices.DeleteFunc(slices.Clone(b.m.probes), func(p probe) bool { return p.at != "" })
	results, err := b.tryAll(ctx, now)
	if err != nil {
		return nil, err
	}
	for _, p := range b.m.probes {
		if p.at == "" {
			continue
		}
		past := p.result(answer{})
		past.Got, past.Skipped = "not seen", true
		if r != nil && r.Before[p.index].By != "" {
			past = r.Before[p.index]
			past.index = p.index
		}
		results = append(results, past)
	}
	slices.SortFunc(results, func(a, b Result) int { return cmp.Compare(a.index, b.index) })
	return results, nil
}
