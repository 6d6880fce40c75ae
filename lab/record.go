package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// State is what has become of a lab.
type State string

// The states of a lab. Broken is what a crash left: Up and Down tidy it up.
const (
	Up       State = "up"
	Building State = "building"
	Broken   State = "broken"
)

// record is what the state directory knows of a lab. It is written before anything is made.
type record struct {
	State    State
	Created  time.Time
	Spaces   []string // names of its namespaces
	Topology *Topology
	Hosts    []string // the file's order
	Nodes    []string
	Bridges  []string
	Before   map[int]Result // what was seen while it was built, by the expectation's index
}

func newRecord(t *Topology, spaces []string) *record {
	return &record{
		State: Building, Created: time.Now(), Spaces: spaces, Topology: t,
		Hosts: t.order.hosts, Nodes: t.order.nodes, Bridges: t.order.bridges, Before: map[int]Result{},
	}
}

func (l *Labs) dir() string                { return filepath.Join(l.state, "labs") }
func (l *Labs) path(name, s string) string { return filepath.Join(l.dir(), name+s) }

// load gives the record of a lab, nil when there is none. One that cannot be read is an error.
func (l *Labs) load(name string) (*record, error) {
	data, err := os.ReadFile(l.path(name, ".json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the record of lab %s: %w", name, err)
	}
	r := &record{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("reading the record of lab %s: %w", name, err)
	}
	if r.Topology == nil {
		return nil, fmt.Errorf("reading the record of lab %s: it has no topology", name)
	}
	r.Topology.order = order{r.Hosts, r.Nodes, r.Bridges}
	return r, nil
}

// save replaces the record in one go: whoever reads sees the old one or the new one.
func (l *Labs) save(name string, r *record) error {
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return fmt.Errorf("writing the record of lab %s: %w", name, err)
	}
	tmp := l.path(name, ".tmp")
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		return fmt.Errorf("writing the record of lab %s: %w", name, err)
	}
	if err := os.Rename(tmp, l.path(name, ".json")); err != nil {
		return fmt.Errorf("writing the record of lab %s: %w", name, err)
	}
	return nil
}

// drop removes the record, and what a crash left of writing one.
func (l *Labs) drop(name string) error {
	var errs []error
	for _, s := range []string{".tmp", ".json"} {
		if err := os.Remove(l.path(name, s)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("removing the record of lab %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// whole is a lock on a whole file.
func whole() *unix.Flock_t { return &unix.Flock_t{Type: unix.F_WRLCK} }

// lock says that this process builds, checks or removes the lab. It ends with the process, see F_OFD_SETLK in
// fcntl(2): unlike flock(2) it can be asked for without being taken. The file stays: to remove it would race with the next holder.
func (l *Labs) lock(name string) (unlock func(), err error) {
	if !matches(placeName, name) {
		return nil, fmt.Errorf("bad name of a lab: %q: want up to 20 of a-z, 0-9 and -", name)
	}
	if err := os.MkdirAll(l.dir(), 0o755); err != nil {
		return nil, fmt.Errorf("locking lab %s: %w", name, err)
	}
	f, err := os.OpenFile(l.path(name, ".lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking lab %s: %w", name, err)
	}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, whole()); err != nil {
		f.Close()
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return nil, fmt.Errorf("lab %s %w", name, ErrBusy)
		}
		return nil, fmt.Errorf("locking lab %s: %w", name, err)
	}
	return func() { f.Close() }, nil
}

// isLocked says that somebody holds the lab's lock.
func (l *Labs) isLocked(name string) bool {
	f, err := os.Open(l.path(name, ".lock"))
	if err != nil {
		return false
	}
	defer f.Close()
	q := whole()
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, q) == nil && q.Type != unix.F_UNLCK
}

// isKnown says that there may be something of the lab: a name that was mistyped leaves no lock.
func (l *Labs) isKnown(name string) bool {
	for _, s := range []string{".json", ".tmp"} {
		if _, err := os.Lstat(l.path(name, s)); err == nil {
			return true
		}
	}
	spaces, err := names("lab-" + name + "-")
	return err != nil || slices.ContainsFunc(spaces, func(s string) bool { return l.isOurs(name, s) })
}

// Status is a lab that there is.
type Status struct {
	Name    string
	State   State
	Created time.Time
	// Topology is nil when the record cannot be read.
	Topology *Topology
}

// List gives the labs of this state directory, sorted by name.
func (l *Labs) List() ([]Status, error) {
	files, err := os.ReadDir(l.dir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listing labs: %w", err)
	}
	var out []Status
	for _, f := range files {
		if name, ok := strings.CutSuffix(f.Name(), ".json"); ok {
			if s, ok := l.status(name); ok {
				out = append(out, s)
			}
		}
	}
	slices.SortFunc(out, func(a, b Status) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// status says what has become of one lab. It is not ok when there is none any more.
func (l *Labs) status(name string) (s Status, ok bool) {
	s = Status{Name: name, State: Broken}
	for range 2 {
		r, err := l.load(name)
		if err != nil || r == nil {
			return s, err != nil
		}
		s.Created, s.Topology = r.Created, r.Topology
		switch {
		case r.State == Up:
			s.State = Up
			return s, true
		case l.isLocked(name):
			s.State = Building
			return s, true
		}
		// It is broken, or was finished between the two looks: then the record says so now.
	}
	return s, true
}
