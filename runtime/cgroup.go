package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/fs"
	"github.com/opencontainers/cgroups/fs2"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/runtime/devices"
)

// cgroupParent is the directory of all containers in each hierarchy.
const cgroupParent = "mini"

const cgroupMount = "/sys/fs/cgroup"

// cgroup is a container's control group. On every host with a cgroup v2
// hierarchy, of a v2 or a hybrid layout, it is a directory there that the init
// is born in: that costs nothing, while the first write to a cgroup.procs
// costs 11 ms. The v1 hierarchies of a hybrid host are joined only for limits;
// a host without v2 pays the 11 ms for the devices hierarchy.
type cgroup struct {
	dir    *os.File        // in the v2 hierarchy; nil without one
	limits cgroups.Manager // nil without limits
	v1     bool            // limits are set in v1 hierarchies, after the clone
	path   string          // below each hierarchy
}

// v2Mount finds the cgroup v2 hierarchy, as systemd's three layouts have it.
// An empty path means that the host has none.
func v2Mount() (path string, hybrid bool) {
	var st unix.Statfs_t
	for _, path := range []string{cgroupMount, filepath.Join(cgroupMount, "unified")} {
		if unix.Statfs(path, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
			return path, path != cgroupMount
		}
	}
	return "", true
}

// checkMounted refuses a host that shows no cgroups, such as a sandbox with a /sys
// of its own: the library would panic, or make directories that limit nothing.
func checkMounted() error {
	var st unix.Statfs_t
	if err := unix.Statfs(cgroupMount, &st); err != nil {
		return fmt.Errorf("looking for cgroups at %s: %w", cgroupMount, err)
	}
	if st.Type == unix.SYSFS_MAGIC {
		return fmt.Errorf("no cgroups are mounted at %s: containers cannot be limited without them", cgroupMount)
	}
	return nil
}

// makeCgroup makes the container's cgroup, with its limits where that can be
// done before there is a process.
func makeCgroup(cgroupsPath string, res *specs.LinuxResources) (*cgroup, error) {
	if err := checkMounted(); err != nil {
		return nil, err
	}
	mount, v1 := v2Mount()
	cg := &cgroup{v1: v1, path: cgroupsPath}
	if mount != "" {
		dir, err := makeCgroupDir(filepath.Join(mount, cgroupsPath))
		if err != nil {
			return nil, err
		}
		cg.dir = dir
		if err := devices.Attach(dir, res.Devices); err != nil {
			return nil, errors.Join(err, cg.remove())
		}
	}
	if mount != "" && !limited(res) {
		return cg, nil
	}
	if err := cg.addLimits(mount, res); err != nil {
		return nil, errors.Join(err, cg.remove())
	}
	return cg, nil
}

func limited(res *specs.LinuxResources) bool {
	return res.Memory != nil || res.CPU != nil || res.Pids != nil
}

// makeCgroupDir makes the directory and its parent, which another container's
// end may remove at the same time.
func makeCgroupDir(path string) (*os.File, error) {
	for range 100 {
		if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("making the cgroup of all containers: %w", err)
		}
		err := os.Mkdir(path, 0o755)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("making the container's cgroup: %w", err)
		}
		dir, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("opening the container's cgroup: %w", err)
		}
		return dir, nil
	}
	return nil, fmt.Errorf("making the cgroup %s: its parent keeps vanishing", path)
}

func (cg *cgroup) addLimits(mount string, res *specs.LinuxResources) (err error) {
	config := &cgroups.Cgroup{Path: cg.path, Resources: cgroupResources(res)}
	if cg.v1 {
		cg.limits, err = fs.NewManager(config, nil)
	} else if cg.limits, err = fs2.NewManager(config, filepath.Join(mount, cg.path)); err == nil {
		if err = cg.limits.Apply(-1); err == nil {
			err = cg.limits.Set(config.Resources)
		}
	}
	if err != nil {
		return fmt.Errorf("limiting the container's resources: %w", err)
	}
	return nil
}

// joinsLater tells whether the init must be put into v1 hierarchies.
func (cg *cgroup) joinsLater() bool { return cg.limits != nil && cg.v1 }

// limit puts a process under the limits of v1 hierarchies.
func (cg *cgroup) limit(pid int, res *specs.LinuxResources) error {
	err := cg.limits.Apply(pid)
	if err == nil {
		err = cg.limits.Set(cgroupResources(res))
	}
	if err == nil && cg.dir == nil {
		err = limitDevices(pid, cg.path, res.Devices)
	}
	if err != nil {
		return fmt.Errorf("limiting the container's resources: %w", err)
	}
	return nil
}

