package host

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Host is a private host. Its methods may be called from several goroutines,
// except for those whose name begins with Must, which end the test on failure
// and so belong to the test's own goroutine.
type Host struct {
	Root  string // what Run gives to --root
	State string // what Run gives to --state
	Dir   string // parent of both; unique, and seen at the same path by the machine

	t       testing.TB
	cfg     config
	inside  namespaces
	outside namespaces
	cgroups []cgroupDir
	before  Snapshot

	mu      sync.Mutex
	ran     bool // mini ran at least once
	closers []func()
}

// New makes a private host and takes the picture that the test's cleanup
// compares with. Without root the test is skipped, or fails when the variable CI is "true".
func New(t testing.TB, opts ...Option) *Host {
	t.Helper()
	RequireRoot(t)
	cfg := config{binary: built(), backend: Backend(cmp.Or(os.Getenv("MINI_TEST_BACKEND"), string(NFT))), name: "private", settle: 5 * time.Second}
	for _, o := range opts {
		o(&cfg)
	}
	h := &Host{t: t, cfg: cfg}
	err := h.create(filepath.Dir(t.TempDir()))
	if err == nil {
		h.before, err = h.Snapshot()
	}
	if err != nil {
		t.Fatalf("making a private host: %v", errors.Join(err, h.destroy()))
	}
	t.Cleanup(h.finish)
	return h
}

// RequireRoot skips the test when it does not run as root, or fails it when
// the variable CI is "true".
func RequireRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this test needs root, and CI=true forbids to skip it")
	}
	t.Skip("SKIPPED, NOT TESTED: this test needs root")
}

// create makes all parts of the host. keep is a directory of the machine that
// stays visible below the private /tmp.
func (h *Host) create(keep string) error {
	// Short on purpose: the path of a unix socket has room for 108 bytes.
	dir, err := os.MkdirTemp("", "mh")
	if err != nil {
		return fmt.Errorf("making the host's directory: %w", err)
	}
	h.Dir, h.Root, h.State = dir, filepath.Join(dir, "root"), filepath.Join(dir, "state")
	for _, d := range []string{h.Root, h.State, h.binDir()} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return fmt.Errorf("making the host's directory: %w", err)
		}
	}
	if err := h.linkIptables(); err != nil {
		return err
	}
	if h.cgroups, err = makeCgroups(filepath.Base(dir)); err != nil {
		return err
	}
	if err := onThread(func() error {
		h.outside, err = unshare(unix.CLONE_NEWNET)
		return err
	}); err != nil {
		return err
	}
	return onThread(func() error {
		if h.inside, err = unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWUTS); err != nil {
			return err
		}
		return h.furnish(keep)
	})
}

// furnish fills the namespaces of the calling thread.
func (h *Host) furnish(keep string) error {
	if err := unix.Sethostname([]byte(h.cfg.name)); err != nil {
		return fmt.Errorf("setting the host name to %s: %w", h.cfg.name, err)
	}
	kept := []string{h.Dir, keep, buildDir(), SourceDir()}
	if h.cfg.binary != "" {
		kept = append(kept, filepath.Dir(h.cfg.binary))
	}
	if err := privateMounts(slices.DeleteFunc(kept, notHidden), h.cgroups); err != nil {
		return err
	}
	for i, f := range h.cfg.files {
		src := filepath.Join(h.Dir, fmt.Sprintf("file%d", i))
		if err := replaceFile(src, f); err != nil {
			return err
		}
	}
	if err := h.wire(); err != nil {
		return err
	}
	return h.setBridgeNF()
}

// later registers f to run first thing in the cleanup, last in first out.
func (h *Host) later(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closers = append(h.closers, f)
}

// Allow is [Allow] for a host that exists already.
func (h *Host) Allow(section, line, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	Allow(section, line, reason)(&h.cfg)
}

// Backend tells which iptables the host has.
func (h *Host) Backend() Backend { return h.cfg.backend }

// InHost calls f on a thread in the host's namespaces and returns its error.
// Sockets that f opens, and processes it starts, belong to the host and may
// be used from anywhere afterwards. Goroutines that f starts run on other
// threads, in the machine's namespaces. f must not end the test: t.Fatal
// works in the test's own goroutine only.
func (h *Host) InHost(f func() error) error { return h.In(Inside, f) }

// InNetnsOf calls f in the network namespace of a process, such as a
// container's init; see [Host.InHost].
func (h *Host) InNetnsOf(pid int, f func() error) error {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return fmt.Errorf("finding the network namespace of process %d: %w", pid, err)
	}
	defer ns.Close()
	return namespaces{net: ns, mnt: h.inside.mnt, uts: h.inside.uts}.run(f)
}

// InOutside is [Host.InHost] for the outside world.
func (h *Host) InOutside(f func() error) error { return h.In(Outside, f) }

// In calls f at the place; see [Host.InHost].
func (h *Host) In(p Place, f func() error) error { return h.at(p).run(f) }

// Place is one of the two network namespaces around a private host.
type Place int

// The places. Both see the files of the private host.
const (
	Inside  Place = iota // the private host itself
	Outside              // the world at the other end of its uplink
)

func (h *Host) at(p Place) namespaces {
	if p == Outside {
		return namespaces{net: h.outside.net, mnt: h.inside.mnt, uts: h.inside.uts}
	}
	return h.inside
}
