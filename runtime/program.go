package runtime

import (
	"fmt"
	"path"
	"strings"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/runtime/nsinit"
)

// initPlan is what the init's program is made from, besides the spec.
type initPlan struct {
	spec *specs.Spec
	// rootfs is the absolute path where the root is mounted.
	rootfs string
	// overlay is the data of the overlay mount; empty: bind is the root.
	overlay string
	bind    string
	// binds are detached copies of the sources of bind mounts, by index in
	// spec.Mounts (open_tree(2) with OPEN_TREE_CLONE).
	binds map[int]bindSource
	// netns is a network namespace to join, or -1.
	netns int
	// limitsFirst makes the init pause at once, until it is in its v1 cgroups:
	// they must be those that its cgroup namespace begins at.
	limitsFirst bool
}

// bindSource is a detached mount that waits for its place in the container.
type bindSource struct {
	fd  int
	dir bool // a directory; otherwise the place is a file
}

// Registers of the init's program.
const (
	regPlace nsinit.Reg = iota // directory or file that is mounted on
	regMount                   // a new, detached mount
	regTTY
)

// atFDCWD is AT_FDCWD as an argument of a raw system call.
const atFDCWD = ^uintptr(99)

var exists = nsinit.Tolerate{unix.EEXIST}

// firstHalf records what the init does while its network is being built: make
// the container's root out of nothing and move into it.
func (ip *initPlan) firstHalf(p *nsinit.Program) {
	hide(p)
	dieWithMonitor(p)
	p.Call("clear the umask", nil, unix.SYS_UMASK, 0)
	if ip.netns >= 0 {
		p.Call("join the network namespace", nil, unix.SYS_SETNS, ip.netns, unix.CLONE_NEWNET)
	}
	if ip.spec.Hostname != "" {
		p.Call("set hostname "+ip.spec.Hostname, nil, unix.SYS_SETHOSTNAME, ip.spec.Hostname, len(ip.spec.Hostname))
	}
	if ip.spec.Domainname != "" {
		p.Call("set domainname "+ip.spec.Domainname, nil, unix.SYS_SETDOMAINNAME, ip.spec.Domainname, len(ip.spec.Domainname))
	}
	if ip.limitsFirst {
		p.Pause()
	}
	// Without its own cgroup namespace the container would see, in
	// /proc/self/cgroup and in /sys/fs/cgroup, where it stands on the host.
	p.Call("unshare the cgroup namespace", nil, unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP)
	ip.enterRoot(p)
	for i, m := range ip.spec.Mounts {
		ip.mount(p, i, m)
	}
	for _, path := range ip.spec.Linux.ReadonlyPaths {
		makeReadonly(p, path)
	}
	for _, path := range ip.spec.Linux.MaskedPaths {
		mask(p, path)
	}
	if ip.spec.Process.Terminal {
		openTerminal(p)
	}
	p.Pause()
}

