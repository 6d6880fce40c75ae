package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minirt/mini/integration/host"
)

// setting finds a file of a container's cgroup in whichever hierarchy has it.
func setting(h *host.Host, id string, names ...string) (string, error) {
	var text []byte
	err := h.InHost(func() error {
		for _, name := range names {
			for _, pattern := range []string{"/sys/fs/cgroup/mini/" + id, "/sys/fs/cgroup/*/mini/" + id} {
				found, err := filepath.Glob(pattern + "/" + name)
				if err != nil {
					return err
				}
				for _, f := range found {
					text, err = os.ReadFile(f)
					return err
				}
			}
		}
		return fmt.Errorf("the container's cgroup has none of %q", names)
	})
	return strings.TrimSpace(string(text)), err
}

func TestLimits(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	id := h.MustRun("run", "-d", "--name", "box", "--net", "none", "-m", "64m", "--cpus", "0.25", "--pids-limit", "20", "busybox", "sleep", "1000")
	want := func(value string, names ...string) {
		t.Helper()
		if got, err := setting(h, id, names...); err != nil || got != value {
			t.Errorf("%s is %q (%v), want %s", names[0], got, err, value)
		}
	}
	want("67108864", "memory.limit_in_bytes", "memory.max")
	want("20", "pids.max")
	if got, err := setting(h, id, "cpu.cfs_quota_us"); err != nil {
		want("25000 100000", "cpu.max")
	} else if got != "25000" {
		t.Errorf("cpu.cfs_quota_us is %s", got)
	}
	t.Log("a fork bomb, from exec, is bounded")
	r := h.Run("exec", "box", "sh", "-c", "for i in $(seq 1 60); do sleep 100 & done 2>&1; sleep 0.1; ls -d /proc/[0-9]* | wc -l")
	if !strings.Contains(r.Stdout+r.Stderr, "can't fork") {
		t.Errorf("%v", r)
	}
	if got, err := setting(h, id, "pids.current"); err != nil || len(got) > 2 || got > "20" {
		t.Errorf("processes: %s, %v", got, err)
	}
	h.MustRun("rm", "-f", "box")
	t.Log("and one in the container itself")
	h.MustRun("run", "-d", "--name", "bomb", "--net", "none", "--pids-limit", "30", "busybox", "sh", "-c", "f() { f | f & }; while :; do f; sleep 1; done")
	time.Sleep(300 * time.Millisecond) // for it to grow
	wantOut(t, h.Run("rm", "-f", "bomb"), "bomb")
}

func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	const eat = "dd if=/dev/zero of=/dev/null bs=200M count=1"
	r := h.Run("run", "--name", "box", "--net", "none", "-m", "16m", "busybox", "sh", "-c", "exec "+eat)
	wantCode(t, r, 137)
	wantOut(t, h.Run("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "box"), "true 137")
	h.MustRun("run", "-d", "--name", "other", "--net", "none", "-m", "16m", "busybox", "sleep", "1000")
	wantCode(t, h.Run("exec", "other", "sh", "-c", "exec "+eat), 137)
	wantOut(t, h.Run("inspect", "-f", "{{.State.Running}}", "other"), "true")
	wantOut(t, h.Run("run", "--rm", "--net", "none", "-m", "16m", "busybox", "echo", "enough"), "enough")
}

func TestCPULimit(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	id := h.MustRun("run", "-d", "--name", "box", "--net", "none", "--cpus", "0.1", "busybox", "sh", "-c", "while :; do :; done")
	host.Eventually(t, patience, func() error {
		text, err := setting(h, id, "cpu.stat")
		if err != nil {
			return err
		}
		for line := range strings.Lines(text + "\n") {
			if f := strings.Fields(line); f[0] == "nr_throttled" && f[1] != "0" {
				return nil
			}
		}
		return fmt.Errorf("not throttled: %s", text)
	})
}

func TestBadLimits(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	for _, c := range []struct{ flag, value, message string }{
		{"-m", "1m", "Minimum memory limit allowed is 6MB"},
		{"-m", "x", "invalid"},
		{"--memory", "-1", ""},
		{"--cpus", "x", "x"},
		{"--cpus", "-1", ""},
		{"--cpus", "100000", "CPUs"},
		{"--pids-limit", "x", "x"},
		{"--stop-timeout", "x", "x"},
	} {
		r := h.Run("run", "--rm", "--net", "none", c.flag+"="+c.value, "busybox", "true")
		if c.value == "-1" && r.Code == 0 {
			continue // Docker takes it as no limit
		}
		wantCode(t, r, 125)
		if !strings.Contains(strings.ToLower(r.Stderr), strings.ToLower(c.message)) {
			t.Errorf("want %q: %v", c.message, r)
		}
	}
	wantOut(t, h.Run("ps", "-aq"), "")
}

// TestHiddenCgroups: a mount hides the cgroups, as in a sandbox with a /sys of its
// own. The start ends with an error that names them, and leaves nothing.
func TestHiddenCgroups(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	for _, kind := range []string{"tmpfs", "sysfs"} {
		mini := h.Mini("run", "--rm", "--net", "none", "busybox", "true").Args
		hidden := append([]string{"unshare", "-m", "-n", "sh", "-c", "mount -t " + kind + ` none /sys && exec "$@"`, "sh"}, mini...)
		fails(t, h.Exec(hidden...), 125, "cgroups")
	}
	wantOut(t, h.Run("ps", "-aq"), "")
}
