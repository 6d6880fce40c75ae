package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// claimName makes name belong to id, or says whose it is. A name is a symbolic
// link whose target is the id: made whole, or not at all, by one system call.
func (r *Runtime) claimName(name, id string) error {
	if err := os.MkdirAll(r.namesDir(), 0o700); err != nil {
		return fmt.Errorf("making the directory of names: %w", err)
	}
	err := os.Symlink(id, r.namePath(name))
	if errors.Is(err, os.ErrExist) {
		return r.claimStale(name, id)
	}
	if err != nil {
		return fmt.Errorf("claiming the name %s: %w", name, err)
	}
	return nil
}

// claimStale takes a name over from a holder that was killed between claiming
// it and saying so, or before it gave it up. A lock makes sure that of several
// commands that find this one alone acts on it.
func (r *Runtime) claimStale(name, id string) error {
	unlock, err := lockDir(r.namesDir())
	if err != nil {
		return err
	}
	defer unlock()
	stale, err := r.isStale(name)
	if err != nil {
		return err
	}
	if !stale {
		return r.nameTaken(name)
	}
	if err := os.Remove(r.namePath(name)); err != nil {
		return fmt.Errorf("freeing the name %s: %w", name, err)
	}
	err = os.Symlink(id, r.namePath(name))
	if errors.Is(err, os.ErrExist) {
		return r.nameTaken(name)
	}
	if err != nil {
		return fmt.Errorf("claiming the name %s: %w", name, err)
	}
	return nil
}

// isStale tells whether a name's holder is neither alive nor of that name.
func (r *Runtime) isStale(name string) (bool, error) {
	holder, err := os.Readlink(r.namePath(name))
	if err != nil {
		return false, fmt.Errorf("looking up who has the name %s: %w", name, err)
	}
	if alive, err := r.alive(holder); alive || err != nil {
		return false, err
	}
	var cfg Config
	err = readJSON(filepath.Join(r.containerDir(holder), configFile), &cfg)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	return err == nil && cfg.Name != name, err
}

func (r *Runtime) nameTaken(name string) error {
	holder, err := os.Readlink(r.namePath(name))
	if err != nil {
		return fmt.Errorf("looking up who has the name %s: %w", name, err)
	}
	return errorf(ErrExists, "Conflict. The container name %q is already in use by container %q. You have to remove (or rename) that container to be able to reuse that name.", "/"+name, holder)
}

// dropName gives the name up if it belongs to id.
func (r *Runtime) dropName(name, id string) error {
	holder, err := os.Readlink(r.namePath(name))
	if errors.Is(err, os.ErrNotExist) || err == nil && holder != id {
		return nil
	}
	if err == nil {
		err = os.Remove(r.namePath(name))
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("dropping the name %s: %w", name, err)
	}
	return nil
}
