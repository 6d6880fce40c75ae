package ipam

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// An edit is the whole of what an operation writes. So doing the first k of
// its stores, for every k, is stopping the operation between any two stores.

func newOwnedTree(s *space) *tree {
	t := &tree{layout: newLayout(s.size, 0, true), space: s}
	t.words = make([]uint64, t.total)
	t.reserve()
	return t
}

// leases are the taken offsets and their owners.
func (t *tree) leases() map[int]Owner {
	all := map[int]Owner{}
	for i := range t.size {
		if t.used(i) && !t.isReserved(i) {
			all[i] = t.owner(i)
		}
	}
	return all
}

func (t *tree) clone() *tree {
	c := *t
	c.words = slices.Clone(t.words)
	return &c
}

// stopAfter does the first k stores of e.
func (t *tree) stopAfter(e *edit, k int) *tree {
	c := t.clone()
	part := *e
	part.n = k
	part.apply(c.words)
	return c
}

func TestStopBetweenAnyTwoStores(t *testing.T) {
	configs := []Config{
		subnet("10.0.0.0/29"),
		subnet("10.0.0.0/26"),
		subnet("10.0.0.0/25"),
		subnet("10.0.0.0/19"),
		{Subnet: prefix("10.0.0.0/19"), Range: prefix("10.0.8.0/25")},
		{Subnet: prefix("10.0.0.0/24"), Range: prefix("10.0.0.96/27")},
		{Subnet: prefix("fd00::/64"), Range: prefix("fd00::1:0:0:0/121")},
	}
	for seed, cfg := range configs {
		t.Run(cfg.String(), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 3))
			tr := newOwnedTree(newSpace(cfg))
			fillSome(tr, r)
			for step := range 160 {
				e, after := planRandom(tr, r, step)
				checkStops(t, tr, &e, after)
				// Go on from a stopped state, so that staleness adds up.
				k := e.n
				if r.IntN(2) == 0 {
					k = r.IntN(e.n + 1)
				}
				tr = tr.stopAfter(&e, k)
			}
		})
	}
}

// fillSome leaves a few holes, so that words and summaries fill and empty.
func fillSome(tr *tree, r *rand.Rand) {
	for {
		var e edit
		_, ok := tr.planNext(&e, Owner(r.Uint64()|1))
		if !ok {
			break
		}
		e.apply(tr.words)
	}
	for range 3 {
		if i := tr.lo + r.IntN(tr.hi-tr.lo+1); tr.owner(i) != 0 {
			var e edit
			tr.planRelease(&e, i)
			e.apply(tr.words)
		}
	}
}

// planRandom plans one operation and returns the leases as they are after it.
func planRandom(tr *tree, r *rand.Rand, step int) (edit, map[int]Owner) {
	var e edit
	after := tr.leases()
	owner := Owner(r.Uint64() | 1)
	i := r.IntN(tr.size)
	filling := step/20%2 == 0
	switch {
	case tr.owner(i) != 0 && !filling:
		tr.planRelease(&e, i)
		delete(after, i)
	case !tr.used(i) && r.IntN(2) == 0:
		tr.planTake(&e, i, owner)
		after[i] = owner
	default:
		if i, ok := tr.planNext(&e, owner); ok {
			after[i] = owner
		}
	}
	return e, after
}

// checkStops wants every prefix of e to leave a sound pool that shows the
// operation as wholly done or not done at all.
func checkStops(t *testing.T, tr *tree, e *edit, after map[int]Owner) {
	t.Helper()
	before := tr.leases()
	for k := range e.n + 1 {
		c := tr.stopAfter(e, k)
		got := c.leases()
		if !maps.Equal(got, before) && !maps.Equal(got, after) {
			t.Fatalf("after %d of %d stores: neither before nor after", k, e.n)
		}
		if k == e.n && !maps.Equal(got, after) {
			t.Fatal("the operation did not happen")
		}
		if err := sound(c); err != nil {
			t.Fatalf("after %d of %d stores: %v", k, e.n, err)
		}
		if err := drain(c); err != nil {
			t.Fatalf("after %d of %d stores: %v", k, e.n, err)
		}
	}
}

// drain wants the pool to give out each free address of its range once.
func drain(c *tree) error {
	want := c.free()
	for range want {
		var e edit
		i, ok := c.planNext(&e, 7)
		if !ok || i < c.lo || i > c.hi || c.used(i) {
			return fmt.Errorf("gave out offset %d, %t; used already: %t", i, ok, ok && c.used(i))
		}
		e.apply(c.words)
	}
	var e edit
	if i, ok := c.planNext(&e, 7); ok {
		return fmt.Errorf("gave out offset %d of a full pool", i)
	}
	return nil
}

func TestStaleFullBitsAreRepaired(t *testing.T) {
	tr := newTree(newSpace(subnet("10.0.0.0/19")))
	for i := range 64 * 64 { // a full first half, with no full bit set
		tr.words[tr.full[0]+i>>shift] = ^uint64(0)
		word, bit := locate(&tr.some, 1, i)
		tr.words[word] |= bit
	}
	tr.words[tr.some[2]] = 3
	for range 64/maxRepairs + 1 {
		var e edit
		if i, _ := tr.planNext(&e, 0); i < 64*64 {
			t.Fatalf("gave out offset %d", i)
		}
		e.apply(tr.words)
		tr.words[tr.cursor] = 0
	}
	// The word where a search begins is not reached from above: no repair there.
	if got := tr.words[tr.full[1]] | 1; got != ^uint64(0) {
		t.Fatalf("full bits are %#x", got)
	}
	if err := sound(tr); err != nil {
		t.Fatal(err)
	}
}
