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
	whiteoutPrefix = ".wh."
	whiteoutOpaque = ".wh..wh..opq"
	// overlayOpaque marks a directory that hides those below it. See
	// "whiteouts and opaque directories" in the kernel's overlayfs document.
	overlayOpaque = "trusted.overlay.opaque"
	paxXattr      = "SCHILY.xattr."
)

// create makes one object named name, with parent the handle of its directory.
func (u *unpacker) create(parent int, name string, hdr *tar.Header, body io.Reader) error {
	base := path.Base(name)
	switch hdr.Typeflag {
	case tar.TypeDir:
		return u.directory(parent, name, hdr)
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		return u.file(parent, base, hdr, body)
	case tar.TypeLink:
		return u.hardLink(parent, base, hdr)
	case tar.TypeSymlink:
		err := u.replacing(parent, base, func() error { return unix.Symlinkat(hdr.Linkname, parent, base) })
		if err != nil {
			return fmt.Errorf("making symbolic link: %w", err)
		}
		return metadata(parent, base, hdr)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return u.node(parent, base, hdr)
	}
	return fmt.Errorf("entry of type %q: %w", hdr.Typeflag, ErrUnsupported)
}

// replacing calls do, which makes name; if something has that name already it
// is removed first: the later entry counts.
func (u *unpacker) replacing(parent int, name string, do func() error) error {
	err := do()
	if err != unix.EEXIST {
		return err
	}
	if err := removeAllAt(parent, name); err != nil {
		return err
	}
	// What was remembered for later entries may just have gone. The handle in
	// use stays open until the next entry.
	u.parentName = ""
	return do()
}

// mkdir makes a directory. Where this layer says that the lower layers' object
// of that name is gone, the new directory hides them.
func (u *unpacker) mkdir(parent int, name string) error {
	err := unix.Mkdirat(parent, name, 0o755)
	if err != unix.EEXIST || !isWhiteoutAt(parent, name) {
		return err
	}
	if err := unix.Unlinkat(parent, name, 0); err != nil {
		return err
	}
	if err := unix.Mkdirat(parent, name, 0o755); err != nil {
		return err
	}
	return u.setOpaque(parent, name)
}

func (u *unpacker) directory(parent int, name string, hdr *tar.Header) error {
	base := path.Base(name)
	err := u.mkdir(parent, base)
	if err == unix.EEXIST && !isDirAt(parent, base) {
		err = u.replacing(parent, base, func() error { return unix.Mkdirat(parent, base, 0o755) })
	}
	if err != nil && err != unix.EEXIST {
		return fmt.Errorf("making directory: %w", err)
	}
	fd, err := unix.Openat(parent, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening directory: %w", err)
	}
	f := os.NewFile(uintptr(fd), base)
	defer f.Close()
	return u.dirMetadata(fd, name, hdr)
}

func (u *unpacker) dirMetadata(fd int, name string, hdr *tar.Header) error {
	if err := unix.Fchown(fd, hdr.Uid, hdr.Gid); err != nil {
		return fmt.Errorf("setting owner: %w", err)
	}
	if err := setXattrs(fd, hdr.PAXRecords); err != nil {
		return err
	}
	if _, ok := u.dirs[name]; !ok {
		u.nameBytes += len(name)
	}
	if u.nameBytes > maxNameBytes {
		return fmt.Errorf("directories whose names take more than %d bytes in all: %w", maxNameBytes, ErrLimit)
	}
	u.dirs[name] = dirMeta{mode: mode(hdr), mtime: hdr.ModTime}
	return nil
}

