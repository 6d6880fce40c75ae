package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// replaceJSON writes v to path so that readers see the old or the new content.
// There is one writer at a time, by a lock that the caller holds.
func replaceJSON(path string, v any) error {
	return withTemp(path, v, false, func(tmp string) error { return os.Rename(tmp, path) })
}

// createJSON is replaceJSON for a file that must not exist, on a disk: the
// error is fs.ErrExist when it does.
func createJSON(path string, v any) error {
	return withTemp(path, v, true, func(tmp string) error {
		if err := os.Link(tmp, path); err != nil {
			return err
		}
		return os.Remove(tmp)
	})
}

// tempPath is where the next content of path is written. The name is fixed, so
// that what a killed writer left is found: by the next one, or by Release.
func tempPath(path string) string { return path + ".tmp" }

func withTemp(path string, v any, durable bool, place func(tmp string) error) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", path, err)
	}
	f, err := os.OpenFile(tempPath(path), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("opening a file to write %s: %w", path, err)
	}
	_, err = f.Write(append(data, '\n'))
	if err == nil && durable {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = place(f.Name())
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, errors.Join(err, ignoreMissing(os.Remove(f.Name()))))
	}
	return nil
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// lock takes a flock on path, which it creates with its directory. How is
// unix.LOCK_EX or unix.LOCK_SH. The kernel drops the lock when its holder dies.
func lock(path string, how int) (unlock func(), err error) {
	f, err := openLock(path)
	if err != nil {
		return nil, err
	}
	return flock(f, how)
}

// lockNetworks takes the lock for bringing networks up and down. The programs
// that change rules share it: a killed mini's last change is made before the
// next mini looks.
func (m *Manager) lockNetworks() (unlock func(), err error) {
	f, err := openLock(m.statePath("networks.lock"))
	if err != nil {
		return nil, err
	}
	drop, err := flock(f, unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	end := m.fw().Lend(f)
	return func() { end(); drop() }, nil
}

// lockPublishing is shared by those who publish ports, and keeps out who puts
// rules back meanwhile: a rule would be there twice, and one of them for ever.
func (m *Manager) lockPublishing() (unlock func(), err error) {
	return lock(m.statePath("networks.lock"), unix.LOCK_SH)
}

func openLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("opening lock %s: %w", path, err)
	}
	return f, nil
}

// flock locks f, and closes it when that fails.
func flock(f *os.File, how int) (unlock func(), err error) {
	for {
		err = unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", f.Name(), errors.Join(err, f.Close()))
	}
	// Closing drops the lock; nothing was written that a close could lose.
	return func() { _ = f.Close() }, nil
}
