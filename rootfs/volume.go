package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Volume is a directory that outlives containers.
type Volume struct {
	Name      string
	Path      string    // the directory to mount
	Anonymous bool      // the name is 64 hexadecimal digits: nobody chose it
	Created   time.Time // in UTC
}

// CheckVolumeName tells whether name can be a volume's: two characters at
// least, letters, digits, '_', '.' and '-', with a letter or digit first. The
// error wraps [ErrInvalidVolumeName].
func CheckVolumeName(name string) error {
	if len(name) < 2 {
		return fmt.Errorf("%w: %q is too short, names should be at least two alphanumeric characters", ErrInvalidVolumeName, name)
	}
	ok := func(c byte) bool { return isAlnum(c) || c == '_' || c == '.' || c == '-' }
	if !allOf(name, ok) || !isAlnum(name[0]) {
		return fmt.Errorf("%w: %q includes invalid characters, only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed;"+
			" to mount a host directory give its absolute path", ErrInvalidVolumeName, name)
	}
	if len(name) > maxComponent {
		return fmt.Errorf("%w: %d characters, at most %d are possible", ErrInvalidVolumeName, len(name), maxComponent)
	}
	return nil
}

func (s *Store) volumePath(name string) string { return filepath.Join(s.volumesDir(), name, "_data") }

// CreateVolume makes a volume, or gives the one of that name that is there. An
// empty name makes an anonymous volume.
func (s *Store) CreateVolume(name string) (*Volume, error) {
	if name == "" {
		name = randomHex(32)
	}
	if err := CheckVolumeName(name); err != nil {
		return nil, err
	}
	if v, err := s.FindVolume(name); err == nil || !errors.Is(err, ErrNoVolume) {
		return v, err
	}
	if err := s.prepare(); err != nil {
		return nil, err
	}
	// Both may exist: made by a process that was killed, or at this moment.
	for _, dir := range []string{filepath.Dir(s.volumePath(name)), s.volumePath(name)} {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("creating volume %s: %w", name, err)
		}
	}
	if err := os.Chmod(s.volumePath(name), 0o755); err != nil {
		return nil, fmt.Errorf("creating volume %s: %w", name, err)
	}
	return s.FindVolume(name)
}

// FindVolume gives the volume of that name; without one the error is [ErrNoVolume].
func (s *Store) FindVolume(name string) (*Volume, error) {
	if err := CheckVolumeName(name); err != nil {
		return nil, err
	}
	path := s.volumePath(name)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoVolume, name)
	} else if err != nil {
		return nil, fmt.Errorf("finding volume: %w", err)
	}
	v := &Volume{Name: name, Path: path, Anonymous: isHex(name, 64)}
	// Only its own entries change the time of the outer directory: that is its birth.
	if st, err := os.Stat(filepath.Dir(path)); err == nil {
		v.Created = st.ModTime().UTC()
	}
	return v, nil
}

// ListVolumes gives all volumes, sorted by name.
func (s *Store) ListVolumes() ([]*Volume, error) {
	entries, err := os.ReadDir(s.volumesDir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listing volumes: %w", err)
	}
	var volumes []*Volume
	for _, e := range entries {
		v, err := s.FindVolume(e.Name())
		if errors.Is(err, ErrNoVolume) || errors.Is(err, ErrInvalidVolumeName) {
			continue // being made, or not ours
		}
		if err != nil {
			return nil, err
		}
		volumes = append(volumes, v)
	}
	return volumes, nil
}

// RemoveVolume deletes a volume with all it holds. inUse tells which containers
// use it, nil means none; if there are any the error is [ErrConflict].
func (s *Store) RemoveVolume(name string, inUse func(name string) []string) error {
	if err := CheckVolumeName(name); err != nil {
		return err
	}
	// The outer directory counts: one without _data is half made, by a process
	// that was killed.
	if _, err := os.Lstat(filepath.Dir(s.volumePath(name))); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrNoVolume, name)
	} else if err != nil {
		return fmt.Errorf("finding volume: %w", err)
	}
	if err := s.prepare(); err != nil {
		return err
	}
	trash, err := s.moveVolumeAway(name, inUse)
	if trash != nil {
		err = errors.Join(err, trash.discard())
	}
	return err
}

// moveVolumeAway takes the volume out of sight at once; deleting what it holds
// may take long, and killed on the way is continued by the next write.
func (s *Store) moveVolumeAway(name string, inUse func(string) []string) (*tempDir, error) {
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if inUse != nil {
		if users := inUse(name); len(users) > 0 {
			return nil, fmt.Errorf("%w: remove %s: volume is in use - %v", ErrConflict, name, users)
		}
	}
	trash, err := newTempLocked(s.tempDirs()[1])
	if err != nil {
		return nil, err
	}
	err = os.Rename(filepath.Dir(s.volumePath(name)), filepath.Join(trash.path, name))
	if errors.Is(err, os.ErrNotExist) {
		return trash, fmt.Errorf("%w: %s", ErrNoVolume, name)
	}
	if err != nil {
		return trash, fmt.Errorf("removing volume: %w", err)
	}
	return trash, nil
}