// enterRoot mounts the root inside the new mount namespace, where a crash
// cannot leave it behind, and makes it / (pivot_root(2), "pivot_root(".", ".")").
func (ip *initPlan) enterRoot(p *nsinit.Program) {
	mount(p, "make all mounts private", "", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if ip.overlay != "" {
		mount(p, "mount overlay ("+ip.overlay+") on "+ip.rootfs, "overlay", ip.rootfs, "overlay", 0, ip.overlay)
	} else {
		mount(p, "bind "+ip.bind+" on "+ip.rootfs, ip.bind, ip.rootfs, "", unix.MS_BIND|unix.MS_REC, "")
	}
	p.Call("chdir to "+ip.rootfs, nil, unix.SYS_CHDIR, ip.rootfs)
	p.Call("pivot_root to "+ip.rootfs, nil, unix.SYS_PIVOT_ROOT, ".", ".")
	p.Call("unmount the old root", nil, unix.SYS_UMOUNT2, ".", unix.MNT_DETACH)
	p.Call("chdir to the new root", nil, unix.SYS_CHDIR, "/")
}

// mount records mount(2); tolerate lists errors that do not matter.
func mount(p *nsinit.Program, name, source, target, fstype string, flags uintptr, data string, tolerate ...unix.Errno) {
	p.Call(name, tolerate, unix.SYS_MOUNT, source, target, fstype, flags, data)
}

// mount records one mount of the spec.
func (ip *initPlan) mount(p *nsinit.Program, i int, m specs.Mount) {
	opt := parseMountOptions(m.Options)
	name := fmt.Sprintf("mount %s (%s) on %s", m.Type, m.Source, m.Destination)
	switch {
	case m.Type == "bind":
		ip.attach(p, m.Destination, ip.binds[i])
		return
	case m.Type == "proc" || m.Type == "sysfs":
		mountNew(p, name, m, opt, placeNoLink)
		return
	case m.Type == "tmpfs" && !below(m.Destination, "/dev"):
		mountNew(p, name, m, opt, func(p *nsinit.Program, target string) { makePlace(p, target, true) })
		return
	case m.Type == "cgroup":
		m.Type, m.Source = "cgroup2", "cgroup"
	default:
		p.Call("make directory "+m.Destination, exists, unix.SYS_MKDIR, m.Destination, 0o755)
	}
	mount(p, name, m.Source, m.Destination, m.Type, opt.flags, opt.data)
	if m.Destination == "/dev" {
		populateDev(p)
	}
}

// below tells whether a clean path is dir or inside it.
func below(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// placeNoLink opens a mount point that must be a directory and no link. An
// image, or another container on the same root, could otherwise lead /proc
// somewhere else, and what should be masked there stays bare (CVE-2019-19921).
func placeNoLink(p *nsinit.Program, target string) {
	p.Call("make directory "+target, exists, unix.SYS_MKDIR, target, 0o555)
	p.CallTo(regPlace, "open "+target+", which must be a directory and no link", nil, unix.SYS_OPENAT,
		atFDCWD, target, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// devNodes are the device nodes every container has, by runtime-spec's
// config-linux.md, "Default Devices".
var devNodes = []struct {
	name         string
	major, minor uint32
}{
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
}

var devLinks = [][2]string{
	{"/proc/self/fd", "/dev/fd"}, {"/proc/self/fd/0", "/dev/stdin"}, {"/proc/self/fd/1", "/dev/stdout"},
	{"/proc/self/fd/2", "/dev/stderr"}, {"pts/ptmx", "/dev/ptmx"}, {"/proc/kcore", "/dev/core"},
}

func populateDev(p *nsinit.Program) {
	for _, n := range devNodes {
		p.Call("make device /dev/"+n.name, nil, unix.SYS_MKNOD, "/dev/"+n.name, unix.S_IFCHR|0o666, unix.Mkdev(n.major, n.minor))
	}
	for _, l := range devLinks {
		p.Call("link "+l[1], nil, unix.SYS_SYMLINK, l[0], l[1])
	}
}

// openHow is struct open_how of openat2(2).
func openHow(flags, mode, resolve uint64) []byte {
	how := [3]uint64{flags, mode, resolve}
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(&how[0])), int(unsafe.Sizeof(how)))...)
}

// openPlace records an openat2(2) inside the container's root. Magic links
// (/proc/PID/fd/N) are refused: an image could use one to lead a mount, or the
// directory made for it, to a file that the monitor has open on the host.
func openPlace(p *nsinit.Program, file string, flags uint64) {
	openPlaceAs(p, "open "+file+" in the container", file, flags)
}

// openPlaceAs is openPlace with a name of its own for errors.
func openPlaceAs(p *nsinit.Program, name, file string, flags uint64) {
	how := openHow(flags|unix.O_CLOEXEC, 0, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS)
	p.CallTo(regPlace, name, nil, unix.SYS_OPENAT2, atFDCWD, file, how, len(how))
}

// makePlace records the making of a mount point, directory by directory, and
// leaves it open in regPlace.
func makePlace(p *nsinit.Program, target string, dir bool) {
	target = path.Clean("/" + target)
	parts := strings.FieldsFunc(target, func(r rune) bool { return r == '/' })
	at := "/"
	for i, part := range parts {
		last := i == len(parts)-1
		if last && !dir {
			openPlaceFile(p, at, part)
			break
		}
		openPlace(p, at, unix.O_PATH|unix.O_DIRECTORY)
		p.Call("make directory "+path.Join(at, part), exists, unix.SYS_MKDIRAT, regPlace, part, 0o755)
		p.Call("close "+at, nil, unix.SYS_CLOSE, regPlace)
		at = path.Join(at, part)
	}
	if !dir {
		// On the file itself, and not on what it may be a link to: images have
		// /etc/resolv.conf as a link to a place that only a booted system has.
		openPlace(p, target, unix.O_PATH|unix.O_NOFOLLOW)
		return
	}
	openPlace(p, target, unix.O_PATH)
}

// openPlaceFile makes sure that a file exists to mount on.
func openPlaceFile(p *nsinit.Program, dir, name string) {
	openPlace(p, dir, unix.O_PATH|unix.O_DIRECTORY)
	p.Call("make file "+path.Join(dir, name), exists, unix.SYS_MKNODAT, regPlace, name, unix.S_IFREG|0o644, 0)
	p.Call("close "+dir, nil, unix.SYS_CLOSE, regPlace)
}

// attach records that a detached mount gets its place.
func (ip *initPlan) attach(p *nsinit.Program, target string, source bindSource) {
	makePlace(p, target, source.dir)
	p.Call("mount a bind on "+target, nil, unix.SYS_MOVE_MOUNT, source.fd, "", regPlace, "",
		unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	p.Call("close "+target, nil, unix.SYS_CLOSE, regPlace)
}

// fsconfig(2) commands.
const (
	fsconfigSetFlag   = 0
	fsconfigSetString = 1
	fsconfigCreate    = 6
)

// mountNew records a mount by descriptors, for a target that may be hostile.
// place opens the mount point as regPlace.
func mountNew(p *nsinit.Program, name string, m specs.Mount, opt mountOptions, place func(*nsinit.Program, string)) {
	p.CallTo(regMount, name+": fsopen", nil, unix.SYS_FSOPEN, m.Type, unix.FSOPEN_CLOEXEC)
	p.Call(name+": source", nil, unix.SYS_FSCONFIG, regMount, fsconfigSetString, "source", m.Source, 0)
	for _, o := range strings.Split(opt.data, ",") {
		if key, value, found := strings.Cut(o, "="); found {
			p.Call(name+": option "+o, nil, unix.SYS_FSCONFIG, regMount, fsconfigSetString, key, value, 0)
		} else if o != "" {
			p.Call(name+": option "+o, nil, unix.SYS_FSCONFIG, regMount, fsconfigSetFlag, o, nil, 0)
		}
	}
	p.Call(name+": create", nil, unix.SYS_FSCONFIG, regMount, fsconfigCreate, nil, nil, 0)
	p.CallTo(regMount, name+": fsmount", nil, unix.SYS_FSMOUNT, regMount, unix.FSMOUNT_CLOEXEC, opt.attrs())
	place(p, m.Destination)
	p.Call(name, nil, unix.SYS_MOVE_MOUNT, regMount, "", regPlace, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	p.Call("close "+m.Destination, nil, unix.SYS_CLOSE, regPlace)
}

// makeReadonly binds a path on itself, which makes it a mount of its own that
// can be made read-only.
func makeReadonly(p *nsinit.Program, path string) {
	mount(p, "bind "+path+" on itself", path, path, "", unix.MS_BIND|unix.MS_REC, "", unix.ENOENT)
	setReadonly(p, path, unix.ENOENT)
}

// setReadonly makes the mount at path read-only and leaves its other options.
func setReadonly(p *nsinit.Program, path string, tolerate ...unix.Errno) {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&attr)), int(unsafe.Sizeof(attr)))
	p.Call("make "+path+" read-only", tolerate, unix.SYS_MOUNT_SETATTR, atFDCWD, path, 0, raw, len(raw))
}

// mask hides a path: a file behind /dev/null, a directory behind an empty
// tmpfs. Of the two mounts the kernel refuses the one that does not fit.
func mask(p *nsinit.Program, path string) {
	mount(p, "mask file "+path, "/dev/null", path, "", unix.MS_BIND, "", unix.ENOENT, unix.ENOTDIR)
	mount(p, "mask directory "+path, "tmpfs", path, "tmpfs", unix.MS_RDONLY, "", unix.ENOENT, unix.ENOTDIR)
}
