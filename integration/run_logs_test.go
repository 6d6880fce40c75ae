package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/minirt/mini/integration/host"
)

func TestLogs(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	h.MustRun("run", "-d", "--net", "none", "--name", "box", "busybox", "sh", "-c",
		"echo one; sleep 0.1; echo two >&2; sleep 0.1; echo three; while [ ! -e /go ]; do sleep 0.02; done; echo four; printf unterminated; exit 3")
	host.Eventually(t, patience, func() error {
		if r := h.Run("logs", "box"); r.Stdout != "one\nthree\n" || r.Stderr != "two\n" {
			return fmt.Errorf("%v", r)
		}
		return nil
	})
	wantOutput(t, h.Run("logs", "--tail", "1", "box"), "three\n", "")
	wantOutput(t, h.Run("logs", "-n", "2", "box"), "three\n", "two\n")
	wantOutput(t, h.Run("logs", "--tail", "0", "box"), "", "")
	wantOutput(t, h.Run("logs", "--tail", "all", "box"), "one\nthree\n", "two\n")
	t.Log("time stamps")
	stamped := h.Run("logs", "-t", "--tail", "1", "box").Stdout
	stamp, text, _ := strings.Cut(stamped, " ")
	when, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil || text != "three\n" || time.Since(when) > time.Minute || time.Since(when) < 0 {
		t.Errorf("%q: %v", stamped, err)
	}
	t.Log("since and until")
	second := when.Add(time.Second).Format(time.RFC3339)
	host.Eventually(t, patience, func() error {
		if time.Now().Before(when.Add(2 * time.Second)) {
			return fmt.Errorf("too early to tell the two parts of the log apart")
		}
		return nil
	})
	follower := h.Start(h.Mini("logs", "-f", "--tail", "1", "box"))
	host.Eventually(t, patience, func() error {
		if follower.Stdout() != "three\n" {
			return fmt.Errorf("the follower shows %q", follower.Stdout())
		}
		return nil
	})
	wantCode(t, h.Run("exec", "box", "touch", "/go"), 0)
	t.Log("logs -f ends with the container")
	r := follower.Wait(patience)
	wantOutput(t, r, "three\nfour\nunterminated", "")
	wantCode(t, r, 0)
	wantOutput(t, h.Run("logs", "--since", second, "box"), "four\nunterminated", "")
	wantOutput(t, h.Run("logs", "--until", second, "box"), "one\nthree\n", "two\n")
	wantOutput(t, h.Run("logs", "--since", "1h", "box"), "one\nthree\nfour\nunterminated", "two\n")
	wantOutput(t, h.Run("logs", "-f", "box"), "one\nthree\nfour\nunterminated", "two\n")
	fails(t, h.Run("logs", "--since", "soon", "box"), 1, `invalid value for "since": invalid time "soon"`)
	wantOutput(t, h.Run("logs", "--tail", "x", "box"), "one\nthree\nfour\nunterminated", "two\n") // all, as with Docker
	t.Log("of a container that never ran")
	h.MustRun("create", "--net", "none", "--name", "fresh", "busybox", "true")
	wantOutput(t, h.Run("logs", "fresh"), "", "")
}

func TestPortAndTop(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	h.MustRun("run", "-d", "--name", "box", "-p", "8080:80", "-p", "127.0.0.1:5300:53/udp", "busybox", "sh", "-c", "sleep 1000 & sleep 2000; true")
	wantOut(t, h.Run("port", "box"), "53/udp -> 127.0.0.1:5300\n80/tcp -> 0.0.0.0:8080")
	wantOut(t, h.Run("port", "box", "80"), "0.0.0.0:8080")
	wantOut(t, h.Run("port", "box", "53/udp"), "127.0.0.1:5300")
	r := h.Run("port", "box", "81")
	if r.Code != 1 || !strings.Contains(r.Stderr, "no public port '81/tcp' published for box") && !strings.Contains(r.Stderr, "no public port '81' published for box") {
		t.Errorf("%v", r)
	}
	host.Eventually(t, patience, func() error {
		top := h.Run("top", "box")
		lines := strings.Split(top.Out(), "\n")
		if len(lines) != 4 || strings.Join(strings.Fields(lines[0]), " ") != "UID PID PPID C STIME TTY TIME CMD" {
			return fmt.Errorf("%v", top)
		}
		pid := initPid(t, h, "box")
		if f := strings.Fields(lines[1]); f[0] != "root" && f[0] != "0" || f[1] != fmt.Sprint(pid) || !strings.HasSuffix(lines[1], "sh -c sleep 1000 & sleep 2000; true") {
			return fmt.Errorf("want process %d first: %v", pid, top)
		}
		if !strings.Contains(top.Stdout, " sleep 1000\n") || !strings.Contains(top.Stdout, " sleep 2000\n") {
			return fmt.Errorf("%v", top)
		}
		return nil
	})
	h.MustRun("stop", "-t", "0", "box")
	id := h.MustRun("inspect", "-f", "{{.Id}}", "box")
	if r := h.Run("top", "box"); r.Code != 1 || !strings.Contains(strings.ToLower(r.Stderr), "container "+id+" is not running") {
		t.Errorf("%v", r)
	}
	wantOut(t, h.Run("port", "box"), "")
}
