package rootfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// inRoot makes the kernel resolve a path as if root were "/": neither "..", an
// absolute link nor a link of /proc leads out of it. See openat2(2).
const inRoot = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS

// openat2 opens path below root. The kernel answers EAGAIN when it cannot rule
// out that a rename elsewhere moved a ".." out of root; it wants a retry.
func openat2(root int, path string, flags uint64, resolve uint64) (int, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: resolve}
	for try := 0; ; try++ {
		fd, err := unix.Openat2(root, path, &how)
		switch {
		case err == nil:
			return fd, nil
		case err == unix.EINTR, err == unix.EAGAIN && try < 128:
			continue
		case err == unix.ENOSYS:
			return -1, fmt.Errorf("openat2 (Linux 5.6 or later): %w", err)
		}
		return -1, err
	}
}

// OpenInRoot opens the regular file or directory at path for reading, with root
// taken as "/": no symbolic link, however crafted, leads out of it. Anything
// else at path, such as a device or a FIFO, is not opened, as opening alone can
// block or have effects: the error is [ErrNotPlainFile].
//
// The runtime reads a container's /etc/passwd with it, root being a handle of
// /proc/PID/root. The host's /proc must be mounted.
func OpenInRoot(root *os.File, path string) (*os.File, error) {
	fd, err := openat2(int(root.Fd()), path, unix.O_PATH, inRoot)
	if err != nil {
		return nil, &os.PathError{Op: "open in " + root.Name(), Path: path, Err: err}
	}
	handle := os.NewFile(uintptr(fd), path)
	f, err := reopen(handle)
	// An O_PATH handle has nothing to flush, so closing it has nothing to report.
	_ = handle.Close()
	if err != nil {
		return nil, &os.PathError{Op: "open in " + root.Name(), Path: path, Err: err}
	}
	return f, nil
}

// reopen turns a handle that only names a file into one that reads it. The file
// was looked at through the handle, so it cannot be swapped in between.
func reopen(handle *os.File) (*os.File, error) {
	fd := int(handle.Fd())
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if t := st.Mode & unix.S_IFMT; t != unix.S_IFREG && t != unix.S_IFDIR {
		return nil, ErrNotPlainFile
	}
	link := "/proc/thread-self/fd/" + strconv.Itoa(fd)
	nfd, err := unix.Open(link, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(nfd), handle.Name()), nil
}

// removeAllAt removes name and all below it. Links are removed, not followed.
func removeAllAt(dir int, name string) error {
	err := unix.Unlinkat(dir, name, 0)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	if err != unix.EISDIR && err != unix.EPERM {
		return err
	}
	names, fd, err := listAt(dir, name)
	if err != nil {
		return err
	}
	defer fd.Close()
	for _, child := range names {
		if err := removeAllAt(int(fd.Fd()), child); err != nil {
			return err
		}
	}
	return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
}

// listAt opens the directory name, which must not be a link, and lists it.
func listAt(dir int, name string) ([]string, *os.File, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	names, err := f.Readdirnames(-1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, errors.Join(err, f.Close())
	}
	return names, f, nil
}
