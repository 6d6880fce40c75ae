package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Names (argument 0) under which bench runs inside a private host.
const (
	initName  = "bench-init"  // process 1: furnishes the host, then reaps
	agentName = "bench-agent" // its child: answers bench
)

// socketFD is the agent's end of the connection, in both processes.
const socketFD = 3

// initMain is process 1 of a private host. It runs on the first thread, so
// that what it unshares holds for its child as well.
func initMain() error {
	var s setup
	if err := json.NewDecoder(os.Stdin).Decode(&s); err != nil {
		return fmt.Errorf("reading what to do: %w", err)
	}
	if err := furnish(s); err != nil {
		return err
	}
	child, err := syscall.ForkExec("/proc/self/exe", []string{agentName}, &syscall.ProcAttr{
		Dir: "/", Env: environment(s.Dir), Files: []uintptr{0, 1, 2, socketFD},
	})
	if err != nil {
		return fmt.Errorf("starting the agent: %w", err)
	}
	return reapUntil(child)
}

// reapUntil waits for all orphans of the host until the agent has ended.
func reapUntil(child int) error {
	for {
		pid, err := syscall.Wait4(-1, nil, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return fmt.Errorf("waiting for the agent: %w", err)
		case pid == child:
			return nil
		}
	}
}

// environment is the same for the commands of all engines.
func environment(dir string) []string {
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + filepath.Join(dir, "home"), "LANG=C.UTF-8", "USER=root", "TERM=dumb",
	}
}

// furnish gives the host its own view of the file system.
func furnish(s setup) error {
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("making a cgroup namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making all mounts private: %w", err)
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := mount("proc", "/proc", flags, ""); err != nil {
		return err
	}
	if err := mount("sysfs", "/sys", flags, ""); err != nil {
		return err
	}
	if err := mountCgroups(s); err != nil {
		return err
	}
	// Podman keeps its locks in /dev/shm.
	for _, dir := range []string{"/run", "/tmp", "/dev/shm"} {
		if _, err := os.Stat(dir); err != nil {
			continue // not on this machine
		}
		if err := mount("tmpfs", dir, unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"); err != nil {
			return err
		}
	}
	// Docker writes a key to /etc, containerd to /opt, CNI to /var/lib.
	for _, dir := range []string{"/etc", "/opt", "/var/lib"} {
		if err := throwAway(s.Dir, dir); err != nil {
			return err
		}
	}
	return os.MkdirAll(filepath.Join(s.Dir, "home"), 0o700)
}

func mount(fstype, target string, flags uintptr, data string) error {
	if err := unix.Mount(fstype, target, fstype, flags, data); err != nil {
		return fmt.Errorf("mounting %s on %s with %q: %w", fstype, target, data, err)
	}
	return nil
}

// mountCgroups mounts the hierarchies anew: in the new cgroup namespace each
// shows the host's own cgroup as its root.
func mountCgroups(s setup) error {
	const top = "/sys/fs/cgroup"
	if s.Layout == plainV2 {
		if err := mount("cgroup2", top, 0, ""); err != nil {
			return err
		}
		return delegate(top)
	}
	if len(s.Cgroups) > 1 {
		if err := mount("tmpfs", top, 0, "mode=755"); err != nil {
			return err
		}
	}
	for _, h := range s.Cgroups {
		if !strings.HasPrefix(h.Mountpoint, top) {
			continue
		}
		if err := os.MkdirAll(h.Mountpoint, 0o755); err != nil {
			return fmt.Errorf("making a mount point: %w", err)
		}
		if err := mount(h.Type, h.Mountpoint, 0, h.Options); err != nil {
			return err
		}
		if h.Type == "cgroup2" {
			if err := delegate(h.Mountpoint); err != nil {
				return err
			}
		}
	}
	return nil
}

// throwAway lets the host write to target without the machine seeing it.
func throwAway(dir, target string) error {
	if _, err := os.Stat(target); err != nil {
		return nil // nothing to protect, and nobody looks there
	}
	base := filepath.Join(dir, "above"+strings.ReplaceAll(target, "/", "-"))
	upper, work := filepath.Join(base, "upper"), filepath.Join(base, "work")
	for _, d := range []string{upper, work} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("making a directory for %s: %w", target, err)
		}
	}
	return mount("overlay", target, 0, "lowerdir="+target+",upperdir="+upper+",workdir="+work)
}
