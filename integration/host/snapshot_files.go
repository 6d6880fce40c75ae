package host

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// mounts lists the mounts of the calling thread's mount namespace in which the
// text occurs. Numbers that differ from time to time are left out.
func mounts(text string) ([]string, error) {
	// Not mountinfo.GetMounts: it reads the first thread's.
	found, err := threadMounts()
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, m := range found {
		line := fmt.Sprintf("%s type %s source %s root %s options %s %s",
			m.Mountpoint, m.FSType, m.Source, m.Root, m.Options, m.VFSOptions)
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

func threadMounts() ([]*mountinfo.Info, error) {
	f, err := openThreadMountinfo()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return mountinfo.GetMountsFromReader(f, nil)
}

// files lists the files below dir, at most depth levels down. There are none
// when dir does not exist.
func files(dir string, depth int) ([]string, error) {
	var lines []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it vanished meanwhile
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || rel == "." {
			return err
		}
		lines = append(lines, describe(path, e))
		if e.IsDir() && strings.Count(rel, "/")+1 >= depth {
			return fs.SkipDir
		}
		return nil
	})
	return lines, err
}

func describe(path string, e fs.DirEntry) string {
	switch {
	case e.IsDir():
		return path + "/"
	case e.Type()&fs.ModeSocket != 0:
		return path + " (socket)"
	case e.Type()&fs.ModeNamedPipe != 0:
		return path + " (pipe)"
	}
	return path
}

// runFiles lists what is below /run, but for mount(8)'s own notes.
func runFiles() ([]string, error) {
	lines, err := files("/run", 9)
	return slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "/run/mount/") }), err
}

// machineFiles lists the places of the machine where mini would leave things
// by default.
func machineFiles() ([]string, error) {
	var lines []string
	for _, dir := range []string{"/run/netns", "/run/mini"} {
		found, err := files(dir, 3)
		if err != nil {
			return nil, err
		}
		lines = append(lines, found...)
	}
	return lines, nil
}

// tmpFiles lists what somebody put next to the directories that New keeps
// visible in the temporary directories.
func (h *Host) tmpFiles() ([]string, error) {
	found, err := threadMounts()
	if err != nil {
		return nil, err
	}
	kept := map[string]bool{}
	for _, m := range found {
		kept[m.Mountpoint] = true
	}
	var lines []string
	for _, dir := range []string{"/tmp", "/var/tmp"} {
		all, err := files(dir, 1)
		if err != nil {
			return nil, err
		}
		for _, line := range all {
			if !kept[strings.TrimSuffix(line, "/")] {
				lines = append(lines, line)
			}
		}
	}
	return lines, nil
}

func (h *Host) cgroupLines() ([]string, error) {
	var lines []string
	for _, d := range h.cgroups {
		for _, sub := range subdirs(d.dir) {
			lines = append(lines, d.mountpoint+strings.TrimPrefix(sub, d.dir))
		}
	}
	return lines, nil
}