func (u *unpacker) file(parent int, base string, hdr *tar.Header, body io.Reader) error {
	if hdr.Size > u.limits.Bytes-u.size {
		return fmt.Errorf("files of more than %d bytes in all: %w", u.limits.Bytes, ErrLimit)
	}
	var fd int
	err := u.replacing(parent, base, func() (err error) {
		const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
		fd, err = unix.Openat(parent, base, flags, 0o600)
		return err
	})
	if err != nil {
		return fmt.Errorf("making file: %w", err)
	}
	f := os.NewFile(uintptr(fd), base)
	// Only Write is offered: a file's ReadFrom would pass over our buffer for a small one.
	n, err := io.CopyBuffer(struct{ io.Writer }{f}, body, u.buf)
	u.size += n
	if err == nil {
		err = fileMetadata(fd, hdr)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return setTimes(parent, base, hdr.ModTime)
}

// fileMetadata sets the owner first: chown(2) clears set-user-ID bits and
// file capabilities.
func fileMetadata(fd int, hdr *tar.Header) error {
	if err := unix.Fchown(fd, hdr.Uid, hdr.Gid); err != nil {
		return fmt.Errorf("setting owner: %w", err)
	}
	if err := unix.Fchmod(fd, mode(hdr)); err != nil {
		return fmt.Errorf("setting mode: %w", err)
	}
	return setXattrs(fd, hdr.PAXRecords)
}

// hardLink gives a second name to a file that is in the layer already.
func (u *unpacker) hardLink(parent int, base string, hdr *tar.Header) error {
	target, err := insideName(hdr.Linkname)
	if err != nil {
		return fmt.Errorf("hard link to %q: %w", hdr.Linkname, err)
	}
	dir, err := u.openDir(path.Dir(target))
	if err != nil {
		return fmt.Errorf("hard link to %q: %w", hdr.Linkname, err)
	}
	defer unix.Close(dir)
	if same, err := sameObject(dir, path.Base(target), parent, base); same || err != nil {
		return err // replacing it by a link to itself would lose it
	}
	// Without AT_SYMLINK_FOLLOW a link is linked to, not what it names.
	err = u.replacing(parent, base, func() error { return unix.Linkat(dir, path.Base(target), parent, base, 0) })
	if err != nil {
		return fmt.Errorf("hard link to %q: %w", hdr.Linkname, err)
	}
	return nil
}

func sameObject(dirA int, a string, dirB int, b string) (bool, error) {
	var sa, sb unix.Stat_t
	if err := unix.Fstatat(dirA, a, &sa, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, fmt.Errorf("looking at hard link's target: %w", err)
	}
	if err := unix.Fstatat(dirB, b, &sb, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, nil // nothing there yet
	}
	return sa.Dev == sb.Dev && sa.Ino == sb.Ino, nil
}

// node makes a device or a FIFO.
func (u *unpacker) node(parent int, base string, hdr *tar.Header) error {
	kind := map[byte]uint32{tar.TypeChar: unix.S_IFCHR, tar.TypeBlock: unix.S_IFBLK, tar.TypeFifo: unix.S_IFIFO}[hdr.Typeflag]
	if hdr.Devmajor < 0 || hdr.Devmajor > 0xfff || hdr.Devminor < 0 || hdr.Devminor > 0xfffff {
		return fmt.Errorf("device number %d:%d is out of range: %w", hdr.Devmajor, hdr.Devminor, ErrUnsupported)
	}
	dev := unix.Mkdev(uint32(hdr.Devmajor), uint32(hdr.Devminor))
	err := u.replacing(parent, base, func() error { return unix.Mknodat(parent, base, kind|0o600, int(dev)) })
	if err != nil {
		return fmt.Errorf("making device or fifo: %w", err)
	}
	return metadata(parent, base, hdr)
}

// metadata is for what is not opened: links, devices, FIFOs.
func metadata(parent int, base string, hdr *tar.Header) error {
	if err := unix.Fchownat(parent, base, hdr.Uid, hdr.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("setting owner: %w", err)
	}
	if hdr.Typeflag != tar.TypeSymlink {
		if err := unix.Fchmodat(parent, base, mode(hdr), 0); err != nil {
			return fmt.Errorf("setting mode: %w", err)
		}
	}
	return setTimes(parent, base, hdr.ModTime)
}

func mode(hdr *tar.Header) uint32 { return uint32(hdr.Mode) & 0o7777 }

func setTimes(dir int, name string, t time.Time) error {
	ts, err := unix.TimeToTimespec(t)
	if err == nil {
		err = unix.UtimesNanoAt(dir, name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		return fmt.Errorf("setting time: %w", err)
	}
	return nil
}

// setXattrs sets those extended attributes that an image may carry.
func setXattrs(fd int, records map[string]string) error {
	for key, value := range records {
		name, ok := strings.CutPrefix(key, paxXattr)
		if !ok || !allowedXattr(name) {
			continue
		}
		err := unix.Fsetxattr(fd, name, []byte(value), 0)
		if err == unix.ENOTSUP && strings.HasPrefix(name, "user.") {
			continue // a note of the user's own: not every file system keeps it
		}
		if err != nil {
			return fmt.Errorf("setting attribute %s: %w", name, err)
		}
	}
	return nil
}

// allowedXattr keeps file capabilities and the user's own attributes. Nothing
// that steers overlayfs, a security module or ACLs comes from an image.
func allowedXattr(name string) bool {
	return name == "security.capability" ||
		strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "user.overlay.")
}
