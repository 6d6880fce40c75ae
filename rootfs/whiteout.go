package rootfs

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// whiteout turns an OCI whiteout into overlayfs's: a character device 0:0 in
// place of what is gone, or an attribute on a directory that hides all below it.
// See the image-spec's layer.md.
func (u *unpacker) whiteout(parent int, base string) error {
	if base == whiteoutOpaque {
		return u.setOpaque(parent, ".")
	}
	name := strings.TrimPrefix(base, whiteoutPrefix)
	if strings.HasPrefix(name, whiteoutPrefix) {
		return nil // aufs kept its own notes under such names; they are no files
	}
	if name == "" || name == "." || name == ".." {
		return fmt.Errorf("whiteout without a name: %w", ErrUnsupported)
	}
	err := unix.Mknodat(parent, name, unix.S_IFCHR, 0)
	if err == unix.EEXIST && isDirAt(parent, name) {
		// A whiteout is about lower layers, so what this layer made stays.
		return u.setOpaque(parent, name)
	}
	if err != nil && err != unix.EEXIST {
		return fmt.Errorf("making whiteout: %w", err)
	}
	return nil
}

func (u *unpacker) setOpaque(parent int, name string) error {
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening opaque directory: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if err := unix.Fsetxattr(fd, overlayOpaque, []byte("y"), 0); err != nil {
		return fmt.Errorf("marking directory as opaque: %w", err)
	}
	return nil
}

func isDirAt(dir int, name string) bool {
	var st unix.Stat_t
	err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

func isWhiteoutAt(dir int, name string) bool {
	var st unix.Stat_t
	err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && isWhiteout(&st)
}

func isWhiteout(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// isOpaque tells whether an open directory hides those of the lower layers.
func isOpaque(fd int) bool {
	var value [1]byte
	n, err := unix.Fgetxattr(fd, overlayOpaque, value[:])
	return err == nil && n == 1 && value[0] == 'y'
}
