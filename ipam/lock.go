package ipam

import (
	"errors"
	"fmt"
	"io/fs"
	goruntime "runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// locked runs do on the file's pool under the file's lock. When there is no
// file, or one that nobody finished making, it makes one if create is set, and
// else gives do a nil tree.
func (f *File) locked(create bool, do func(*tree) error) (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return fmt.Errorf("pool file %s: %w", f.path, fs.ErrClosed)
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer f.recoverFault(&err)
	if err := f.lock(create); errors.Is(err, fs.ErrNotExist) && !create {
		return do(nil)
	} else if err != nil {
		return err
	}
	defer f.unlock(&err)
	if f.data == nil {
		if err := f.load(create); err != nil {
			return err
		}
	}
	if f.data == nil {
		return do(nil)
	}
	return do(&f.tree)
}

// lock opens the file if need be and waits for its lock. A file that was
// removed since it was opened is opened anew. flock(2) tells open files apart,
// not goroutines; f.mu does that.
func (f *File) lock(create bool) error {
	for {
		if f.fd < 0 {
			if err := f.open(create); err != nil {
				return err
			}
		}
		if err := retry(func() error { return unix.Flock(f.fd, unix.LOCK_EX) }); err != nil {
			return fmt.Errorf("locking pool file %s: %w", f.path, err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(f.fd, &st); err != nil {
			return errors.Join(fmt.Errorf("looking at pool file %s: %w", f.path, err), f.drop())
		}
		if st.Nlink > 0 {
			return nil
		}
		if err := f.drop(); err != nil {
			return err
		}
	}
}

func (f *File) open(create bool) error {
	flags := unix.O_RDWR | unix.O_CLOEXEC
	if create {
		flags |= unix.O_CREAT
	}
	err := retry(func() (err error) {
		f.fd, err = unix.Open(f.path, flags, 0o600)
		return err
	})
	if err != nil {
		f.fd = -1
		return fmt.Errorf("opening pool file %s: %w", f.path, err)
	}
	return nil
}

func (f *File) unlock(err *error) {
	if f.fd < 0 {
		return // dropped, and the lock with it
	}
	if e := unix.Flock(f.fd, unix.LOCK_UN); e != nil {
		*err = errors.Join(*err, fmt.Errorf("unlocking pool file %s: %w", f.path, e))
	}
}

// drop unmaps and closes the file, which also gives up its lock.
func (f *File) drop() error {
	var errs []error
	if f.data != nil {
		errs = append(errs, unix.Munmap(f.data))
		f.data, f.tree = nil, tree{}
	}
	if f.fd >= 0 {
		errs = append(errs, unix.Close(f.fd))
		f.fd = -1
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing pool file %s: %w", f.path, err)
	}
	return nil
}

// Close gives the mapping and the descriptor back. The addresses stay taken.
// Closing twice is harmless.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return f.drop()
}

// recoverFault turns a fault on the mapping into an error: the kernel sends
// SIGBUS (mmap(2)) when a page cannot be had because the disk is full or
// because somebody cut the file short. What was done up to there is sound, as
// after a kill. The mapping is dropped, so that the next call looks at the file
// anew.
func (f *File) recoverFault(err *error) {
	r := recover()
	if r == nil {
		return
	}
	fault, ok := r.(interface {
		goruntime.Error
		Addr() uintptr
	})
	if !ok || !f.mapped(fault.Addr()) {
		panic(r)
	}
	*err = errors.Join(fmt.Errorf("pool file %s: a page cannot be read or written, is the file system full?: %w", f.path, fault), *err, f.drop())
}

func retry(do func() error) error {
	for {
		if err := do(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
