package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// life is the lock that says that somebody answers for a container: the
// command that creates it, then the monitor that runs it. It is an open file
// description lock (fcntl_locking(2), F_OFD_SETLK): like flock(2) it belongs to
// the open file, so a child that inherits the descriptor holds it too, and the
// kernel drops it when the last holder dies, however it dies. Unlike flock(2)
// it can be tested without being taken, so that asking never gets in the way.
type life struct {
	file *os.File
	// inherited says that another owner wrote into the file, and died.
	inherited bool
}

// errAlive says that another process holds the lock.
var errAlive = errors.New("another process answers for the container")

// lifeNote is what a Reap must know of a container whose owner died before its
// configuration was written, or while it was removed.
type lifeNote struct {
	Name    string   `json:"name"`
	Volumes []string `json:"volumes,omitempty"` // anonymous ones
}

// lifePatience is how long takeLife waits for a lock that is held: a Reap, or
// a command that just ends, holds one for some milliseconds.
const lifePatience = 2 * time.Second

// takeLife takes the container's lock, and writes note into the file, unless it
// is empty: then what a former owner wrote stays. When another owner keeps the lock the error is errAlive. Whoever knows that a
// monitor is the owner should not ask: it would wait in vain.
func (r *Runtime) takeLife(id string, note lifeNote) (*life, error) {
	return r.takeLifeWithin(lifePatience, id, note)
}

func (r *Runtime) takeLifeWithin(patience time.Duration, id string, note lifeNote) (*life, error) {
	dir := r.lifeDir(id)
	for deadline := time.Now().Add(patience); ; {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("making the state directory of container %s: %w", short(id), err)
		}
		l, err := lockLife(filepath.Join(dir, lifeLockName), os.O_CREATE)
		switch {
		case err == nil:
			if note.Name == "" {
				return l, nil
			}
			if err := l.write(note); err != nil {
				l.close()
				return nil, err
			}
			return l, nil
		case time.Now().After(deadline):
			return nil, err
		case errors.Is(err, errAlive):
			time.Sleep(time.Millisecond)
		case !errors.Is(err, os.ErrNotExist): // removed meanwhile: make it again
			return nil, err
		}
	}
}

// lockLife opens and locks without waiting. A file that was removed between
// the two is no lock: os.ErrNotExist.
func lockLife(path string, flags int) (*life, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_CLOEXEC|flags, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening a container's lock: %w", err)
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock); err != nil {
		f.Close()
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return nil, errAlive
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		f.Close()
		return nil, fmt.Errorf("checking %s: %w", path, err)
	}
	if st.Nlink == 0 {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", path, os.ErrNotExist)
	}
	return &life{file: f, inherited: st.Size > 0}, nil
}

// takeOver takes the lock of a container that does not run, and tidies up
// after an owner that died with it. When the error is errAlive, the container's
// state says whether it was being started and runs now.
func (c *Container) takeOver(ctx context.Context) (*life, error) {
	for deadline := time.Now().Add(lifePatience); ; {
		l, err := c.r.takeLifeWithin(10*time.Millisecond, c.Config.ID, c.note())
		if err == nil && l.inherited {
			if err = c.r.buryStarted(ctx, c); err != nil {
				l.close() // the next command tries again
				return nil, fmt.Errorf("tidying up after container %s, whose monitor died: %w", c.Config.Name, err)
			}
		}
		if !errors.Is(err, errAlive) || time.Now().After(deadline) {
			return l, err
		}
		if err := c.reload(); err != nil {
			return nil, err
		}
		if c.State.Status == Running {
			return nil, errAlive
		}
	}
}

// write replaces the note. It is short enough to be written as a whole.
func (l *life) write(note lifeNote) error {
	b, err := json.Marshal(note)
	if err == nil {
		_, err = l.file.WriteAt(append(b, '\n'), 0)
	}
	if err == nil {
		err = l.file.Truncate(int64(len(b) + 1))
	}
	if err != nil {
		return fmt.Errorf("writing a container's lock: %w", err)
	}
	return nil
}

// note reads back what was written. An owner that died before it wrote
// anything had nothing either.
func (l *life) note() (note lifeNote, err error) {
	b, err := io.ReadAll(io.NewSectionReader(l.file, 0, 1<<20))
	if err == nil && len(b) > 0 {
		err = json.Unmarshal(b, &note)
	}
	if err != nil {
		return note, fmt.Errorf("reading a container's lock: %w", err)
	}
	return note, nil
}

func (l *life) close() { l.file.Close() }

// end removes the container's state directory and drops the lock. The lock file
// goes last but for the directory: nobody can hold a lock on a file that is
// gone, and a new owner may make both again at any moment after that.
func (l *life) end(r *Runtime, id string) error {
	defer l.close()
	dir := r.lifeDir(id)
	for _, name := range []string{socketName, lifeLockName} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing the state of container %s: %w", short(id), err)
		}
	}
	err := unix.Rmdir(dir)
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTEMPTY) {
		return fmt.Errorf("removing the state directory of container %s: %w", short(id), err)
	}
	return nil
}

// alive tells whether somebody holds the container's lock.
func (r *Runtime) alive(id string) (bool, error) {
	f, err := os.OpenFile(filepath.Join(r.lifeDir(id), lifeLockName), os.O_RDWR|unix.O_CLOEXEC, 0)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("opening the lock of container %s: %w", short(id), err)
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock); err != nil {
		return false, fmt.Errorf("testing the lock of container %s: %w", short(id), err)
	}
	return lock.Type != unix.F_UNLCK, nil
}

// short gives the first 12 digits of an id, as Docker shows it.
func short(id string) string { return id[:min(12, len(id))] }
