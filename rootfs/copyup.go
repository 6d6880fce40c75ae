package rootfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// copyMark is set on a directory while it is filled, so that a half-made copy
// is told from what a container wrote.
const copyMark = "trusted.mini.copyup"

// CopyUp fills the empty directory dst with what an image has at path, as
// Docker fills a new volume. The layers are given topmost first. Links in path
// are followed inside the image only; links below it are copied as links.
//
// It does nothing when dst is not empty or the image has no such path. A copy
// that was killed is begun anew. Two names of one file become two files.
func CopyUp(layers []string, path string, dst string) error {
	root, err := openMerged(layers)
	if err != nil {
		return err
	}
	src, err := walk(root, path)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding %s in the image: %w", path, err)
	}
	defer src.Close()
	dir, err := os.Open(dst)
	if err != nil {
		return fmt.Errorf("opening volume: %w", err)
	}
	// Two containers may start with the same new volume: the second one waits.
	if err := flock(dir, unix.LOCK_EX); err != nil {
		return errors.Join(fmt.Errorf("locking volume %s: %w", dst, err), dir.Close())
	}
	err = fill(dir, src)
	if err := errors.Join(err, dir.Close()); err != nil {
		return fmt.Errorf("copying %s of the image to %s: %w", path, dst, err)
	}
	return nil
}

// fill copies src into dst if that is empty or a copy was left unfinished.
func fill(dst *os.File, src merged) error {
	fd := int(dst.Fd())
	names, err := dst.Readdirnames(-1)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	_, markErr := unix.Fgetxattr(fd, copyMark, nil)
	if len(names) > 0 && markErr != nil {
		return nil
	}
	for _, name := range names {
		if err := removeAllAt(fd, name); err != nil {
			return err
		}
	}
	err = unix.Fsetxattr(fd, copyMark, nil, 0)
	if err != nil && err != unix.ENOTSUP { // without marks a killed copy stays as it is
		return fmt.Errorf("marking directory: %w", err)
	}
	if err := copyDir(dst, src); err != nil {
		return err
	}
	err = unix.Fremovexattr(fd, copyMark)
	if err != nil && err != unix.ENOTSUP {
		return fmt.Errorf("removing mark: %w", err)
	}
	return nil
}

// copyDir copies what src holds, then src's own attributes.
func copyDir(dst *os.File, src merged) error {
	names, err := src.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		o, err := src.lookup(name)
		if err == unix.ENOENT {
			continue // hidden by a whiteout
		}
		if err == nil {
			err = copyObject(dst, o)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(src[0].Fd()), &st); err != nil {
		return err
	}
	return copyAttributes(dst, src[0], &st)
}

func copyObject(dst *os.File, o *object) error {
	defer o.dirs.Close()
	fd := int(dst.Fd())
	switch o.stat.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		if err := unix.Mkdirat(fd, o.name, 0o700); err != nil {
			return err
		}
		child, err := openDirAt(dst, o.name)
		if err != nil {
			return err
		}
		return errors.Join(copyDir(child, o.dirs), child.Close())
	case unix.S_IFREG:
		return copyFile(dst, o)
	case unix.S_IFLNK:
		target, err := readlinkAt(o.layer, o.name)
		if err != nil {
			return err
		}
		if err := unix.Symlinkat(target, fd, o.name); err != nil {
			return err
		}
		return copyNodeAttributes(dst, o)
	}
	if err := unix.Mknodat(fd, o.name, o.stat.Mode&unix.S_IFMT|0o600, int(o.stat.Rdev)); err != nil {
		return err
	}
	return copyNodeAttributes(dst, o)
}

func copyFile(dst *os.File, o *object) error {
	in, err := unix.Openat(int(o.layer.Fd()), o.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	src := os.NewFile(uintptr(in), o.name)
	defer src.Close()
	out, err := unix.Openat(int(dst.Fd()), o.name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(out), o.name)
	_, err = io.Copy(f, src)
	if err == nil {
		err = copyAttributes(f, src, &o.stat)
	}
	return errors.Join(err, f.Close())
}

// copyAttributes copies owner, mode, attributes and times of an open file. The
// owner comes first: changing it clears other things.
func copyAttributes(dst, src *os.File, st *unix.Stat_t) error {
	fd := int(dst.Fd())
	if err := unix.Fchown(fd, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, st.Mode&0o7777); err != nil {
		return err
	}
	if err := copyXattrs(fd, int(src.Fd())); err != nil {
		return err
	}
	mtime := unix.NsecToTimeval(time.Unix(st.Mtim.Unix()).UnixNano())
	return unix.Futimes(fd, []unix.Timeval{mtime, mtime})
}

// copyNodeAttributes is for what cannot be opened. Its mode is set through a
// handle, as chmod by name would follow a link that took its place.
func copyNodeAttributes(dst *os.File, o *object) error {
	dir := int(dst.Fd())
	if err := unix.Fchownat(dir, o.name, int(o.stat.Uid), int(o.stat.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if !o.is(unix.S_IFLNK) {
		fd, err := unix.Openat(dir, o.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Chmod("/proc/thread-self/fd/"+strconv.Itoa(fd), o.stat.Mode&0o7777); err != nil {
			return err
		}
	}
	return setTimes(dir, o.name, time.Unix(o.stat.Mtim.Unix()))
}

func copyXattrs(dst, src int) error {
	size, err := unix.Flistxattr(src, nil)
	if err == unix.ENOTSUP || err == nil && size == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	list := make([]byte, size)
	if size, err = unix.Flistxattr(src, list); err != nil {
		return err
	}
	records := map[string]string{}
	for name := range strings.SplitSeq(string(list[:size]), "\x00") {
		if !allowedXattr(name) {
			continue
		}
		value := make([]byte, 64<<10) // XATTR_SIZE_MAX
		n, err := unix.Fgetxattr(src, name, value)
		if err != nil {
			return err
		}
		records[paxXattr+name] = string(value[:n])
	}
	return setXattrs(dst, records)
}