// limitDevices puts a process into the v1 devices hierarchy and sets the rules
// there: the first one denies everything, the others allow
// (cgroup-v1/devices.rst). The library would do it with code that costs every
// start on every host 0.1 ms of initialisation.
func limitDevices(pid int, cgroupsPath string, rules []specs.LinuxDeviceCgroup) error {
	hierarchy := filepath.Join(cgroupMount, "devices")
	if _, err := os.Stat(filepath.Join(hierarchy, "cgroup.procs")); err != nil {
		return fmt.Errorf("the host has neither a cgroup v2 hierarchy nor the v1 devices hierarchy; without one a container could open the host's disks: %w", err)
	}
	open, err := makeCgroupDir(filepath.Join(hierarchy, cgroupsPath))
	if err != nil {
		return err
	}
	defer open.Close()
	dir := open.Name()
	for _, rule := range rules {
		file, text := "devices.deny", "a"
		if rule.Allow {
			file = "devices.allow"
			text = fmt.Sprintf("%s %s:%s %s", rule.Type, orAny(rule.Major), orAny(rule.Minor), rule.Access)
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0); err != nil {
			return fmt.Errorf("writing the device rule %q: %w", text, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
		return fmt.Errorf("joining the devices hierarchy: %w", err)
	}
	return nil
}

// orAny writes a device number; none means any.
func orAny(n *int64) string {
	if n == nil || *n < 0 {
		return "*"
	}
	return strconv.FormatInt(*n, 10)
}

// procsFile lists the processes of a container, in a hierarchy that it is in.
func procsFile(cgroupsPath string) string {
	mount, _ := v2Mount()
	if mount == "" {
		mount = filepath.Join(cgroupMount, "devices")
	}
	return filepath.Join(mount, cgroupsPath, "cgroup.procs")
}

// join puts one more process under the limits of v1 hierarchies.
func (cg *cgroup) join(pid int) error {
	if !cg.joinsLater() {
		return nil
	}
	return cg.limits.Apply(pid)
}

func cgroupResources(res *specs.LinuxResources) *cgroups.Resources {
	out := &cgroups.Resources{SkipDevices: true}
	if m := res.Memory; m != nil {
		out.Memory, out.MemorySwap = *m.Limit, *m.Swap
	}
	if c := res.CPU; c != nil {
		out.CpuPeriod, out.CpuQuota = *c.Period, *c.Quota
	}
	if p := res.Pids; p != nil {
		out.PidsLimit = p.Limit
	}
	return out
}

// oomKilled tells whether the kernel killed a process for the memory limit.
func (cg *cgroup) oomKilled() bool {
	if cg.limits == nil {
		return false
	}
	n, err := cg.limits.OOMKillCount()
	return err == nil && n > 0 // unknown counts as no, as in Docker
}

// remove takes the cgroup away once its processes are gone.
func (cg *cgroup) remove() error {
	if cg.dir != nil {
		cg.dir.Close()
	}
	var err error
	if cg.limits != nil {
		if err = cg.limits.Destroy(); err != nil {
			err = fmt.Errorf("removing the container's cgroups: %w", err)
		}
	}
	return errors.Join(err, removeCgroup(cg.path))
}

// removeCgroup removes a container's cgroup from every hierarchy, and the
// common parent when it was the last.
func removeCgroup(cgroupsPath string) error {
	hierarchies, err := os.ReadDir(cgroupMount)
	if err != nil {
		return fmt.Errorf("listing the cgroup hierarchies: %w", err)
	}
	roots := []string{cgroupMount}
	if mount, v1 := v2Mount(); mount == "" || v1 {
		roots = nil
		for _, h := range hierarchies {
			roots = append(roots, filepath.Join(cgroupMount, h.Name()))
		}
	}
	var errs []error
	for _, root := range roots {
		path := filepath.Join(root, cgroupsPath)
		errs = append(errs, removeCgroupDir(path))
		// Not empty, or gone: another container's business.
		_ = unix.Rmdir(filepath.Dir(path))
	}
	return errors.Join(errs...)
}

// removeCgroupDir removes one directory. The kernel calls it busy for a moment
// after its last process was reaped, while the process still leaves.
func removeCgroupDir(path string) error {
	deadline := time.Now().Add(2 * time.Second)
	for pause := 100 * time.Microsecond; ; pause *= 2 {
		err := unix.Rmdir(path)
		if err == nil || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return fmt.Errorf("removing the cgroup %s: %w", path, err)
		}
		time.Sleep(pause)
	}
}
