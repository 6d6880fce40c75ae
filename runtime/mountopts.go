package runtime

import (
	"strings"

	"golang.org/x/sys/unix"
)

// mountOptions are the options of an OCI mount, sorted by who wants them.
type mountOptions struct {
	flags       uintptr // MS_* of mount(2)
	propagation uintptr // MS_PRIVATE, … possibly with MS_REC
	data        string  // what the filesystem itself parses
}

var mountFlags = map[string]struct {
	flag  uintptr
	clear bool
}{
	"ro": {flag: unix.MS_RDONLY}, "rw": {flag: unix.MS_RDONLY, clear: true},
	"nosuid": {flag: unix.MS_NOSUID}, "suid": {flag: unix.MS_NOSUID, clear: true},
	"nodev": {flag: unix.MS_NODEV}, "dev": {flag: unix.MS_NODEV, clear: true},
	"noexec": {flag: unix.MS_NOEXEC}, "exec": {flag: unix.MS_NOEXEC, clear: true},
	"noatime": {flag: unix.MS_NOATIME}, "atime": {flag: unix.MS_NOATIME, clear: true},
	"nodiratime": {flag: unix.MS_NODIRATIME}, "relatime": {flag: unix.MS_RELATIME},
	"strictatime": {flag: unix.MS_STRICTATIME}, "sync": {flag: unix.MS_SYNCHRONOUS},
	"bind": {flag: unix.MS_BIND}, "rbind": {flag: unix.MS_BIND | unix.MS_REC},
	"defaults": {},
}

var propagations = map[string]uintptr{
	"private": unix.MS_PRIVATE, "rprivate": unix.MS_PRIVATE | unix.MS_REC,
	"slave": unix.MS_SLAVE, "rslave": unix.MS_SLAVE | unix.MS_REC,
	"shared": unix.MS_SHARED, "rshared": unix.MS_SHARED | unix.MS_REC,
}

// parseMountOptions sorts the options of runtime-spec's config.md, "Mounts".
// What it does not know is the filesystem's.
func parseMountOptions(options []string) mountOptions {
	var out mountOptions
	var data []string
	for _, o := range options {
		if f, ok := mountFlags[o]; ok {
			if f.clear {
				out.flags &^= f.flag
			} else {
				out.flags |= f.flag
			}
		} else if p, ok := propagations[o]; ok {
			out.propagation = p
		} else {
			data = append(data, o)
		}
	}
	out.data = strings.Join(data, ",")
	return out
}

// attrs gives the MOUNT_ATTR_* of mount_setattr(2) and fsmount(2) that stand
// for the flags.
func (o mountOptions) attrs() uint64 {
	var attrs uint64
	for flag, attr := range map[uintptr]uint64{
		unix.MS_RDONLY: unix.MOUNT_ATTR_RDONLY, unix.MS_NOSUID: unix.MOUNT_ATTR_NOSUID,
		unix.MS_NODEV: unix.MOUNT_ATTR_NODEV, unix.MS_NOEXEC: unix.MOUNT_ATTR_NOEXEC,
	} {
		if o.flags&flag != 0 {
			attrs |= attr
		}
	}
	return attrs
}
