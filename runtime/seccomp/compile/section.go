package compile

import (
	"math"
	"slices"

	"golang.org/x/sys/unix"
)

// section emits the part of the program that serves one architecture.
type section struct {
	b        *builder
	arch     *arch
	fallback uint32 // what a call without a matching rule gets
}

// match is a rule as it applies to one call.
type match struct {
	name string
	rule *rule
}

// segment is a range of call numbers, from start up to the next segment's,
// that share one outcome: the matches in order, then ret.
type segment struct {
	start   uint32
	matches []match
	ret     uint32
}

func (s segment) same(o segment) bool {
	return len(s.matches) == 0 && len(o.matches) == 0 && s.ret == o.ret
}

// segments covers all 32-bit numbers, in order.
func (s *section) segments(rules []rule) []segment {
	byNr := s.byNumber(rules)
	newest := newestOf(byNr)
	starts := []uint32{0, newest + 1, privateBase, x32Bit}
	for nr := range byNr {
		starts = append(starts, nr, nr+1)
	}
	slices.Sort(starts)

	var segs []segment
	for _, start := range slices.Compact(starts) {
		seg := segment{start: start, ret: s.unnamed(start, newest)}
		if matches, ok := byNr[start]; ok {
			seg = s.outcome(start, matches)
		}
		if n := len(segs); n == 0 || !segs[n-1].same(seg) {
			segs = append(segs, seg)
		}
	}
	return segs
}

// byNumber files the rules under the numbers of this architecture.
func (s *section) byNumber(rules []rule) map[uint32][]match {
	byNr := make(map[uint32][]match)
	for i := range rules {
		for _, name := range rules[i].names {
			if nr, ok := s.arch.number(name); ok {
				byNr[nr] = append(byNr[nr], match{name, &rules[i]})
			}
		}
	}
	return byNr
}

// outcome cuts the matches at the first one that always holds.
func (s *section) outcome(nr uint32, matches []match) segment {
	for i, m := range matches {
		if len(m.rule.conds) == 0 {
			return s.simplify(segment{nr, matches[:i], m.rule.ret})
		}
	}
	return s.simplify(segment{nr, matches, s.fallback})
}

// simplify drops trailing matches that lead where the range leads anyway.
func (s *section) simplify(seg segment) segment {
	for n := len(seg.matches); n > 0 && seg.matches[n-1].rule.ret == seg.ret; n-- {
		seg.matches = seg.matches[:n-1]
	}
	return seg
}

// newestOf is the highest number with a rule. A profile that names no call has
// none; the result is then above every number.
func newestOf(byNr map[uint32][]match) uint32 {
	newest, found := uint32(0), false
	for nr := range byNr {
		if nr < privateBase {
			newest, found = max(newest, nr), true
		}
	}
	if !found {
		return math.MaxUint32
	}
	return newest
}

// unnamed returns what a number without a rule gets.
func (s *section) unnamed(nr, newest uint32) uint32 {
	switch {
	case s.arch.audit == unix.AUDIT_ARCH_X86_64 && nr >= x32Bit:
		return enosys
	case s.arch.audit == unix.AUDIT_ARCH_ARM && nr >= privateBase:
		return s.fallback
	case nr > newest && refuses(s.fallback):
		return enosys
	}
	return s.fallback
}

// tree emits a binary search over segs and returns its root.
func (s *section) tree(segs []segment) label {
	if len(segs) == 1 {
		return s.leaf(segs[0])
	}
	// A single number inside a range costs one comparison, not two.
	if len(segs) == 3 && segs[0].same(segs[2]) && segs[2].start == segs[1].start+1 {
		no := s.leaf(segs[0])
		return s.b.jump(jeq, segs[1].start, s.leaf(segs[1]), no)
	}
	mid := len(segs) / 2
	right := s.tree(segs[mid:])
	left := s.tree(segs[:mid])
	return s.b.jump(jge, segs[mid].start, right, left)
}

// leaf emits the outcome of a segment.
func (s *section) leaf(seg segment) label {
	next := s.b.ret(seg.ret)
	for i := len(seg.matches) - 1; i >= 0; i-- {
		m := seg.matches[i]
		no, yes := next, s.b.ret(m.rule.ret)
		for j := len(m.rule.conds) - 1; j >= 0; j-- {
			c := m.rule.conds[j]
			narrow := s.arch.narrow || truncated(m.name, c.Index)
			yes = s.b.cond(c, narrow, yes, no)
		}
		next = yes
	}
	return next
}
