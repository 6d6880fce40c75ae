package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/rootfs"
)

// cloneFlags gives the clone(2) flags of the spec's namespaces. The cgroup
// namespace is not among them: it is unshared once the init is in its cgroup.
func cloneFlags(spec *specs.Spec) uint64 {
	var flags uint64
	for _, ns := range spec.Linux.Namespaces {
		switch ns.Type {
		case specs.MountNamespace:
			flags |= unix.CLONE_NEWNS
		case specs.PIDNamespace:
			flags |= unix.CLONE_NEWPID
		case specs.UTSNamespace:
			flags |= unix.CLONE_NEWUTS
		case specs.IPCNamespace:
			flags |= unix.CLONE_NEWIPC
		case specs.NetworkNamespace:
			flags |= unix.CLONE_NEWNET
		}
	}
	return flags
}

func hasNamespace(spec *specs.Spec, kind specs.LinuxNamespaceType) bool {
	for _, ns := range spec.Linux.Namespaces {
		if ns.Type == kind {
			return true
		}
	}
	return false
}

// initPlan collects what the first half of the init's program needs. The
// returned function closes the descriptors that the child has copies of.
func (m *monitor) initPlan() (ip *initPlan, closeAll func(), err error) {
	var open []io.Closer
	closeAll = func() {
		for _, c := range open {
			c.Close()
		}
	}
	closeOpen := closeAll
	defer func() {
		if err != nil {
			closeOpen()
		}
	}()
	ip = &initPlan{spec: m.spec, rootfs: filepath.Join(m.c.Dir(), rootfsDir), binds: map[int]bindSource{}, netns: -1}
	if err := m.chooseRoot(ip); err != nil {
		return nil, nil, err
	}
	if target, ok := strings.CutPrefix(m.c.Config.NetworkMode, containerMode); ok {
		ns, err := m.r.networkNamespaceOf(target)
		if err != nil {
			return nil, nil, err
		}
		open = append(open, ns)
		ip.netns = int(ns.Fd())
	}
	for i, mnt := range m.spec.Mounts {
		if mnt.Type != "bind" {
			continue
		}
		f, source, err := m.openSource(mnt)
		if err != nil {
			return nil, nil, err
		}
		open = append(open, f)
		ip.binds[i] = source
	}
	return ip, closeAll, nil
}

// chooseRoot decides what is mounted as the container's root: an overlay over
// the image's layers, over the host's own root, or a directory as it is.
func (m *monitor) chooseRoot(ip *initPlan) error {
	lower := []string{m.c.Config.Rootfs}
	if dir := m.c.Config.Rootfs; dir != "" && dir != "/" {
		ip.bind = dir
		return nil
	}
	if m.c.Config.Rootfs == "" {
		image, err := m.r.Images.Find(m.c.Config.ImageID)
		if err != nil {
			return err
		}
		lower = image.Layers
	}
	options, err := rootfs.OverlayOptions(lower, filepath.Join(m.c.Dir(), "upper"), filepath.Join(m.c.Dir(), "work"))
	ip.overlay = options
	return err
}

// openSource gives a detached copy of the mount at a bind's source.
func (m *monitor) openSource(mnt specs.Mount) (*os.File, bindSource, error) {
	const flags = unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_RECURSIVE
	fd, err := unix.OpenTree(unix.AT_FDCWD, mnt.Source, flags)
	if errors.Is(err, unix.ENOENT) && m.c.Config.makesSource(mnt.Source) {
		if err := os.MkdirAll(mnt.Source, 0o755); err != nil {
			return nil, bindSource{}, fmt.Errorf("making the source of the mount on %s: %w", mnt.Destination, err)
		}
		fd, err = unix.OpenTree(unix.AT_FDCWD, mnt.Source, flags)
	}
	if err != nil {
		return nil, bindSource{}, fmt.Errorf("opening the source of the mount %s on %s: %w", mnt.Source, mnt.Destination, err)
	}
	f := os.NewFile(uintptr(fd), mnt.Source)
	opt := parseMountOptions(mnt.Options)
	attr := &unix.MountAttr{Attr_set: opt.attrs(), Propagation: uint64(opt.propagation &^ unix.MS_REC)}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, attr); err != nil {
		f.Close()
		return nil, bindSource{}, fmt.Errorf("setting the options %s of the mount on %s: %w", strings.Join(mnt.Options, ","), mnt.Destination, err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, bindSource{}, fmt.Errorf("looking at the source of the mount on %s: %w", mnt.Destination, err)
	}
	return f, bindSource{fd: fd, dir: info.IsDir()}, nil
}

// networkNamespaceOf opens the network namespace of a running container.
func (r *Runtime) networkNamespaceOf(ref string) (*os.File, error) {
	target, err := r.Find(ref)
	if err != nil {
		return nil, err
	}
	if target.State.Status != Running {
		return nil, errorf(ErrConflict, "cannot join network of a non running container: %s", target.Config.ID)
	}
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", target.State.Pid))
	if err != nil {
		return nil, fmt.Errorf("opening the network namespace of container %s: %w", ref, err)
	}
	return ns, nil
}

// openOptional opens a file of a hostile root; one that is missing is empty.
func openOptional(root *os.File, path string) (io.Reader, func()) {
	f, err := rootfs.OpenInRoot(root, path)
	if err != nil {
		return bytes.NewReader(nil), func() {}
	}
	return f, func() { f.Close() }
}

// lookupUser words the failure as a start error, as Docker does.
func lookupUser(passwd, group io.Reader, spec string) (rootfs.User, error) {
	u, err := rootfs.LookupUser(passwd, group, spec, nil)
	if err != nil {
		return u, &StartError{Code: ExitMini, Err: err}
	}
	if u.UID < 0 || u.GID < 0 {
		return u, errors.New("user and group numbers must not be negative")
	}
	return u, nil
}
