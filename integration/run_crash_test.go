package integration

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/minirt/mini/integration/host"
)

// TestMonitorKilledWhileRunning: the container dies with its monitor, and
// whichever command comes next gives back what it held.
func TestMonitorKilledWhileRunning(t *testing.T) {
	t.Parallel()
	c := newCalm(t)
	for _, next := range []string{
		"ps -a", "ps", "images", "network ls", "network inspect tiny", "inspect box", "logs box", "port box", "wait box", "stop box", "info",
		"run --rm --name other --net tiny -p 8080:80 busybox true", "start box", "restart -t 0 box", "rm -f box",
	} {
		c.MustRun("run", "-d", "--name", "box", "--net", "tiny", "-p", "8080:80", "-p", "5300:53/udp", "-m", "64m", "busybox", "sh", "-c", "echo up; exec sleep 1000")
		pid, monitor := initPid(t, c.Host, "box"), monitorPid(t, c.Host, "box")
		if err := kill(monitor); err != nil {
			t.Fatal(err)
		}
		host.Eventually(t, patience, func() error {
			return errors.Join(ended(pid), ended(monitor))
		})
		if r := c.Run(strings.Fields(next)...); r.Code != 0 {
			t.Fatalf("after the monitor died: %v", r)
		}
		if verb, _, _ := strings.Cut(next, " "); verb != "start" && verb != "restart" {
			if err := released(c.Host); err != nil {
				t.Errorf("after mini %s: %v", next, err)
			}
			if verb != "rm" {
				wantOut(t, c.Run("ps", "-a", "--filter", "name=^box$", "--format", "{{slice .Status 0 12}}"), "Exited (137)")
			}
			c.works()
		}
		c.check("mini "+next, "ps", "-a")
	}
	c.works()
}

func TestMonitorKilledOfARemovedContainer(t *testing.T) {
	t.Parallel()
	c := newCalm(t)
	c.MustRun("run", "-d", "--rm", "--name", "box", "--net", "tiny", "-p", "8080:80", "-v", "/anon", "busybox", "sleep", "1000")
	if err := kill(monitorPid(t, c.Host, "box")); err != nil {
		t.Fatal(err)
	}
	host.Eventually(t, patience, func() error {
		if r := c.Run("ps", "-a", "-q"); r.Out() != "" || r.Code != 0 {
			return fmt.Errorf("%v", r)
		}
		return nil
	})
	if err := c.compare(); err != nil {
		t.Error(err)
	}
	if left := dirNames(t, c.Root+"/volumes"); len(left) > 0 {
		t.Errorf("anonymous volumes are left: %q", left)
	}
	c.works()
}

// TestInitKilledFromOutside: somebody kills the container's process itself.
func TestInitKilledFromOutside(t *testing.T) {
	t.Parallel()
	c := newCalm(t)
	c.MustRun("run", "-d", "--name", "box", "--net", "tiny", "-p", "8080:80", "busybox", "sleep", "1000")
	if err := kill(initPid(t, c.Host, "box")); err != nil {
		t.Fatal(err)
	}
	wantOut(t, c.Run("wait", "box"), "137")
	c.MustRun("rm", "box")
	if err := c.compare(); err != nil {
		t.Error(err)
	}
}

const (
	crashRounds = 32
	crashStep   = 500 * time.Microsecond // so that the last one is well past a start
)

// TestCommandKilledAtAnyMoment kills run at growing delays. Either there is a
// container that lives, or there is nothing.
func TestCommandKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	c := newCalm(t)
	for _, flags := range [][]string{{"-d"}, {"--rm"}} {
		for i := range crashRounds {
			delay := time.Duration(i) * crashStep
			args := append(append([]string{"run"}, flags...), "--name", "box", "--net", "tiny", "-p", "8080:80", "-v", "/anon", "busybox", "sleep", "1000")
			p := c.Start(c.Mini(args...))
			time.Sleep(delay) // the moment to be killed at
			if err := kill(p.Pid()); err != nil {
				t.Fatal(err)
			}
			p.Wait(patience)
			c.check(fmt.Sprintf("run %s killed after %v", flags[0], delay), "ps", "-a")
		}
	}
	c.works()
}

// TestMonitorKilledAtAnyMoment kills the monitor at growing delays after it
// came to life.
func TestMonitorKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	c := newCalm(t)
	for _, flags := range [][]string{{"-d"}, {"-d", "--rm"}} {
		for i := range crashRounds {
			delay := time.Duration(i) * crashStep
			args := append(append([]string{"run"}, flags...), "--name", "box", "--net", "tiny", "-p", "8080:80", "busybox", "sleep", "1000")
			p := c.Start(c.Mini(args...))
			monitor, err := childOf(p)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(delay) // the moment to be killed at
			if err := kill(monitor); err != nil {
				t.Fatal(err)
			}
			r := p.Wait(patience)
			if r.Err != nil || r.Code != 0 && r.Code != 125 {
				t.Fatalf("run whose monitor was killed after %v: %v", delay, r)
			}
			c.check(fmt.Sprintf("monitor killed after %v", delay), "ps", "-a")
		}
	}
	c.works()
}
