package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// privateDirs get an empty tmpfs in every host, where the machine has them.
// /var/lib/mini is the default of --root.
var privateDirs = []string{"/run", "/tmp", "/var/tmp", "/var/lib/mini"}

// sysDirs are mount points below /sys that a fresh sysfs would hide.
var sysDirs = []string{"/sys/fs/cgroup", "/sys/fs/bpf", "/sys/kernel/debug", "/sys/kernel/tracing", "/sys/kernel/security"}

// privateMounts turns the calling thread's mount namespace into the host's.
// The directories in keep stay visible at their paths.
func privateMounts(keep []string, cgroups []cgroupDir) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making all mounts private: %w", err)
	}
	kept, err := pickUp(keep)
	if err != nil {
		return err
	}
	defer kept.close()
	for _, dir := range privateDirs {
		if isLink(dir) {
			continue
		}
		err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode="+modeOf(dir))
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("mounting a private %s: %w", dir, err)
		}
	}
	if err := kept.putDown(); err != nil {
		return err
	}
	if err := freshSys(); err != nil {
		return err
	}
	return bindCgroups(cgroups)
}

// notHidden tells whether a directory stays visible by itself.
func notHidden(dir string) bool {
	return !slices.ContainsFunc(privateDirs, func(p string) bool { return strings.HasPrefix(dir, p+"/") })
}

func isLink(path string) bool {
	st, err := os.Lstat(path)
	return err == nil && st.Mode()&os.ModeSymlink != 0
}

func modeOf(dir string) string {
	if strings.HasSuffix(dir, "tmp") {
		return "1777"
	}
	return "755"
}

// freshSys mounts a sysfs that shows the new network namespace: the old one
// goes on listing the machine's links in /sys/class/net.
func freshSys() error {
	kept, err := pickUp(sysDirs)
	if err != nil {
		return err
	}
	defer kept.close()
	if err := unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting a fresh /sys: %w", err)
	}
	return kept.putDown()
}

// picked are copies of mount trees, not attached to any place.
type picked []pickedDir

type pickedDir struct {
	path string
	fd   int
}

// pickUp copies the mount trees at paths, so that they can be put down again
// after something was mounted above them. Missing paths are left out.
func pickUp(paths []string) (picked, error) {
	var p picked
	for _, path := range paths {
		fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			p.close()
			return nil, fmt.Errorf("copying the mount at %s: %w", path, err)
		}
		p = append(p, pickedDir{path, fd})
	}
	return p, nil
}

func (p picked) putDown() error {
	for _, d := range p {
		// Below a tmpfs the mount point is new; below a sysfs it exists.
		if err := os.MkdirAll(d.path, 0o755); err != nil {
			return fmt.Errorf("making a mount point: %w", err)
		}
		err := unix.MoveMount(d.fd, "", unix.AT_FDCWD, d.path, unix.MOVE_MOUNT_F_EMPTY_PATH)
		if err != nil {
			return fmt.Errorf("putting a mount back at %s: %w", d.path, err)
		}
	}
	return nil
}

func (p picked) close() {
	for _, d := range p {
		// Closing an O_PATH descriptor cannot lose anything.
		_ = unix.Close(d.fd)
	}
}

// replaceFile writes the content to src and mounts src over the file's path.
func replaceFile(src string, f privateFile) error {
	if err := os.WriteFile(src, []byte(f.content), 0o644); err != nil {
		return fmt.Errorf("writing a private %s: %w", f.path, err)
	}
	target, err := filepath.EvalSymlinks(f.path)
	if err != nil {
		return fmt.Errorf("finding %s: %w", f.path, err)
	}
	if err := unix.Mount(src, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mounting a private %s: %w", target, err)
	}
	return nil
}
