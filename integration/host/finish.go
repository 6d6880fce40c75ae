package host

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// finish is the test's cleanup: mini removes what it made, the host is
// compared with its first picture, and whatever is left is destroyed.
func (h *Host) finish() {
	h.t.Helper()
	if h.t.Failed() {
		h.t.Log(h.Dump())
	}
	h.mu.Lock()
	closers, ran := h.closers, h.ran
	h.mu.Unlock()
	for _, f := range slices.Backward(closers) {
		f()
	}
	if ran {
		h.removeAll()
	}
	if err := h.Compare(); err != nil {
		h.t.Errorf("the host is not as it was before the test: %v", err)
	}
	if err := h.destroy(); err != nil {
		h.t.Errorf("destroying the private host: %v", err)
	}
}

// removeAll asks mini to remove all containers and all unused networks, the
// default one included.
func (h *Host) removeAll() {
	h.t.Helper()
	ps := h.Run("ps", "-a", "-q", "--no-trunc")
	if ps.Code != 0 {
		h.t.Errorf("listing what to clean up: %v", ps)
	}
	if ids := strings.Fields(ps.Stdout); len(ids) > 0 {
		if r := h.Run(append([]string{"rm", "-f"}, ids...)...); r.Code != 0 {
			h.t.Errorf("cleaning up: %v", r)
		}
	}
	if r := h.Run("network", "prune", "-f"); r.Code != 0 {
		h.t.Errorf("cleaning up: %v", r)
	}
}

// Compare returns nil when the host looks as it did when it was made, but for
// what [Allow] accepts. It gives things that end by themselves, such as a dying
// veth pair, the time that [Settle] sets. The error lists the differences.
func (h *Host) Compare() error {
	return Poll(h.cfg.settle, func() error {
		after, err := h.Snapshot()
		if err != nil {
			return err
		}
		diff := h.before.Diff(after)
		h.mu.Lock()
		rest, used := diff.without(h.cfg.allow)
		h.mu.Unlock()
		if len(rest) > 0 {
			return fmt.Errorf("differences (- before, + after):\n%s", rest)
		}
		for _, u := range used {
			h.t.Log("allowed:", u)
		}
		return nil
	})
}

// Dump describes the host for the log of a test that failed.
func (h *Host) Dump() string {
	var b strings.Builder
	b.WriteString("the private host when the test failed:\n")
	cmds := []Command{
		{Args: []string{"ip", "-brief", "address"}}, {Args: []string{"ip", "route"}},
		{Args: []string{"iptables-save"}},
	}
	h.mu.Lock()
	ran := h.ran
	h.mu.Unlock()
	if ran {
		cmds = append(cmds, h.Mini("ps", "-a"), h.Mini("network", "ls"))
	}
	for _, c := range cmds {
		c.Timeout = 10 * time.Second
		b.WriteString(h.Do(c).String())
	}
	return b.String()
}

// destroy removes the host from the machine, with all that still runs in it.
func (h *Host) destroy() error {
	var errs []error
	procs, err := h.processes()
	errs = append(errs, err)
	for _, p := range procs {
		// It may have ended meanwhile. A number is not given out again within
		// the moment since it was read.
		if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("killing %v: %w", p, err))
		}
	}
	errs = append(errs, removeCgroups(h.cgroups), h.inside.close(), h.outside.close())
	if h.Dir != "" {
		errs = append(errs, os.RemoveAll(h.Dir))
	}
	return errors.Join(errs...)
}
