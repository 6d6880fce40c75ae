package rootfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// merged is one directory as overlayfs would show it: the directories of that
// name in the layers, topmost first, down to one that is opaque.
type merged []*os.File

// object is what a merged directory holds under a name.
type object struct {
	stat  unix.Stat_t
	layer *os.File // the directory that holds it
	name  string
	dirs  merged // open, when it is a directory
}

func (o *object) is(kind uint32) bool { return o.stat.Mode&unix.S_IFMT == kind }

func (m merged) Close() {
	for _, f := range m {
		_ = f.Close() // opened for reading: nothing can be lost
	}
}

// openMerged opens the roots of the layers.
func openMerged(layers []string) (merged, error) {
	var m merged
	for _, dir := range layers {
		f, err := os.Open(dir)
		if err != nil {
			m.Close()
			return nil, fmt.Errorf("opening layer: %w", err)
		}
		m = append(m, f)
		if isOpaque(int(f.Fd())) {
			break
		}
	}
	return m, nil
}

// lookup finds name, which has no slash. Links are not followed. It gives
// ENOENT for what no layer has and for what a whiteout hides.
func (m merged) lookup(name string) (*object, error) {
	var o *object
	for _, layer := range m {
		var st unix.Stat_t
		err := unix.Fstatat(int(layer.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == unix.ENOENT {
			continue
		}
		if err != nil {
			return o.orClose(err)
		}
		isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
		if isWhiteout(&st) || o != nil && !isDir {
			break
		}
		if o == nil {
			o = &object{stat: st, layer: layer, name: name}
		}
		if !isDir {
			break
		}
		dir, err := openDirAt(layer, name)
		if err != nil {
			return o.orClose(err)
		}
		o.dirs = append(o.dirs, dir)
		if isOpaque(int(dir.Fd())) {
			break
		}
	}
	if o == nil {
		return nil, unix.ENOENT
	}
	return o, nil
}

func (o *object) orClose(err error) (*object, error) {
	if o != nil {
		o.dirs.Close()
	}
	return nil, err
}

func openDirAt(parent *os.File, name string) (*os.File, error) {
	fd, err := unix.Openat(int(parent.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// names lists the directory, sorted, with names that a whiteout may hide.
func (m merged) names() ([]string, error) {
	var all []string
	for _, dir := range m {
		names, err := dir.Readdirnames(-1)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		all = append(all, names...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// walker resolves a path step by step, as a process in the container would,
// without ever handing the kernel more than one component.
type walker struct {
	dirs  []merged // from the root to where we are
	links int      // links followed so far
}

// maxLinks is what Linux follows in one path. See path_resolution(7).
const maxLinks = 40

// walk resolves path below root and gives the directory there. It consumes root.
func walk(root merged, path string) (merged, error) {
	w := walker{dirs: []merged{root}}
	rest := strings.Split(path, "/")
	for len(rest) > 0 {
		target, err := w.step(rest[0])
		if err != nil {
			w.pop(0)
			return nil, err
		}
		rest = rest[1:]
		if target != "" {
			rest = append(strings.Split(target, "/"), rest...)
		}
	}
	last := w.dirs[len(w.dirs)-1]
	w.dirs = w.dirs[:len(w.dirs)-1]
	w.pop(0)
	return last, nil
}

// pop goes up until n directories are left.
func (w *walker) pop(n int) {
	for len(w.dirs) > n {
		w.dirs[len(w.dirs)-1].Close()
		w.dirs = w.dirs[:len(w.dirs)-1]
	}
}

// step takes one component. For a link it gives what the link says.
func (w *walker) step(name string) (target string, err error) {
	switch name {
	case "", ".":
		return "", nil
	case "..":
		w.pop(max(1, len(w.dirs)-1)) // the root's parent is the root
		return "", nil
	}
	o, err := w.dirs[len(w.dirs)-1].lookup(name)
	if err != nil {
		return "", err
	}
	if o.is(unix.S_IFDIR) {
		w.dirs = append(w.dirs, o.dirs)
		return "", nil
	}
	if !o.is(unix.S_IFLNK) {
		return "", unix.ENOTDIR
	}
	if w.links++; w.links > maxLinks {
		return "", unix.ELOOP
	}
	target, err = readlinkAt(o.layer, o.name)
	if err == nil && strings.HasPrefix(target, "/") {
		w.pop(1)
	}
	return target, err
}

func readlinkAt(dir *os.File, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(dir.Fd()), name, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}
