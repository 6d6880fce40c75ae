package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minirt/mini/integration/host"
)

// calm is a host whose default network is up and that has no container, with
// the picture of it.
type calm struct {
	*host.Host
	t      testing.TB
	before host.Snapshot
}

func newCalm(t testing.TB) calm {
	t.Helper()
	return calmAfter(t, busyboxHost(t))
}

// calmAfter is newCalm for a host with networks of its own, which were used.
func calmAfter(t testing.TB, h *host.Host) calm {
	t.Helper()
	h.MustRun("network", "create", "--subnet", "10.77.0.0/30", "tiny") // one address for containers
	h.MustRun("run", "--rm", "-p", "8080:80", "--net", "tiny", "busybox", "true")
	h.MustRun("run", "--rm", "-p", "8080:80", "busybox", "true")
	h.MustRun("create", "--name", "first", "busybox", "true")
	h.MustRun("ps", "-a") // says in the state that the first look for dead containers was taken
	h.MustRun("rm", "first")
	h.MustRun("network", "ls") // makes the definitions of the predefined networks
	c := calm{Host: h, t: t}
	// A veth pair that was let go is gone a little later, and the monitor after it.
	host.Eventually(t, patience, func() (err error) {
		if c.before, err = h.Snapshot(); err == nil {
			err = nothingEnding(c.before)
		}
		return err
	})
	return c
}

func nothingEnding(s host.Snapshot) error {
	for _, line := range s[host.SecProcesses] {
		if strings.Contains(line, "mini-monitor") {
			return fmt.Errorf("a monitor is left: %s", line)
		}
	}
	for _, line := range s[host.SecLinks] {
		if strings.HasPrefix(line, "veth") || strings.HasPrefix(line, "pt") {
			return fmt.Errorf("a link is left: %s", line)
		}
	}
	return nil
}

// check runs one command, any, and then expects the host as it was, but for
// containers that lived through it, which can be removed.
func (c calm) check(what string, command ...string) {
	c.t.Helper()
	r := c.Run(command...)
	trail := []host.Result{r}
	if r.Code != 0 || r.Stderr != "" {
		c.t.Errorf("%s: the next command: %v", what, r)
	}
	err := host.Poll(patience, func() error {
		ids := c.Run("ps", "-aq", "--no-trunc")
		if ids.Code != 0 {
			return fmt.Errorf("listing containers: %v", ids)
		}
		if ids.Out() == "" {
			return nil
		}
		// One that is just being made cannot be removed yet.
		rm := c.Run(append([]string{"rm", "-f", "-v"}, strings.Fields(ids.Stdout)...)...)
		trail = append(trail, rm)
		return fmt.Errorf("containers are left: %v", rm)
	})
	if err == nil {
		err = c.compare()
	}
	if err != nil {
		c.t.Fatalf("%s: %v\nwhat was done: %v", what, err, trail)
	}
}

// compare waits for the host to look as it did.
func (c calm) compare() error {
	return host.Poll(patience, func() error {
		now, err := c.Snapshot()
		if err != nil {
			return err
		}
		// A bridge's own IPv6 addresses become routes at times of their own choice.
		diff := slices.DeleteFunc(c.before.Diff(now), func(ch host.Change) bool {
			return ch.Section == host.SecRoutes && strings.Contains(ch.Line, " fe80::")
		})
		if len(diff) > 0 {
			return fmt.Errorf("differences (- before, + after):\n%s", diff)
		}
		return nil
	})
}

// works proves that the one address and the port are free.
func (c calm) works() {
	c.t.Helper()
	wantOut(c.t, c.Run("run", "--rm", "--net", "tiny", "-p", "8080:80", "busybox", "hostname", "-i"), "10.77.0.2")
}

func kill(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("killing process %d: %w", pid, err)
	}
	return nil
}

// released looks for what a dead container held.
func released(h *host.Host) error {
	return host.Poll(2*time.Second, func() error {
		s, err := h.Snapshot()
		if err != nil {
			return err
		}
		if err := nothingEnding(s); err != nil {
			return err
		}
		for _, line := range append(s[host.SecRules], s[host.SecNFT]...) {
			if strings.Contains(line, "8080") || strings.Contains(line, "5300") {
				return fmt.Errorf("a rule is left: %s", line)
			}
		}
		for _, line := range s[host.SecCgroups] {
			if regexp.MustCompile(`/mini/[0-9a-f]{64}`).MatchString(line) {
				return fmt.Errorf("a cgroup is left: %s", line)
			}
		}
		for _, p := range s[host.SecProcesses] {
			return fmt.Errorf("a process is left: %s", p)
		}
		return nil
	})
}

// ended returns nil when all of a process's threads are gone, and with them
// the files they had open. A zombie may be left, for whoever has to reap it.
func ended(pid int) error {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil // it is gone
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil || len(threads) <= 1 && strings.Contains(string(stat), ") Z ") {
		return nil
	}
	return fmt.Errorf("process %d lives on: %s", pid, stat)
}

// childOf waits for a process to have a child.
func childOf(p *host.Process) (int, error) {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.Pid()))
		if err != nil {
			return 0, err
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if f := strings.Fields(string(text)); err == nil && len(f) > 0 {
				return strconv.Atoi(f[0])
			}
		}
		if r := p.Wait(0); r.Err == nil {
			return monitorOf(r)
		}
	}
	return 0, errors.New("it has no child")
}

// monitorOf finds the monitor of a detached run that was over before anybody
// could look for its child: the container's id is its argument.
func monitorOf(r host.Result) (int, error) {
	id := strings.TrimSpace(r.Stdout)
	if r.Code != 0 || id == "" {
		return 0, fmt.Errorf("it ended: %v", r)
	}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err == nil && string(text) == "mini-monitor\x00"+id+"\x00" {
			return strconv.Atoi(filepath.Base(filepath.Dir(f)))
		}
	}
	return 0, fmt.Errorf("no monitor of container %s", id)
}
