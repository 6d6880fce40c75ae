package integration

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/minirt/mini/integration/host"
)

func TestStop(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	const trap = `trap 'echo got TERM; exit 0' TERM; trap 'echo got USR1; exit 1' USR1; trap 'echo got INT; exit 2' INT; echo ready; while :; do sleep 0.02; done`
	start := func(t *testing.T, flags []string, cmd ...string) {
		t.Helper()
		h.MustRun(append(append([]string{"run", "-d", "--net", "none", "--name", "box"}, flags...), append([]string{"busybox"}, cmd...)...)...)
		host.Eventually(t, patience, func() error {
			if cmd[0] == "sh" && !strings.Contains(h.Run("logs", "box").Stdout, "ready\n") {
				return fmt.Errorf("not ready")
			}
			return nil
		})
	}
	for _, c := range []struct {
		name  string
		flags []string
		stop  []string
		cmd   []string
		log   string
		code  int
		least time.Duration
	}{
		{"sends TERM", nil, nil, []string{"sh", "-c", trap}, "ready\ngot TERM\n", 0, 0},
		{"sends the stop signal", []string{"--stop-signal", "SIGUSR1"}, nil, []string{"sh", "-c", trap}, "ready\ngot USR1\n", 1, 0},
		{"sends what -s says", nil, []string{"-s", "INT"}, []string{"sh", "-c", trap}, "ready\ngot INT\n", 2, 0},
		{"kills after -t", nil, []string{"-t", "1"}, []string{"sleep", "1000"}, "", 137, time.Second},
		{"kills after --stop-timeout", []string{"--stop-timeout", "1"}, nil, []string{"sleep", "1000"}, "", 137, time.Second},
		{"-t above --stop-timeout", []string{"--stop-timeout", "100"}, []string{"--time=0"}, []string{"sleep", "1000"}, "", 137, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			start(t, c.flags, c.cmd...)
			r := h.Run(append(append([]string{"stop"}, c.stop...), "box")...)
			wantOut(t, r, "box")
			if r.Elapsed < c.least || r.Elapsed > c.least+3*time.Second {
				t.Errorf("it took %v, want %v and a little", r.Elapsed, c.least)
			}
			wantOut(t, h.Run("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "box"), fmt.Sprintf("exited %d", c.code))
			if log := h.Run("logs", "box"); log.Stdout != c.log {
				t.Errorf("%v", log)
			}
			wantOut(t, h.Run("stop", "box"), "box") // again: no error
			wantOut(t, h.Run("rm", "box"), "box")
		})
	}
	t.Run("a bad signal", func(t *testing.T) {
		for _, args := range [][]string{{"run", "--stop-signal", "NOSUCH", "busybox", "true"}, {"kill", "-s", "NOSUCH", "box"}} {
			if r := h.Run(args...); r.Code == 0 || !strings.Contains(strings.ToLower(r.Stderr), "invalid signal: nosuch") {
				t.Errorf("%v", r)
			}
		}
	})
}

func TestKillNeedsARunningContainer(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	id := h.MustRun("create", "--net", "none", "--name", "box", "busybox", "true")
	wantError(t, h.Run("kill", "box"), 1, fmt.Sprintf("Error: cannot kill container: box: container %s is not running", id))
}

func TestKillSendsTheSignal(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	h.MustRun("run", "-d", "--net", "none", "--name", "box", "busybox", "sh", "-c", "trap 'echo hup' HUP; trap 'echo usr2' USR2; echo ready; while :; do sleep 0.02; done")
	log := func(want string) {
		t.Helper()
		host.Eventually(t, patience, func() error {
			if r := h.Run("logs", "box"); r.Stdout != want {
				return fmt.Errorf("%v", r)
			}
			return nil
		})
	}
	log("ready\n")
	wantOut(t, h.Run("kill", "-s", "HUP", "box"), "box")
	log("ready\nhup\n")
	wantOut(t, h.Run("kill", "--signal", "SIGUSR2", "box"), "box")
	log("ready\nhup\nusr2\n")
	wantOut(t, h.Run("kill", "-s", "1", "box"), "box")
	log("ready\nhup\nusr2\nhup\n")
}

func TestRestartKeepsNameIDAndFiles(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	id := h.MustRun("run", "-d", "--name", "box", "-p", "8080:80", "busybox", "sh", "-c", "echo up >> /count; exec httpd -f -p 80 -h /")
	for i := 1; i <= 3; i++ {
		want := strings.Repeat("up\n", i)
		host.Eventually(t, patience, func() error {
			r, err := h.HTTPGet(host.Inside, "http://127.0.0.1:8080/count")
			if err == nil && r.Body != want {
				err = fmt.Errorf("got %q, want %q", r.Body, want)
			}
			return err
		})
		before := initPid(t, h, "box")
		wantOut(t, h.Run("restart", "-t", "0", "box"), "box")
		if initPid(t, h, "box") == before {
			t.Error("the same process after a restart")
		}
		wantOut(t, h.Run("inspect", "-f", "{{.Id}} {{.Name}}", "box"), id+" /box")
	}
	t.Log("a stopped one is started")
	h.MustRun("stop", "-t", "0", "box")
	wantOut(t, h.Run("restart", "box"), "box")
	wantOut(t, h.Run("inspect", "-f", "{{.State.Running}}", "box"), "true")
}

func TestRename(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	id := h.MustRun("run", "-d", "--net", "none", "--name", "old", "busybox", "sleep", "1000")
	wantOutput(t, h.Run("rename", "old", "new"), "", "")
	wantOut(t, h.Run("inspect", "-f", "{{.Id}} {{.Name}}", "new"), id+" /new")
	wantError(t, h.Run("inspect", "-f", "x", "old"), 1, "Error: No such object: old")
	h.MustRun("create", "--net", "none", "--name", "old", "busybox", "true")
	r := h.Run("rename", "old", "new")
	if r.Code != 1 || !strings.Contains(r.Stderr, fmt.Sprintf("The container name \"/new\" is already in use by container %q", id)) {
		t.Errorf("%v", r)
	}
	for _, bad := range []string{"", "a/b", "..", "-x", "ä"} {
		if r := h.Run("rename", "--", "old", bad); r.Code == 0 || r.Stderr == "" {
			t.Errorf("%v", r)
		}
	}
	wantOut(t, h.Run("ps", "-a", "--format", "{{.Names}}"), "old\nnew")
	wantOut(t, h.Run("exec", "new", "echo", "fine"), "fine")
	wantOut(t, h.Run("rm", "-f", "new", "old"), "new\nold")
}

func TestRm(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	h.MustRun("run", "-d", "--name", "box", "busybox", "sleep", "1000")
	wantError(t, h.Run("rm", "box"), 1,
		`Error: cannot remove container "/box": container is running: stop the container before removing or force remove`)
	wantOut(t, h.Run("rm", "-f", "box"), "box")
	wantOut(t, h.Run("ps", "-aq"), "")
	t.Log("rm -f of one that is not there is no error, as in Docker")
	r := h.Run("rm", "-f", "box")
	if r.Code != 0 && r.Code != 1 || !strings.Contains(r.Stderr, "No such container: box") {
		t.Errorf("%v", r)
	}
	t.Log("the name is free again")
	wantOut(t, h.Run("run", "--rm", "--name", "box", "busybox", "echo", "again"), "again")
}

func TestCreateAndStart(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	r := h.Run("create", "--name", "box", "busybox", "sh", "-c", "echo hello; sleep 1000")
	if !regexp.MustCompile(`^[0-9a-f]{64}\n$`).MatchString(r.Stdout) {
		t.Fatalf("%v", r)
	}
	wantOut(t, h.Run("inspect", "-f", "{{.State.Status}} {{.State.Pid}}", "box"), "created 0")
	wantOut(t, h.Run("start", "box"), "box")
	wantOut(t, h.Run("start", "box"), "box") // running already: no error, as in Docker
	host.Eventually(t, patience, func() error {
		if r := h.Run("logs", "box"); r.Stdout != "hello\n" {
			return fmt.Errorf("%v", r)
		}
		return nil
	})
}

// TestCreatedStaysUntilItIsStarted: --rm is for afterwards.
func TestCreatedStaysUntilItIsStarted(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	id := h.MustRun("create", "--rm", "--name", "box", "busybox", "echo", "hello")
	for range 3 {
		wantOut(t, h.Run("ps", "-aq", "--no-trunc"), id)
	}
	wantOut(t, h.Run("start", "-a", "box"), "hello")
	wantOut(t, h.Run("ps", "-aq", "--no-trunc"), "")
}

func TestCidfile(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	file := h.Dir + "/cid"
	id := h.MustRun("run", "-d", "--net", "none", "--cidfile", file, "busybox", "sleep", "1000")
	if text, err := os.ReadFile(file); err != nil || string(text) != id {
		t.Errorf("%q, %v; want %s", text, err, id)
	}
	r := h.Run("run", "--cidfile", file, "busybox", "true")
	if r.Code != 125 || !strings.Contains(r.Stderr, file) || !strings.Contains(r.Stderr, "container ID file found") {
		t.Errorf("%v", r)
	}
	wantOut(t, h.Run("ps", "-aq", "--no-trunc"), id)
}
