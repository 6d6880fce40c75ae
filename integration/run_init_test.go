package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

func TestInit(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	run := func(script string) host.Result {
		return h.Run("run", "--rm", "--net", "none", "--init", "busybox", "sh", "-c", script)
	}
	wantOut(t, run("cat /proc/1/comm; test $$ != 1 && echo child"), "mini-init\nchild")
	wantCode(t, run("exit 7"), 7)
	wantCode(t, run("kill -9 $$"), 137)
	wantCode(t, run("kill -TERM $$"), 143)
	wantOut(t, run("ls /proc/$$/fd; true"), "0\n1\n2")
	wantOut(t, run("grep -h -E 'SigBlk|SigIgn' /proc/self/status | tr -d '\\t '"), "SigBlk:0000000000000000\nSigIgn:0000000000000000")
	t.Run("its failures are those of the command", func(t *testing.T) {
		wantCode(t, h.Run("run", "--rm", "--net", "none", "--init", "busybox", "nosuchprogram"), 127)
		wantCode(t, h.Run("run", "--rm", "--net", "none", "--init", "busybox", "/etc/passwd"), 126)
	})
	t.Run("reaps orphans", func(t *testing.T) {
		h.MustRun("run", "-d", "--name", "box", "--net", "none", "--init", "busybox", "sh", "-c",
			"for i in 1 2 3 4 5; do (sh -c 'echo orphan; exit 3' &); done; echo done; exec sleep 1000")
		host.Eventually(t, patience, func() error {
			if r := h.Run("logs", "box"); strings.Count(r.Stdout, "orphan\n") != 5 {
				return fmt.Errorf("%v", r)
			}
			// The init, sleep, and what asks.
			r := h.Run("exec", "box", "sh", "-c", "cat /proc/[0-9]*/stat | cut -d' ' -f2-3")
			if strings.Contains(r.Stdout, " Z") || !strings.HasPrefix(r.Stdout, "(mini-init) S\n(sleep) S\n") {
				return fmt.Errorf("%v", r)
			}
			return nil
		})
		t.Log("TERM ends a program that does not handle it")
		r := h.Run("stop", "box")
		wantOut(t, r, "box")
		wantOut(t, h.Run("inspect", "-f", "{{.State.ExitCode}}", "box"), "143")
	})
	t.Run("on a terminal", func(t *testing.T) {
		tm := onTerminal(t, h, "run", "-it", "--rm", "--net", "none", "--init", "busybox", "sh")
		tm.expect(prompt)
		tm.ask("tty", "/dev/pts/0")
		tm.sleep()
		tm.send("\x03")
		tm.expect(prompt)
		tm.ask("echo $?", "130")
		tm.send("exit 6\r")
		tm.wantCode(6)
	})
	t.Run("^C on a terminal", func(t *testing.T) {
		tm := onTerminal(t, h, "run", "-it", "--rm", "--net", "none", "--init", "busybox", "sh", "-c", "echo ready; exec sleep 1000")
		tm.expect("ready")
		tm.send("\x03")
		tm.wantCode(130)
	})
}
