package ipam

import "math/bits"

const (
	maxLevels = 4  // 64^4 = 2^24 addresses
	shift     = 6  // log2 of the bits in a word
	low       = 63 // mask of a bit's place in its word
)

// layout says where each part of a pool lies, counted in 64-bit words. Level k
// holds one bit for every 64^k addresses. some[0] and full[0] are the same
// words: the addresses' own bits.
type layout struct {
	levels int
	count  [maxLevels]int // bits in use at each level
	full   [maxLevels]int // a set bit: the word below has no free bit
	some   [maxLevels]int // a clear bit: the word below has no used bit
	cursor int            // one word: where the next search begins
	owners int            // one word an address; 0: there is no owner table
	total  int
}

// newLayout places a pool of size addresses, a power of two, behind the first
// start words. The small levels come first, so that a small pool is one page
// and a large one stays sparse.
func newLayout(size, start int, owners bool) layout {
	l := layout{cursor: start, total: start + 1}
	for n := size; l.levels == 0 || n > 1; n = (n + low) >> shift {
		l.count[l.levels] = n
		l.levels++
	}
	place := func(bits int) int {
		at := l.total
		l.total += (bits + low) >> shift
		return at
	}
	for k := l.levels - 1; k > 0; k-- {
		l.full[k] = place(l.count[k])
		l.some[k] = place(l.count[k])
	}
	l.full[0] = place(size)
	l.some[0] = l.full[0]
	if owners {
		l.owners = l.total
		l.total += size
	}
	return l
}

// tree reads a pool. It changes nothing: changes are planned in an edit.
type tree struct {
	layout
	*space
	words []uint64
}

// newTree makes an empty pool in memory, without owners.
func newTree(s *space) *tree {
	t := &tree{layout: newLayout(s.size, 0, false), space: s}
	t.words = make([]uint64, t.total)
	t.reserve()
	return t
}

// used reports whether the address at offset i is taken or reserved.
func (t *tree) used(i int) bool {
	return t.words[t.full[0]+i>>shift]&(1<<(uint(i)&low)) != 0
}

// owner returns who has the address at offset i. A word left behind by a stop
// in mid-change does not count, because its bit is clear.
func (t *tree) owner(i int) Owner {
	if t.owners == 0 || !t.used(i) {
		return 0
	}
	return Owner(t.words[t.owners+i])
}

// nextUsed returns the first used offset >= i, or -1.
func (t *tree) nextUsed(i int) int { return t.search(&t.some, 0, i, nil) }

// nextFree returns the first free offset >= i, or -1. It plans in e the repair
// of the stale full bits on its way; e may be nil.
func (t *tree) nextFree(i int, e *edit) int { return t.search(&t.full, ^uint64(0), i, e) }

// search returns the first index >= i at level 0 whose bit, xor flip, is set.
//
// Sizes are powers of two, so only the top level, which is one word, can have
// bits that stand for nothing. They read as free and are caught by count.
func (t *tree) search(level *[maxLevels]int, flip uint64, i int, e *edit) int {
	if i >= t.count[0] {
		return -1
	}
	k, descended := 0, false
	for {
		if w := (t.words[level[k]+i>>shift] ^ flip) >> (uint(i) & low); w != 0 {
			i += bits.TrailingZeros64(w)
			if i >= t.count[k] {
				return -1
			}
			if k == 0 {
				return i
			}
			k--
			i <<= shift
			descended = true
			continue
		}
		if descended && e != nil {
			e.repair(level[k+1]+i>>(2*shift), 1<<(uint(i>>shift)&low))
		}
		descended = false
		i = i>>shift + 1
		k++
		if k == t.levels || i >= t.count[k] {
			return -1
		}
	}
}

// pick returns the offset that is to be given out next, or -1: the first free
// one at or behind the cursor, else the first free one of the range.
func (t *tree) pick(e *edit) int {
	from := t.lo
	if c := t.words[t.cursor]; c > uint64(t.lo) && c <= uint64(t.hi) {
		from = int(c)
	}
	if i := t.nextFree(from, e); i >= 0 && i <= t.hi {
		return i
	}
	if from == t.lo {
		return -1
	}
	if i := t.nextFree(t.lo, e); i >= 0 && i < from {
		return i
	}
	return -1
}

// usedIn counts the used offsets from lo to hi, reserved ones included. It
// reads only words that have a used bit.
func (t *tree) usedIn(lo, hi int) int {
	n := 0
	for i := t.nextUsed(lo); i >= 0 && i <= hi; {
		w := t.words[t.full[0]+i>>shift] >> (uint(i) & low)
		last := i | low
		if last > hi {
			w &= 1<<(uint(hi-i)+1) - 1
		}
		n += bits.OnesCount64(w)
		i = t.nextUsed(last + 1)
	}
	return n
}

// taken counts the addresses with an owner.
func (t *tree) taken() int { return t.usedIn(0, t.size-1) - len(t.reserved) }

// free counts the addresses that can still be given out dynamically.
func (t *tree) free() int { return t.hi - t.lo + 1 - t.usedIn(t.lo, t.hi) }
