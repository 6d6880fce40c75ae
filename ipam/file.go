package ipam

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"os"
	"sync"
)

// File is a pool that processes share through a file. Each call takes the
// file's lock (flock) for its bookkeeping alone and sees what all others did.
// A File may be used by several goroutines; each process opens its own.
//
// The file appears with the first address given out. Until then every call
// that only reads treats it as an empty pool and does not create it.
type File struct {
	path  string
	text  string // canonical configuration, kept in the file's header
	space *space

	mu     sync.Mutex
	closed bool
	fd     int    // -1: not open
	data   []byte // the mapping; nil: not mapped
	tree   tree   // over data
	edit   edit   // scratch of the call that runs
	walk   error  // see Err
}

// OpenFile prepares the pool of cfg in the file at path. The directory must
// exist by the first allocation. It fails with ErrMismatch when the file was
// made for another configuration, and when cfg is not valid.
func OpenFile(path string, cfg Config) (*File, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	f := &File{path: path, text: cfg.String(), space: newSpace(cfg), fd: -1}
	if err := f.locked(false, func(*tree) error { return nil }); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Allocate gives the next free address of the range to owner. It fails with
// ErrFull.
func (f *File) Allocate(owner Owner) (netip.Addr, error) {
	var a netip.Addr
	err := f.change(owner, func(t *tree, e *edit) error {
		i, ok := t.planNext(e, owner)
		if !ok {
			return t.exhausted()
		}
		a = t.addr(i)
		return nil
	})
	if err != nil {
		return netip.Addr{}, err
	}
	return a, nil
}

// AllocateAddr gives a, which may lie outside the range, to owner. It fails
// with ErrOutOfRange, ErrReserved or ErrTaken, the latter even when the taker
// is owner itself.
func (f *File) AllocateAddr(a netip.Addr, owner Owner) error {
	i, err := f.space.offset(a)
	switch {
	case err != nil:
		return err
	case i == outside:
		return f.change(owner, func(*tree, *edit) error { return f.takeNamed(a, owner) })
	}
	return f.change(owner, func(t *tree, e *edit) error {
		if t.used(i) {
			return t.refusal(i, t.owner(i))
		}
		t.planTake(e, i, owner)
		return nil
	})
}

// Release takes a from owner and reports whether owner had it. It does nothing
// to an address that is free, reserved or somebody else's, so it can be
// repeated.
func (f *File) Release(a netip.Addr, owner Owner) (bool, error) {
	i, err := f.space.offset(a)
	if err != nil {
		return false, err
	}
	released := false
	err = f.locked(false, func(t *tree) error {
		if i == outside {
			released, err = f.dropNamed(a, owner)
			return err
		}
		if t == nil || owner == 0 || t.owner(i) != owner {
			return nil
		}
		released = true
		return f.edited(t, func(t *tree, e *edit) error {
			t.planRelease(e, i)
			return nil
		})
	})
	return released && err == nil, err
}

// Peek returns what Allocate would give out, and changes nothing.
func (f *File) Peek() (netip.Addr, error) {
	var a netip.Addr
	err := f.view(func(t *tree) (err error) {
		a, err = t.peek()
		return err
	})
	return a, err
}

// Owner returns who has a; zero means that nobody has. It fails with
// ErrOutOfRange.
func (f *File) Owner(a netip.Addr) (Owner, error) {
	i, err := f.space.offset(a)
	if err != nil {
		return 0, err
	}
	var o Owner
	err = f.view(func(t *tree) (err error) {
		if i == outside {
			o, err = f.namedOwner(a)
			return err
		}
		o = t.owner(i)
		return nil
	})
	return o, err
}

// Check says why AllocateAddr would refuse a, as far as can be told now.
func (f *File) Check(a netip.Addr) error {
	i, err := f.space.offset(a)
	if err != nil {
		return err
	}
	return f.view(func(t *tree) error {
		if i == outside {
			return f.checkNamed(a)
		}
		if t.used(i) {
			return t.refusal(i, t.owner(i))
		}
		return nil
	})
}

// Owned walks over the taken addresses and their owners, in time proportional to
// their number: in order, but those outside the dynamic addresses of an IPv6
// subnet come last. The lock is not held while the loop's body
// runs, so it may release what it is given; addresses taken or released by
// others meanwhile may or may not appear. After the walk, Err tells whether it
// ended early.
func (f *File) Owned() iter.Seq2[netip.Addr, Owner] {
	return func(yield func(netip.Addr, Owner) bool) {
		var batch []lease
		for next := 0; next >= 0; {
			var err error
			batch, next, err = f.batch(batch[:0], next)
			if err != nil {
				return
			}
			for _, l := range batch {
				if !yield(f.space.addr(l.offset), l.owner) {
					return
				}
			}
		}
		for _, l := range f.namedLeases() {
			if !yield(l.addr, l.owner) {
				return
			}
		}
	}
}

type lease struct {
	offset int
	owner  Owner
}

// batch appends the next leases from offset i on and says where to go on; -1
// is the end.
func (f *File) batch(to []lease, i int) (leases []lease, next int, err error) {
	err = f.view(func(t *tree) error {
		for i = t.nextUsed(i); i >= 0 && len(to) < 64; i = t.nextUsed(i + 1) {
			if o := t.owner(i); o != 0 {
				to = append(to, lease{i, o})
			}
		}
		return nil
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.walk = err
	return to, i, err
}

// Err returns the error that ended the last walk over Owned early, or nil.
func (f *File) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.walk
}

// Used counts the addresses with an owner.
func (f *File) Used() (int, error) {
	var named []namedLease
	used, err := f.count((*tree).taken)
	if err == nil {
		named, err = f.named()
	}
	return used + len(named), err
}

// Free counts the addresses that Allocate can still give out.
func (f *File) Free() (int, error) { return f.count((*tree).free) }

func (f *File) count(what func(*tree) int) (n int, err error) {
	err = f.view(func(t *tree) error {
		n = what(t)
		return nil
	})
	return n, err
}

// Remove deletes the file, whoever still has addresses in it. Others that have
// it open see an empty pool afterwards. A file that does not exist is no error.
func (f *File) Remove() error {
	return f.locked(false, func(*tree) error {
		if f.fd < 0 {
			return nil
		}
		if err := os.Remove(f.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing pool file: %w", err)
		}
		return f.removeNamed()
	})
}

// change runs do under the lock, on a file that it creates when there is none,
// and applies the edit that do planned.
func (f *File) change(owner Owner, do func(*tree, *edit) error) error {
	if owner == 0 {
		return fmt.Errorf("pool %s: an address needs an owner that is not zero", f.space.subnet)
	}
	return f.locked(true, func(t *tree) error { return f.edited(t, do) })
}

// view runs do, which only reads, under the lock.
func (f *File) view(do func(*tree) error) error {
	return f.locked(false, func(t *tree) error {
		if t == nil {
			t = newTree(f.space)
		}
		return do(t)
	})
}

// edited plans with do and applies the plan. A plan that failed may hold
// repairs; they are worth doing.
func (f *File) edited(t *tree, do func(*tree, *edit) error) error {
	f.edit.n = 0
	err := do(t, &f.edit)
	f.edit.apply(t.words)
	return err
}
