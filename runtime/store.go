package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/rootfs"
)

// Container is one container of a Runtime, as its files say.
type Container struct {
	Config Config
	State  State

	r    *Runtime
	life *life // held from Create to Start
}

// Dir is the directory with the container's files.
func (c *Container) Dir() string { return c.r.containerDir(c.Config.ID) }

// Size gives the bytes in the files that the container wrote, and those
// together with its image's.
func (c *Container) Size() (written, all int64, err error) {
	if written, err = rootfs.DirSize(filepath.Join(c.Dir(), "upper")); err != nil {
		return 0, 0, err
	}
	image, err := c.r.Images.Find(c.Config.ImageID)
	if err != nil {
		return written, written, nil // of a --rootfs, or gone: nobody knows
	}
	return written, written + image.Size, nil
}

// LogPath is the container's log, in Docker's json-file format.
func (c *Container) LogPath() string { return filepath.Join(c.Dir(), logFile) }

// note is what to write into the container's lock.
func (c *Container) note() lifeNote {
	note := lifeNote{Name: c.Config.Name}
	for _, m := range c.Config.Mounts {
		if m.Anonymous {
			note.Volumes = append(note.Volumes, m.Source)
		}
	}
	return note
}

// ShortID is the first 12 digits of the id.
func (c *Container) ShortID() string { return short(c.Config.ID) }

// Find gives the container with this name, id or unique prefix of an id.
func (r *Runtime) Find(ref string) (*Container, error) {
	if ref == "" {
		return nil, errorf(ErrInvalid, "invalid container name or ID: value is empty")
	}
	id, err := r.resolve(strings.TrimPrefix(ref, "/"))
	if err != nil {
		return nil, err
	}
	c, err := r.load(id)
	if errors.Is(err, os.ErrNotExist) {
		return nil, noSuchContainer(ref)
	}
	return c, err
}

func noSuchContainer(ref string) error {
	return errorf(ErrNotFound, "No such container: %s", ref)
}

// resolve turns a name or id prefix into an id. A name needs one file read.
func (r *Runtime) resolve(ref string) (string, error) {
	if strings.Contains(ref, "/") || ref == "." || ref == ".." {
		return "", noSuchContainer(ref)
	}
	id, err := os.Readlink(r.namePath(ref))
	if err == nil {
		return id, nil
	}
	if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENAMETOOLONG) {
		return "", fmt.Errorf("looking up container %s: %w", ref, err)
	}
	ids, err := r.ids()
	if err != nil {
		return "", err
	}
	var found []string
	for _, id := range ids {
		if strings.HasPrefix(id, ref) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return "", noSuchContainer(ref)
	case 1:
		return found[0], nil
	}
	return "", errorf(ErrAmbiguous, "multiple IDs found with provided prefix: %s", ref)
}

func (r *Runtime) ids() ([]string, error) { return readNames(r.containersDir()) }

// readNames lists a directory; one that does not exist is empty.
func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", dir, err)
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", dir, err)
	}
	return names, nil
}

// List gives all containers, the newest first. One that is removed or half
// made meanwhile is left out.
func (r *Runtime) List() ([]*Container, error) {
	ids, err := r.ids()
	if err != nil {
		return nil, err
	}
	var list []*Container
	for _, id := range ids {
		c, err := r.load(id)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			// One damaged record must not hide the others.
			c = &Container{r: r, Config: Config{ID: id, Name: short(id)}, State: State{Status: Dead, Error: err.Error()}}
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *Container) int { return b.Config.Created.Compare(a.Config.Created) })
	return list, nil
}

// load reads a container's files. What the state file says of a container
// whose monitor is gone is put right in memory; Reap puts it right on disk.
func (r *Runtime) load(id string) (*Container, error) {
	c := &Container{r: r}
	if err := readJSON(filepath.Join(r.containerDir(id), configFile), &c.Config); err != nil {
		return nil, err
	}
	if err := c.reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// reloadConfig reads the configuration again: a rename changes it.
func (c *Container) reloadConfig() error {
	var cfg Config
	if err := readJSON(filepath.Join(c.Dir(), configFile), &cfg); err != nil {
		return err
	}
	c.Config = cfg
	return nil
}

// reload reads the state again.
func (c *Container) reload() error {
	state := State{Status: Created}
	err := readJSON(filepath.Join(c.Dir(), stateFile), &state)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if state.Status == Running {
		alive, err := c.r.alive(c.Config.ID)
		if err != nil {
			return err
		}
		if !alive {
			state = state.lost()
		}
	}
	c.State = state
	return nil
}

// lost is the state of a container whose monitor died.
func (s State) lost() State {
	if !s.Ended {
		s.ExitCode = exitSignalBase + 9
		s.Error = "the monitor was killed"
	}
	if s.FinishedAt.Before(s.StartedAt) {
		s.FinishedAt = time.Now().UTC()
	}
	s.exited()
	return s
}

// exited makes it the state of a container that is torn down.
func (s *State) exited() { s.Status, s.Ended, s.Pid, s.MonitorPid = Exited, false, 0, 0 }

func (c *Container) saveState() error {
	return writeJSON(filepath.Join(c.Dir(), stateFile), &c.State)
}

func (c *Container) saveConfig() error {
	return writeJSON(filepath.Join(c.Dir(), configFile), &c.Config)
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading a record: %w", err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}

// writeJSON replaces a file as a whole: a reader sees the old or the new one,
// also when the writer is killed.
func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", path, err)
	}
	// The name is the writer's own: the monitor and a command may both write.
	tmp := path + "." + strconv.Itoa(os.Getpid()) + ".tmp"
	err = os.WriteFile(tmp, append(b, '\n'), 0o600)
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return fmt.Errorf("writing a record: %w", err)
	}
	return nil
}

// lockDir takes an exclusive flock(2) on a directory, for bookkeeping only.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", dir, err)
		}
	}
}

// change edits the configuration, of which the monitor and commands may both
// want another part changed.
func (c *Container) change(edit func(*Config)) error {
	unlock, err := lockDir(c.Dir())
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.reloadConfig(); err != nil {
		return err
	}
	edit(&c.Config)
	return c.saveConfig()
}
