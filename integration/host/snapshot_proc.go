package host

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func openThreadMountinfo() (*os.File, error) { return os.Open("/proc/thread-self/mountinfo") }

// process is a process found in /proc.
type process struct {
	pid, parent int
	cmdline     string
}

func (p process) String() string { return fmt.Sprintf("%d %s", p.pid, p.cmdline) }

func (h *Host) processLines() ([]string, error) {
	procs, err := h.processes()
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, p := range procs {
		lines = append(lines, p.String())
	}
	return lines, nil
}

// processes lists those that belong to the host: they are in one of its
// namespaces or cgroups, their environment or mounts show its directory (a
// container's overlay does), or their parent belongs to it.
func (h *Host) processes() ([]process, error) {
	spaces, err := h.namespaceIDs()
	if err != nil {
		return nil, err
	}
	dirs, err := filepath.Glob("/proc/[1-9]*")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	members := h.cgroupMembers()
	var ours, others []process
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		p := process{pid: pid}
		// All errors below mean that the process has ended.
		if !p.read(dir) {
			continue
		}
		if members[pid] || h.owns(dir, spaces) {
			ours = append(ours, p)
		} else {
			others = append(others, p)
		}
	}
	return addChildren(ours, others), nil
}

// read fills in the parent and the command line. It returns false for a
// process that is gone, and for a zombie: a zombie of the test's own children
// is a matter of moments, any other is named as long as it has a cgroup.
func (p *process) read(dir string) bool {
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return false
	}
	name, rest, ok := bytes.Cut(stat, []byte(") "))
	fields := strings.Fields(string(rest))
	if !ok || len(fields) < 2 || fields[0] == "Z" || fields[0] == "X" {
		return false
	}
	if p.parent, err = strconv.Atoi(fields[1]); err != nil {
		return false
	}
	cmdline, err := os.ReadFile(dir + "/cmdline")
	if err != nil {
		return false
	}
	p.cmdline = strings.TrimSpace(string(bytes.ReplaceAll(cmdline, []byte{0}, []byte(" "))))
	if p.cmdline == "" {
		_, after, _ := bytes.Cut(name, []byte("("))
		p.cmdline = "(" + string(after) + ")"
	}
	return true
}

func (h *Host) owns(dir string, spaces []uint64) bool {
	for _, ns := range []string{"net", "mnt", "uts"} {
		if id, err := inode(dir + "/ns/" + ns); err == nil && slices.Contains(spaces, id) {
			return true
		}
	}
	for _, file := range []string{"/environ", "/cmdline", "/mountinfo"} {
		text, err := os.ReadFile(dir + file)
		// Followed by a space when it is a mount point.
		if err == nil && (bytes.Contains(text, []byte(h.Dir+"/")) || bytes.Contains(text, []byte(h.Dir+" "))) {
			return true
		}
	}
	return false
}

// namespaceIDs are the inode numbers of the host's namespaces. All live in one
// file system, nsfs.
func (h *Host) namespaceIDs() ([]uint64, error) {
	var ids []uint64
	for _, f := range []*os.File{h.inside.net, h.inside.mnt, h.inside.uts, h.outside.net} {
		if f == nil {
			continue
		}
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil {
			return nil, fmt.Errorf("identifying a namespace: %w", err)
		}
		ids = append(ids, st.Ino)
	}
	return ids, nil
}

func inode(path string) (uint64, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	return st.Ino, err
}

func (h *Host) cgroupMembers() map[int]bool {
	members := map[int]bool{}
	for _, d := range h.cgroups {
		for _, dir := range append(subdirs(d.dir), d.dir) {
			// A cgroup that is gone has no members.
			text, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			for _, field := range strings.Fields(string(text)) {
				if pid, err := strconv.Atoi(field); err == nil {
					members[pid] = true
				}
			}
		}
	}
	return members
}

// addChildren moves the descendants of ours over from others.
func addChildren(ours, others []process) []process {
	for i := 0; i < len(ours); i++ {
		for _, p := range others {
			if p.parent == ours[i].pid {
				ours = append(ours, p)
			}
		}
	}
	return ours
}
