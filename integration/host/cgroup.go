package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// cgroupDir is the host's own cgroup in one hierarchy. Inside the host it is
// mounted where the machine has the hierarchy's root, so that hosts do not
// see each other's cgroups and a container's are found by their place alone.
type cgroupDir struct {
	mountpoint string // of the hierarchy, on the machine and in the host
	dir        string // the cgroup, as the machine sees it
	fstype     string // cgroup or cgroup2
}

// makeCgroups makes a cgroup of that name in each hierarchy of the machine.
func makeCgroups(name string) ([]cgroupDir, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return nil, fmt.Errorf("finding the cgroup hierarchies: %w", err)
	}
	var dirs []cgroupDir
	seen := map[string]bool{}
	for _, m := range mounts {
		if seen[m.Mountpoint] {
			continue
		}
		seen[m.Mountpoint] = true
		d := cgroupDir{m.Mountpoint, filepath.Join(m.Mountpoint, "mini-test-"+name), m.FSType}
		if err := d.make(); err != nil {
			return nil, errors.Join(err, removeCgroups(dirs))
		}
		dirs = append(dirs, d)
	}
	return dirs, nil
}

func (d cgroupDir) make() error {
	if d.fstype == "cgroup2" {
		if err := delegate(d.mountpoint); err != nil {
			return err
		}
	}
	if err := os.Mkdir(d.dir, 0o755); err != nil {
		return fmt.Errorf("making the host's cgroup: %w", err)
	}
	if d.fstype == "cgroup2" {
		return nil
	}
	// A v1 cpuset takes no process before it has processors and memory nodes.
	for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(d.mountpoint, f))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(d.dir, f), value, 0)
		}
		if err != nil {
			return fmt.Errorf("copying %s to the host's cgroup: %w", f, err)
		}
	}
	return nil
}

// delegate hands the controllers of a v2 hierarchy down to the root's
// children. systemd does so as well; the setting stays.
func delegate(root string) error {
	have, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("reading the cgroup controllers: %w", err)
	}
	file := filepath.Join(root, "cgroup.subtree_control")
	on, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the cgroup controllers handed down: %w", err)
	}
	for _, c := range strings.Fields(string(have)) {
		wanted := slices.Contains([]string{"cpu", "cpuset", "io", "memory", "pids"}, c)
		if !wanted || slices.Contains(strings.Fields(string(on)), c) {
			continue
		}
		if err := os.WriteFile(file, []byte("+"+c), 0); err != nil {
			return fmt.Errorf("handing the cgroup controller %s down: %w", c, err)
		}
	}
	return nil
}

// bindCgroups shows each of the host's cgroups as the root of its hierarchy.
func bindCgroups(dirs []cgroupDir) error {
	for _, d := range dirs {
		if err := unix.Mount(d.dir, d.mountpoint, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting cgroup %s on %s: %w", d.dir, d.mountpoint, err)
		}
	}
	return nil
}

// removeCgroups removes the cgroups with all below them. A process that was
// killed leaves its cgroup a little later, hence the bounded wait.
func removeCgroups(dirs []cgroupDir) error {
	var errs []error
	for _, d := range dirs {
		err := Poll(2*time.Second, func() error { return removeTree(d.dir) })
		if err != nil {
			errs = append(errs, fmt.Errorf("removing the host's cgroup: %w", err))
		}
	}
	return errors.Join(errs...)
}

// removeTree removes a cgroup and its children, children first.
func removeTree(dir string) error {
	all := subdirs(dir)
	slices.Reverse(all)
	for _, sub := range append(all, dir) {
		if err := unix.Rmdir(sub); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("rmdir %s: %w", sub, err)
		}
	}
	return nil
}

// subdirs lists the directories below dir, parents first. A directory that
// vanishes meanwhile is left out.
func subdirs(dir string) []string {
	var all []string
	// The walk function never returns an error.
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && path != dir {
			all = append(all, path)
		}
		return nil
	})
	return all
}
