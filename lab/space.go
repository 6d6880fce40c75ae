package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/netns"
)

// runDir is where ip-netns(8) keeps the names of network namespaces.
const runDir = "/run/netns"

// spaces are network namespaces with names, and netlink sockets in them. It is for one goroutine.
type spaces struct {
	files   map[string]*os.File
	handles map[string]*netlink.Handle
}

func newSpaces() *spaces {
	return &spaces{files: map[string]*os.File{}, handles: map[string]*netlink.Handle{}}
}

// file opens a namespace by name, once.
func (s *spaces) file(name string) (*os.File, error) {
	if f := s.files[name]; f != nil {
		return f, nil
	}
	f, err := os.Open(filepath.Join(runDir, name))
	if err != nil {
		return nil, fmt.Errorf("opening network namespace %s: %w", name, err)
	}
	s.files[name] = f
	return f, nil
}

// handle gives a netlink socket in a namespace.
func (s *spaces) handle(name string) (*netlink.Handle, error) {
	if h := s.handles[name]; h != nil {
		return h, nil
	}
	f, err := s.file(name)
	if err != nil {
		return nil, err
	}
	h, err := netns.Open(f, nil)
	if err != nil {
		return nil, err
	}
	s.handles[name] = h
	return h, nil
}

// do runs fn on a thread in a namespace.
func (s *spaces) do(name string, fn func() error) error {
	f, err := s.file(name)
	if err != nil {
		return err
	}
	return netns.Do(f, fn)
}

// forget closes what is open of a namespace.
func (s *spaces) forget(name string) {
	if h := s.handles[name]; h != nil {
		h.Close()
	}
	if f := s.files[name]; f != nil {
		// It was opened for reading: nothing can be lost.
		_ = f.Close()
	}
	delete(s.handles, name)
	delete(s.files, name)
}

func (s *spaces) close() {
	for name := range s.files {
		s.forget(name)
	}
}

// prepareDir makes runDir a shared mount point, as ip-netns(8) does: whoever has a
// copy of the mount sees names come and go.
func prepareDir() error {
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		return fmt.Errorf("making %s: %w", runDir, err)
	}
	err := unix.Mount("", runDir, "none", unix.MS_SHARED|unix.MS_REC, "")
	if !errors.Is(err, unix.EINVAL) {
		return wrapMount("sharing the mount", runDir, err)
	}
	if err := unix.Mount(runDir, runDir, "none", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return wrapMount("making a mount point of", runDir, err)
	}
	return wrapMount("sharing the mount", runDir, unix.Mount("", runDir, "none", unix.MS_SHARED|unix.MS_REC, ""))
}

func wrapMount(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", op, path, err)
}

// bindName gives the namespace at source a name.
func bindName(source, name string) error {
	if err := prepareDir(); err != nil {
		return err
	}
	path := filepath.Join(runDir, name)
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE|os.O_EXCL, 0)
	if err != nil {
		return fmt.Errorf("naming a network namespace: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("naming a network namespace: %w", err)
	}
	if err := unix.Mount(source, path, "none", unix.MS_BIND, ""); err != nil {
		return errors.Join(wrapMount("binding a network namespace to", path, err), os.Remove(path))
	}
	return nil
}

// makeSpace makes a namespace, runs prepare in it and then gives it the name.
func makeSpace(name string, prepare func() error) error {
	ns, err := netns.New()
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := netns.Do(ns, prepare); err != nil {
		return fmt.Errorf("preparing network namespace %s: %w", name, err)
	}
	return bindName(fmt.Sprintf("/proc/self/fd/%d", ns.Fd()), name)
}

// dropName takes a namespace's name away. One that has none is no error.
func dropName(name string) error {
	path := filepath.Join(runDir, name)
	if isSpace(path) {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.ENOENT) {
			return wrapMount("unmounting", path, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the name of network namespace %s: %w", name, err)
	}
	return nil
}

// isSpace says that a namespace is bound there. The file alone is what is left of a crash.
func isSpace(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.NSFS_MAGIC
}

func hasName(name string) bool {
	_, err := os.Lstat(filepath.Join(runDir, name))
	return err == nil
}

// tagOf gives the alias of a namespace's loopback link: whose it is.
func tagOf(name string) (string, error) {
	s := newSpaces()
	defer s.close()
	h, err := s.handle(name)
	if err != nil {
		return "", err
	}
	lo, err := h.LinkByName("lo")
	if err != nil {
		return "", fmt.Errorf("looking for the loopback link of network namespace %s: %w", name, err)
	}
	return lo.Attrs().Alias, nil
}

// names lists the names of namespaces that begin with prefix.
func names(prefix string) ([]string, error) {
	files, err := os.ReadDir(runDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listing network namespaces: %w", err)
	}
	var out []string
	for _, f := range files {
		if strings.HasPrefix(f.Name(), prefix) {
			out = append(out, f.Name())
		}
	}
	return out, nil
}
