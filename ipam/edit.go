package ipam

import "sync/atomic"

const (
	maxRepairs = 8
	// owner, some, bit, full and cursor, beside the repairs
	maxStores = maxRepairs + 1 + maxLevels - 1 + maxLevels + 1
)

// store is one write of one word: first clear, then set these bits.
type store struct {
	at         int
	clear, set uint64
}

// edit is an ordered list of stores: a change of a pool that has not happened
// yet. Whoever is killed while applying it has done a prefix of it, and every
// prefix leaves the pool sound (see the package documentation).
type edit struct {
	n      int
	stores [maxStores]store
}

func (e *edit) add(at int, clear, set uint64) {
	e.stores[e.n] = store{at, clear, set}
	e.n++
}

// repair plans to set a full bit that a stopped process did not get to. Those
// that find no room wait for the next search.
func (e *edit) repair(at int, set uint64) {
	if e.n < maxRepairs {
		e.add(at, 0, set)
	}
}

// apply does the stores one after another. They are atomic because the
// compiler may not change the order of atomic stores.
func (e *edit) apply(words []uint64) {
	for _, s := range e.stores[:e.n] {
		p := &words[s.at]
		atomic.StoreUint64(p, *p&^s.clear|s.set)
	}
}

// locate gives the word and the bit that stand for offset i at level k.
func locate(level *[maxLevels]int, k, i int) (word int, bit uint64) {
	i >>= uint(k) * shift
	return level[k] + i>>shift, 1 << (uint(i) & low)
}

// planTake plans to give the free offset i to owner.
func (t *tree) planTake(e *edit, i int, owner Owner) {
	if t.owners != 0 {
		e.add(t.owners+i, ^uint64(0), uint64(owner))
	}
	top := 0
	for ; top+1 < t.levels; top++ {
		if word, _ := locate(&t.some, top, i); t.words[word] != 0 {
			break
		}
	}
	for k := top; k > 0; k-- {
		word, bit := locate(&t.some, k, i)
		e.add(word, 0, bit)
	}
	for k := 0; k < t.levels; k++ {
		word, bit := locate(&t.full, k, i)
		e.add(word, 0, bit)
		if t.words[word]|bit != ^uint64(0) {
			break
		}
	}
}

// planFree plans to take the used offset i from its owner.
func (t *tree) planFree(e *edit, i int) {
	for k := t.levels - 1; k > 0; k-- {
		if word, bit := locate(&t.full, k, i); t.words[word]&bit != 0 {
			e.add(word, bit, 0)
		}
	}
	for k := 0; k < t.levels; k++ {
		word, bit := locate(&t.some, k, i)
		e.add(word, bit, 0)
		if t.words[word]&^bit != 0 {
			break
		}
	}
	if t.owners != 0 {
		e.add(t.owners+i, ^uint64(0), 0)
	}
}

// planNext plans to give the next free offset to owner; ok is false when there
// is none.
func (t *tree) planNext(e *edit, owner Owner) (i int, ok bool) {
	i = t.pick(e)
	if i < 0 {
		return 0, false
	}
	t.planTake(e, i, owner)
	e.add(t.cursor, ^uint64(0), uint64(i+1))
	return i, true
}

// planRelease plans to take the used offset i from its owner. The cursor moves
// to what would have been given out without it, so that i is not next.
func (t *tree) planRelease(e *edit, i int) {
	next := t.pick(nil)
	t.planFree(e, i)
	if next >= 0 && uint64(next) != t.words[t.cursor] {
		e.add(t.cursor, ^uint64(0), uint64(next))
	}
}

// reserve marks the reserved offsets of a new pool.
func (t *tree) reserve() {
	for _, i := range t.reserved {
		var e edit
		t.planTake(&e, i, 0)
		e.apply(t.words)
	}
}
