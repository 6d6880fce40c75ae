package rootfs

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Store is a directory of images, layers and volumes. Its methods may be called
// from many goroutines and many processes at once.
type Store struct {
	root string
}

// Open gives the store below root, such as /var/lib/mini. It touches nothing:
// directories come with the first write.
func Open(root string) (*Store, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("opening image store %s: %w", root, err)
	}
	return &Store{root: abs}, nil
}

func (s *Store) layersDir() string           { return filepath.Join(s.root, "layers") }
func (s *Store) imagesDir() string           { return filepath.Join(s.root, "images") }
func (s *Store) refsDir() string             { return filepath.Join(s.root, "images", "refs") }
func (s *Store) volumesDir() string          { return filepath.Join(s.root, "volumes") }
func (s *Store) layerDir(diff string) string { return filepath.Join(s.layersDir(), diff) }
func (s *Store) layerFS(diff string) string  { return filepath.Join(s.layersDir(), diff, "fs") }
func (s *Store) imageDir(id string) string   { return filepath.Join(s.imagesDir(), id) }

// tempDirs are where half-made and half-deleted things lie: one on each file
// system that may be mounted on its own, so that a rename always works.
func (s *Store) tempDirs() [2]string {
	return [2]string{filepath.Join(s.layersDir(), ".tmp"), filepath.Join(s.volumesDir(), ".tmp")}
}

// prepare makes the store's directories and removes what dead processes left.
// Everything that writes calls it first.
func (s *Store) prepare() error {
	// Others may pass through the root (sockets, logs), but nobody else may
	// reach a layer: a set-user-ID program in an image is not the host's.
	if err := os.MkdirAll(s.root, 0o711); err != nil {
		return fmt.Errorf("creating image store: %w", err)
	}
	dirs := []string{s.layersDir(), s.imagesDir(), s.refsDir(), s.volumesDir()}
	temps := s.tempDirs()
	for _, dir := range append(dirs, temps[:]...) {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("creating image store: %w", err)
		}
	}
	for _, dir := range temps {
		if err := s.sweep(dir); err != nil {
			return err
		}
	}
	return nil
}

// lock takes the bookkeeping lock. It is never held while an archive is read.
func (s *Store) lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(s.imagesDir(), ".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking image store: %w", err)
	}
	if err := flock(f, unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("locking image store: %w", err), f.Close())
	}
	// Closing the only handle releases the lock; that cannot fail in a way that matters.
	return func() { _ = f.Close() }, nil
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if err != unix.EINTR {
			return err
		}
	}
}

// tempDir is a directory below .tmp that lives as long as its owner.
type tempDir struct {
	path string
	file *os.File // holds the lock that tells that the owner lives
}

// newTemp makes a directory below parent and locks it. Both happen under the
// bookkeeping lock, or a sweep could take it for a dead process's.
func (s *Store) newTemp(parent string) (*tempDir, error) {
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	return newTempLocked(parent)
}

func newTempLocked(parent string) (*tempDir, error) {
	path, err := os.MkdirTemp(parent, "")
	if err != nil {
		return nil, fmt.Errorf("creating temporary directory: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening temporary directory: %w", err)
	}
	if err := flock(f, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("locking temporary directory %s: %w", path, err), f.Close())
	}
	return &tempDir{path: path, file: f}, nil
}

// discard removes the directory and all that is left in it.
func (t *tempDir) discard() error {
	return errors.Join(os.RemoveAll(t.path), t.file.Close())
}

// sweep removes the directories below dir whose owner is dead. Big trees are
// removed outside the bookkeeping lock: holding the tree's own lock is enough.
func (s *Store) sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("looking for left-over files: %w", err)
	}
	if len(entries) == 0 {
		return nil
	}
	dead, err := s.deadTemps(dir)
	if len(dead) > 0 {
		// Its owner may have died between moving a layer and writing or deleting
		// the image. This comes first: the dead directory is what tells of it.
		err = errors.Join(err, s.sweepUnused())
	}
	for _, t := range dead {
		err = errors.Join(err, t.discard())
	}
	return err
}

func (s *Store) deadTemps(dir string) ([]*tempDir, error) {
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("looking for left-over files: %w", err)
	}
	var dead []*tempDir
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		f, err := os.Open(path)
		if err != nil {
			continue // its owner has just removed it
		}
		if flock(f, unix.LOCK_EX|unix.LOCK_NB) != nil {
			_ = f.Close() // its owner lives: only our handle is let go
			continue
		}
		dead = append(dead, &tempDir{path: path, file: f})
	}
	return dead, nil
}

// writeFile replaces path as a whole: readers see the old or the new content.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), os.Remove(f.Name()))
	}
	return nil
}

// randomHex gives n random bytes as hexadecimal digits.
func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails: see crypto/rand
	return hex.EncodeToString(b)
}
