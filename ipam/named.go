package ipam

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
)

// An address of an IPv6 subnet that is outside what is given out dynamically has
// no bit. When it was asked for, it is a symbolic link in a directory beside the
// file: its name is the address, its target the owner. One system call makes or
// removes it with all it says, so a stop at any instruction leaves it whole or
// not there. The file's lock is held meanwhile.

// NamedSuffix follows the path of a pool file in the name of that directory.
const NamedSuffix = ".named"

// namedLease is an address without a bit that has an owner.
type namedLease struct {
	addr  netip.Addr
	owner Owner
}

func (f *File) namedPath(a netip.Addr) string { return filepath.Join(f.path+NamedSuffix, a.String()) }

func (f *File) takeNamed(a netip.Addr, owner Owner) error {
	if err := f.checkNamed(a); err != nil {
		return err
	}
	err := os.Symlink(owner.String(), f.namedPath(a))
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.Mkdir(f.path+NamedSuffix, 0o700); err == nil || errors.Is(err, fs.ErrExist) {
			err = os.Symlink(owner.String(), f.namedPath(a))
		}
	}
	if err != nil {
		return fmt.Errorf("taking address %s: %w", a, err)
	}
	return nil
}

// checkNamed says why takeNamed would refuse a.
func (f *File) checkNamed(a netip.Addr) error {
	owner, err := f.namedOwner(a)
	if err != nil {
		return err
	}
	if kept := f.space.isKept(a); kept || owner != 0 {
		return f.space.refuse(a, kept, owner)
	}
	return nil
}

// namedOwner gives who has a, 0 for nobody.
func (f *File) namedOwner(a netip.Addr) (Owner, error) {
	text, err := os.Readlink(f.namedPath(a))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("looking for the owner of address %s: %w", a, err)
	}
	return ParseOwner(text)
}

// dropNamed takes a from owner and reports whether owner had it.
func (f *File) dropNamed(a netip.Addr, owner Owner) (bool, error) {
	has, err := f.namedOwner(a)
	if has != owner || owner == 0 || err != nil {
		return false, err
	}
	if err := os.Remove(f.namedPath(a)); err != nil {
		return false, fmt.Errorf("releasing address %s: %w", a, err)
	}
	return true, nil
}

// named lists the addresses without a bit that have an owner, in order. What
// somebody else put into the directory is passed over.
func (f *File) named() ([]namedLease, error) {
	if !f.space.v6 {
		return nil, nil // each has a bit
	}
	entries, err := os.ReadDir(f.path + NamedSuffix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing the addresses beside pool file %s: %w", f.path, err)
	}
	var all []namedLease
	for _, e := range entries {
		a, err := netip.ParseAddr(e.Name())
		if err != nil {
			continue
		}
		// One that is gone was released since the directory was read.
		if o, err := f.namedOwner(a); err == nil && o != 0 {
			all = append(all, namedLease{a, o})
		}
	}
	slices.SortFunc(all, func(x, y namedLease) int { return x.addr.Compare(y.addr) })
	return all, nil
}

// namedLeases is named for the end of a walk over Owned.
func (f *File) namedLeases() []namedLease {
	all, err := f.named()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.walk = err
	return all
}

// removeNamed removes the directory.
func (f *File) removeNamed() error {
	if err := os.RemoveAll(f.path + NamedSuffix); err != nil {
		return fmt.Errorf("removing the addresses beside the pool file: %w", err)
	}
	return nil
}
