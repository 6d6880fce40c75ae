package ipam

import (
	"iter"
	"maps"
	"net/netip"
	"slices"
)

// Bitmap gives out the addresses of one subnet, in memory. It is not safe for
// concurrent use. An empty /8 takes 2.2 MB.
type Bitmap struct {
	tree  tree
	edit  edit
	named map[netip.Addr]bool // those without a bit that have been given out
}

// NewBitmap returns a Bitmap in which all but the reserved addresses are free.
// It fails when cfg is not valid.
func NewBitmap(cfg Config) (*Bitmap, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Bitmap{tree: *newTree(newSpace(cfg))}, nil
}

// Allocate gives out the next free address of the range. It fails with ErrFull.
func (b *Bitmap) Allocate() (netip.Addr, error) {
	b.edit.n = 0
	i, ok := b.tree.planNext(&b.edit, 0)
	b.edit.apply(b.tree.words)
	if !ok {
		return netip.Addr{}, b.tree.exhausted()
	}
	return b.tree.addr(i), nil
}

// AllocateAddr gives out a, which may lie outside the range. It fails with
// ErrOutOfRange, ErrReserved or ErrTaken.
func (b *Bitmap) AllocateAddr(a netip.Addr) error {
	i, err := b.tree.offset(a)
	switch {
	case err != nil:
		return err
	case i == outside:
		return b.takeNamed(a)
	case b.tree.used(i):
		return b.tree.refusal(i, 0)
	}
	b.edit.n = 0
	b.tree.planTake(&b.edit, i, 0)
	b.edit.apply(b.tree.words)
	return nil
}

func (b *Bitmap) takeNamed(a netip.Addr) error {
	if kept := b.tree.isKept(a); kept || b.named[a] {
		return b.tree.refuse(a, kept, 0)
	}
	if b.named == nil {
		b.named = make(map[netip.Addr]bool)
	}
	b.named[a] = true
	return nil
}

// Peek returns what Allocate would give out, and gives nothing out.
func (b *Bitmap) Peek() (netip.Addr, error) { return b.tree.peek() }

// Release takes a back and reports whether it had been given out.
func (b *Bitmap) Release(a netip.Addr) bool {
	i, err := b.tree.offset(a)
	if err == nil && i == outside {
		was := b.named[a]
		delete(b.named, a)
		return was
	}
	if err != nil || !b.tree.used(i) || b.tree.isReserved(i) {
		return false
	}
	b.edit.n = 0
	b.tree.planRelease(&b.edit, i)
	b.edit.apply(b.tree.words)
	return true
}

// Taken reports whether a has been given out. Reserved addresses have not.
func (b *Bitmap) Taken(a netip.Addr) bool {
	i, err := b.tree.offset(a)
	if err != nil || i == outside {
		return err == nil && b.named[a]
	}
	return b.tree.used(i) && !b.tree.isReserved(i)
}

// All walks over the addresses that have been given out, in time proportional to
// their number: in order, but those outside the dynamic addresses of an IPv6
// subnet come last. The Bitmap may be changed during the walk.
func (b *Bitmap) All() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for i := b.tree.nextUsed(0); i >= 0; i = b.tree.nextUsed(i + 1) {
			if !b.tree.isReserved(i) && !yield(b.tree.addr(i)) {
				return
			}
		}
		for _, a := range slices.SortedFunc(maps.Keys(b.named), netip.Addr.Compare) {
			if !yield(a) {
				return
			}
		}
	}
}

// Used counts the addresses that have been given out.
func (b *Bitmap) Used() int { return b.tree.taken() + len(b.named) }

// Free counts the addresses that Allocate can still give out.
func (b *Bitmap) Free() int { return b.tree.free() }

func (t *tree) peek() (netip.Addr, error) {
	i := t.pick(nil)
	if i < 0 {
		return netip.Addr{}, t.exhausted()
	}
	return t.addr(i), nil
}
