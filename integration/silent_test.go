package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestStoppedMonitor: a monitor that is stopped keeps no command waiting for ever.
// Each says which process it is, and how to go on.
func TestStoppedMonitor(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("network", "create", "red"))
	must(t, h.Run("network", "create", "blue"))
	runIdle(t, h, "web", "-p", "8080:80")
	must(t, h.Run("network", "connect", "blue", "web"))
	monitor := monitorPid(t, h, "web")
	goOn := stop(t, monitor)
	want := fmt.Sprintf("the monitor of container web, process %d, is stopped and does not answer: 'kill -CONT %d' lets it go on", monitor, monitor)
	for _, args := range [][]string{
		{"stop", "web"}, {"exec", "web", "touch", "/ran"}, {"rm", "-f", "web"}, {"kill", "web"}, {"attach", "web"}, {"restart", "web"},
		{"network", "connect", "red", "web"}, {"network", "disconnect", "blue", "web"},
		{"port", "add", "web", "8081:80"}, {"port", "rm", "web", "8080:80"},
	} {
		c := h.Mini(args...)
		c.Timeout = 20 * time.Second
		if r := h.Do(c); r.Code == 0 || r.Err != nil || !strings.Contains(r.Stderr, want) {
			t.Errorf("want %q\n%v", want, r)
		}
	}
	goOn()
	// Those commands failed, so nothing of what they asked for happens now. What is
	// asked later is taken up later.
	must(t, h.Run("port", "add", "web", "8082:80"))
	if got := must(t, h.Run("exec", "web", "ls", "/")); strings.Contains(got, "ran") {
		t.Errorf("the command that was not run has run: %q", got)
	}
	const format = "{{.State.Status}} {{.RestartCount}}{{range $n, $_ := .NetworkSettings.Networks}} {{$n}}{{end}}"
	if got := must(t, h.Run("inspect", "-f", format, "web")); got != "running 0 blue bridge" {
		t.Errorf("the container is %q", got)
	}
	if got := must(t, h.Run("port", "web")); got != "80/tcp -> 0.0.0.0:8080\n80/tcp -> 0.0.0.0:8082" {
		t.Errorf("the ports are %q", got)
	}
	must(t, h.Run("rm", "-f", "web"))
	must(t, h.Run("network", "rm", "red", "blue"))
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
