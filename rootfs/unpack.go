package rootfs

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxPath      = unix.PathMax - 1 // bytes in one path, without the final NUL
	maxComponent = 255              // bytes in one file name, NAME_MAX
)

// Limits bound what one archive may make. A zero field stands for its default.
type Limits struct {
	Entries int64 // files, directories and so on; default 5 million
	Bytes   int64 // of the uncompressed archive, and of all files; default 128 GiB
}

func (l Limits) orDefault() Limits {
	if l.Entries == 0 {
		l.Entries = 5_000_000
	}
	if l.Bytes == 0 {
		l.Bytes = 128 << 30
	}
	return l
}

// unpacker puts the entries of one archive below a directory.
type unpacker struct {
	root   int // handle of the directory
	limits Limits
	count  int64
	size   int64 // bytes in regular files so far
	buf    []byte

	// The parent directory of the last entry, as neighbours share theirs. It is
	// forgotten whenever something is removed, since it may be what is removed.
	parentName string
	parentFD   int

	dirs      map[string]dirMeta
	nameBytes int // of the keys of dirs
}

// maxNameBytes bounds what the names of directories take in memory: a small
// archive may name very many long ones.
const maxNameBytes = 64 << 20

// dirMeta is what a directory gets at the very end: filling it changes its
// modification time, and its mode may forbid filling it.
type dirMeta struct {
	mode  uint32
	mtime time.Time
}

// unpack reads an archive to its end and makes what it holds below root. It
// returns the number of bytes in regular files.
func unpack(root *os.File, tr *tar.Reader, limits Limits) (int64, error) {
	u := &unpacker{root: int(root.Fd()), limits: limits, parentFD: -1, dirs: map[string]dirMeta{}, buf: make([]byte, 256<<10)}
	defer u.forgetParent()
	for {
		hdr, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return u.size, u.finishDirs()
		}
		if errors.Is(err, tar.ErrHeader) && u.count == 0 {
			return 0, fmt.Errorf("not a tar archive: %w", err)
		}
		if err != nil {
			return 0, fmt.Errorf("reading archive after %d entries: %w", u.count, err)
		}
		if err := u.entry(hdr, tr); err != nil {
			return 0, fmt.Errorf("unpacking %q: %w", hdr.Name, err)
		}
	}
}

// entry checks one entry and hands it to the function for its kind.
func (u *unpacker) entry(hdr *tar.Header, body io.Reader) error {
	if hdr.Typeflag == tar.TypeXGlobalHeader {
		return nil // git archive writes one; it describes no file
	}
	if u.count++; u.count > u.limits.Entries {
		return fmt.Errorf("more than %d entries: %w", u.limits.Entries, ErrLimit)
	}
	name, err := insideName(hdr.Name)
	if err != nil {
		return err
	}
	if err := checkOwner(hdr); err != nil {
		return err
	}
	if name == "." {
		if hdr.Typeflag != tar.TypeDir {
			return fmt.Errorf("the root can only be a directory: %w", ErrUnsupported)
		}
		return u.dirMetadata(u.root, name, hdr)
	}
	parent, err := u.parent(path.Dir(name))
	if err != nil {
		return err
	}
	if base := path.Base(name); strings.HasPrefix(base, whiteoutPrefix) {
		return u.whiteout(parent, base)
	}
	return u.create(parent, name, hdr, body)
}

// insideName gives the cleaned relative form of a name in the archive. A
// leading slash means the layer's root, as in tar and Docker.
func insideName(name string) (string, error) {
	if len(name) > maxPath {
		return "", fmt.Errorf("name of %d bytes, at most %d are possible: %w", len(name), maxPath, ErrLimit)
	}
	clean := path.Clean(strings.TrimLeft(name, "/"))
	if name == "" {
		return "", fmt.Errorf("entry without a name: %w", ErrUnsupported)
	}
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return "", ErrEscapes
	}
	for part := range strings.SplitSeq(clean, "/") {
		if len(part) > maxComponent {
			return "", fmt.Errorf("file name of %d bytes, at most %d are possible: %w", len(part), maxComponent, ErrLimit)
		}
	}
	return clean, nil
}

func checkOwner(hdr *tar.Header) error {
	const maxID = 1<<32 - 2 // the last value means "no change" to chown(2)
	if hdr.Uid < 0 || hdr.Gid < 0 || int64(hdr.Uid) > maxID || int64(hdr.Gid) > maxID {
		return fmt.Errorf("owner %d:%d is out of range: %w", hdr.Uid, hdr.Gid, ErrUnsupported)
	}
	return nil
}

// parent gives a handle of the directory name, made with its own parents when
// the archive did not mention them. Links on the way are followed inside the
// layer, as they would be in the container.
func (u *unpacker) parent(name string) (int, error) {
	if u.parentFD >= 0 && u.parentName == name {
		return u.parentFD, nil
	}
	u.forgetParent()
	fd, err := u.openDir(name)
	if err == unix.ENOENT || err == unix.ENOTDIR {
		fd, err = u.makeParents(name)
	}
	if err != nil {
		return -1, fmt.Errorf("opening directory %q: %w", name, err)
	}
	if err := checkDepth(fd); err != nil {
		_ = unix.Close(fd) // an O_PATH handle: nothing can be lost
		return -1, err
	}
	u.parentName, u.parentFD = name, fd
	return fd, nil
}

func (u *unpacker) openDir(name string) (int, error) {
	return openat2(u.root, name, unix.O_PATH|unix.O_DIRECTORY, inRoot|unix.RESOLVE_NO_XDEV)
}

// makeParents walks down name and makes what is missing, with mode 0755.
func (u *unpacker) makeParents(name string) (int, error) {
	dir, err := u.openDir(".")
	if err != nil {
		return -1, err
	}
	for i := 1; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			continue
		}
		next, err := u.openDir(name[:i])
		if err == unix.ENOENT || err == unix.ENOTDIR {
			if err = u.mkdir(dir, path.Base(name[:i])); err == nil || err == unix.EEXIST {
				next, err = u.openDir(name[:i])
			}
		}
		_ = unix.Close(dir) // an O_PATH handle: nothing can be lost
		if err != nil {
			return -1, err
		}
		dir = next
	}
	return dir, nil
}

// checkDepth refuses directories that links made deeper than a path can name:
// nothing could remove them again. The link in /proc is cut off at PATH_MAX.
func checkDepth(fd int) error {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlink(fmt.Sprintf("/proc/thread-self/fd/%d", fd), buf)
	if err == unix.ENAMETOOLONG || err == nil && n >= maxPath-maxComponent {
		return fmt.Errorf("directory is nested too deeply: %w", ErrLimit)
	}
	return err
}

func (u *unpacker) forgetParent() {
	if u.parentFD >= 0 {
		_ = unix.Close(u.parentFD) // an O_PATH handle: nothing can be lost
	}
	u.parentName, u.parentFD = "", -1
}

// finishDirs sets the modes and times of directories, in the archive's order:
// of two entries for one directory the later counts.
func (u *unpacker) finishDirs() error {
	u.forgetParent()
	for name, d := range u.dirs {
		if err := u.finishDir(name, d); err != nil {
			return fmt.Errorf("finishing directory %q: %w", name, err)
		}
	}
	return nil
}

func (u *unpacker) finishDir(name string, d dirMeta) error {
	fd, err := openat2(u.root, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, inRoot|unix.RESOLVE_NO_XDEV)
	if err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP {
		return nil // a later entry took its place
	}
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if err := unix.Fchmod(fd, d.mode); err != nil {
		return err
	}
	return setTimes(fd, ".", d.mtime)
}
