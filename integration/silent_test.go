package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/minirt/mini/integration/host"
)

// TestStoppedMonitor: a monitor that is stopped keeps no command waiting for ever.
// Each says which process it is, and how to go on.
func TestStoppedMonitor(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	runIdle(t, h, "web", "-p", "8080:80")
	must(t, h.Run("network", "create", "red"))
	monitor := monitorPid(t, h, "web")
	goOn := stop(t, monitor)
	want := fmt.Sprintf("the monitor of container web, process %d, is stopped and does not answer: 'kill -CONT %d' lets it go on", monitor, monitor)
	for _, args := range [][]string{
		{"stop", "web"}, {"exec", "web", "true"}, {"rm", "-f", "web"}, {"kill", "web"}, {"attach", "web"}, {"restart", "web"},
		{"network", "connect", "red", "web"}, {"port", "add", "web", "8081:80"},
	} {
		c := h.Mini(args...)
		c.Timeout = 20 * time.Second
		if r := h.Do(c); r.Code == 0 || r.Err != nil || !strings.Contains(r.Stderr, want) {
			t.Errorf("want %q\n%v", want, r)
		}
	}
	goOn()
	// It carries out now what it was asked for, the removal among it.
	host.Eventually(t, patience, func() error {
		if r := h.Run("inspect", "web"); r.Code == 0 {
			return fmt.Errorf("the container is still there")
		}
		return nil
	})
	must(t, h.Run("network", "rm", "red"))
}

// TestKilledStoppedMonitor: the way out that the error names works.
func TestKilledStoppedMonitor(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	runIdle(t, h, "web", "-p", "8080:80")
	stop(t, monitorPid(t, h, "web"))
	must(t, h.Exec("kill", "-KILL", fmt.Sprint(monitorPid(t, h, "web"))))
	must(t, h.Run("rm", "-f", "web"))
	runIdle(t, h, "web", "-p", "8080:80")
	must(t, h.Run("rm", "-f", "web"))
}

// TestSlowStop: a stop may take longer than a monitor has to answer.
func TestSlowStop(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("run", "-d", "--name", "web", "busybox", "sh", "-c", "trap '' TERM; while :; do sleep 1; done"))
	if r := h.Run("stop", "-t", "5", "web"); r.Code != 0 || r.Elapsed < 4*time.Second {
		t.Errorf("%v", r)
	}
	must(t, h.Run("rm", "web"))
}
