package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	goruntime "runtime"
	"strings"

	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Node finds a place of a lab that is up. Ref is LAB/PLACE, or PLACE when just one lab that is up has it. It gives
// the name of the place's namespace.
func (l *Labs) Node(ref string) (space string, err error) {
	lab, name, named := strings.Cut(ref, "/")
	if !named {
		lab, name = "", ref
	}
	all, err := l.List()
	if err != nil {
		return "", err
	}
	var found, there []string
	for _, s := range all {
		if s.State != Up || lab != "" && s.Name != lab {
			continue
		}
		m, _ := s.Topology.resolve()
		for _, p := range m.places {
			there = append(there, s.Name+"/"+p.name)
			if p.name == name {
				space, found = m.spaceName(p), append(found, s.Name+"/"+p.name)
			}
		}
	}
	switch {
	case len(found) == 1:
		return space, nil
	case len(found) > 1:
		return "", fmt.Errorf("several labs have a node %s: name one of %s", name, strings.Join(found, ", "))
	case len(there) == 0 && lab != "":
		return "", fmt.Errorf("%w: %s", ErrNotFound, lab)
	case len(there) == 0:
		return "", errors.New("no lab is up")
	}
	return "", fmt.Errorf("no such node: %s; there are %s", ref, strings.Join(there, ", "))
}

// ExecError is a program that could not be run.
type ExecError struct {
	Program  string
	NotFound bool
	Err      error
}

func (e *ExecError) Error() string { return fmt.Sprintf("running %s: %s", e.Program, e.Err) }

// Unwrap gives the reason.
func (e *ExecError) Unwrap() error { return e.Err }

// Exec replaces the process by a program in the namespace that [Labs.Node] gave. It returns only
// on error. As with `ip netns exec`, /sys shows the namespace's links.
func Exec(space string, argv []string) error {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return &ExecError{argv[0], errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist), err}
	}
	ns, err := vnetns.GetFromPath(runDir + "/" + space)
	if err != nil {
		return fmt.Errorf("opening network namespace %s: %w", space, err)
	}
	// execve(2) keeps the namespaces of the thread that calls it. It is never unlocked: whoever gets an
	// error here ends.
	goruntime.LockOSThread()
	if err := vnetns.Set(ns); err != nil {
		return fmt.Errorf("entering network namespace %s: %w", space, err)
	}
	if err := ownSys(); err != nil {
		return err
	}
	err = unix.Exec(path, argv, os.Environ())
	return &ExecError{argv[0], errors.Is(err, os.ErrNotExist), err}
}

// ownSys mounts a /sys of the thread's network namespace in a mount namespace of its own.
func ownSys() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("making a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "none", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return wrapMount("making mounts private:", "/", err)
	}
	return wrapMount("mounting", "/sys", unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""))
}
