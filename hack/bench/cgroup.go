package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// hierarchy is a cgroup hierarchy of the machine.
type hierarchy struct {
	Mountpoint string
	Type       string // cgroup or cgroup2
	Options    string // what mounts it once more: "cpu,cpuacct", "none,name=systemd"; empty for cgroup2
}

// hierarchies lists those that are mounted, each once.
func hierarchies() ([]hierarchy, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return nil, fmt.Errorf("finding the cgroup hierarchies: %w", err)
	}
	var all []hierarchy
	for _, m := range mounts {
		h := hierarchy{m.Mountpoint, m.FSType, ""}
		if m.FSType == "cgroup" {
			h.Options = mountOptions(m.VFSOptions)
		}
		same := func(o hierarchy) bool { return o.Type == h.Type && o.Options == h.Options }
		if !slices.ContainsFunc(all, same) {
			all = append(all, h)
		}
	}
	return all, nil
}

// mountOptions picks the controllers, or the name, from the super block's
// options as /proc/self/mountinfo shows them.
func mountOptions(super string) string {
	var keep []string
	for o := range strings.SplitSeq(super, ",") {
		name := strings.HasPrefix(o, "name=")
		if name {
			keep = append(keep, "none", o)
		} else if o != "" && o != "rw" && o != "ro" && !strings.Contains(o, "=") && o != "xattr" && o != "clone_children" {
			keep = append(keep, o)
		}
	}
	return strings.Join(keep, ",")
}

// cgroupDir is a private host's cgroup in one hierarchy. It is the root of the
// hierarchy for what runs inside.
type cgroupDir struct{ path string }

func (c cgroupDir) add(pid int) error {
	err := os.WriteFile(filepath.Join(c.path, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
	if err != nil {
		return fmt.Errorf("entering cgroup %s: %w", c.path, err)
	}
	return nil
}

// makeCgroups makes a cgroup of that name in every hierarchy.
func makeCgroups(all []hierarchy, name string) ([]cgroupDir, error) {
	var made []cgroupDir
	for _, h := range all {
		c := cgroupDir{filepath.Join(h.Mountpoint, name)}
		if err := os.Mkdir(c.path, 0o755); err != nil {
			return made, fmt.Errorf("making a cgroup: %w", err)
		}
		made = append(made, c)
		// A v1 cpuset takes no process before it has processors and memory nodes.
		for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
			if h.Type == "cgroup2" {
				break
			}
			if err := copyFile(filepath.Join(h.Mountpoint, f), filepath.Join(c.path, f)); err != nil {
				return made, err
			}
		}
	}
	return made, nil
}

// copyFile copies a setting; a missing one is not an error.
func copyFile(from, to string) error {
	value, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.WriteFile(to, value, 0)
	}
	if err != nil {
		return fmt.Errorf("copying %s to %s: %w", from, to, err)
	}
	return nil
}

// removeCgroups removes them with all below. A process that was killed leaves
// its cgroup a little later, hence the bounded wait.
func removeCgroups(dirs []cgroupDir) error {
	var errs []error
	for _, c := range dirs {
		if err := poll(5*time.Second, func() error { return removeTree(c.path) }); err != nil {
			errs = append(errs, fmt.Errorf("removing cgroup %s: %w", c.path, err))
		}
	}
	return errors.Join(errs...)
}

func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// delegate hands the controllers of the host's version 2 hierarchy, if any,
// down to the engine's cgroups. Only a cgroup without processes may do so:
// process 1 moves into a child first.
func delegate(root string) error {
	have, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil || len(strings.Fields(string(have))) == 0 {
		return nil // nothing to hand down
	}
	c := cgroupDir{filepath.Join(root, "agent")}
	if err := os.Mkdir(c.path, 0o755); err != nil {
		return fmt.Errorf("making the agent's cgroup: %w", err)
	}
	if err := c.add(os.Getpid()); err != nil {
		return err
	}
	for _, name := range strings.Fields(string(have)) {
		err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+"+name), 0)
		if err != nil {
			return fmt.Errorf("handing the controller %s down: %w", name, err)
		}
	}
	return nil
}
