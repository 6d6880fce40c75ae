package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// endings are ways in which a container's command ends, or does not begin.
var endings = []struct {
	name    string
	cmd     []string
	code    int
	message string // first line on the standard error of run
}{
	{"success", []string{"true"}, 0, ""},
	{"its own code", []string{"sh", "-c", "exit 7"}, 7, ""},
	{"the largest code", []string{"sh", "-c", "exit 255"}, 255, ""},
	{"a shell whose child was killed", []string{"sh", "-c", "sh -c 'kill -9 $$'; exit $?"}, 137, ""},
	{"a shell whose child was terminated", []string{"sh", "-c", "sh -c 'kill -15 $$'; exit $?"}, 143, ""},
	{"not in PATH", []string{"nosuchprogram"}, 127, `mini: exec: "nosuchprogram": executable file not found in $PATH`},
	{"no such path", []string{"/no/such"}, 127, `mini: exec: "/no/such": stat /no/such: no such file or directory`},
	{"not executable", []string{"/etc/passwd"}, 126, `mini: exec: "/etc/passwd": permission denied`},
	{"a directory", []string{"/etc"}, 126, ""},
	{"not a program", []string{"/notaprogram"}, 126, `mini: exec: "/notaprogram": exec format error`},
}

// oddProgram gives a container a file that is executable and no program.
func oddProgram(t *testing.T, h *host.Host) []string {
	t.Helper()
	return []string{"-v", writeFile(t, h, "notaprogram", "\x00\x01\x02", 0o755) + ":/notaprogram"}
}

func TestRunExitCodes(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	odd := oddProgram(t, h)
	for i, e := range endings {
		for _, rm := range []string{"--rm", "--rm=false"} {
			t.Run(e.name+" "+rm, func(t *testing.T) {
				name := fmt.Sprintf("ending%d", i) // no prefix of an id
				args := append([]string{"run", "--net", "none", "--name", name, rm}, odd...)
				r := h.Run(append(append(args, "busybox"), e.cmd...)...)
				wantCode(t, r, e.code)
				if e.message != "" {
					wantError(t, r, e.code, e.message)
				}
				if (e.code < 125 || e.code > 127) && !strings.HasPrefix(e.name, "a shell") {
					wantOutput(t, r, "", "")
				}
				left := h.Run("inspect", "-f", "{{.State.ExitCode}}", name)
				if rm == "--rm" {
					wantCode(t, left, 1)
					return
				}
				wantOut(t, left, fmt.Sprint(e.code))
			})
		}
	}
}

// wantOutput compares both outputs exactly.
func wantOutput(t testing.TB, r host.Result, stdout, stderr string) {
	t.Helper()
	if r.Stdout != stdout || r.Stderr != stderr {
		t.Errorf("want stdout %q and stderr %q:\n%v", stdout, stderr, r)
	}
}

func TestExecExitCodes(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	h.MustRun(append(append([]string{"run", "-d", "--net", "none", "--name", "box"}, oddProgram(t, h)...), "busybox", "sleep", "1000")...)
	for _, e := range endings {
		t.Run(e.name, func(t *testing.T) {
			wantCode(t, h.Run(append([]string{"exec", "box"}, e.cmd...)...), e.code)
		})
	}
	t.Run("killed by signal", func(t *testing.T) {
		wantCode(t, h.Run("exec", "box", "sh", "-c", "kill -9 $$"), 137)
		wantCode(t, h.Run("exec", "box", "sh", "-c", "kill -TERM $$"), 143)
	})
	t.Run("unknown flag", func(t *testing.T) {
		wantError(t, h.Run("exec", "--nosuch", "box", "true"), 125, "unknown flag: --nosuch")
	})
	t.Run("unknown container", func(t *testing.T) {
		wantError(t, h.Run("exec", "nosuch", "true"), 1, "Error: No such container: nosuch")
	})
}

func TestStartAttachedAndWaitGiveTheExitCode(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	for i, e := range endings[:5] {
		t.Run(e.name, func(t *testing.T) {
			name := fmt.Sprintf("c%d", i)
			h.MustRun(append([]string{"create", "--net", "none", "--name", name, "busybox"}, e.cmd...)...)
			for range 2 { // a container can be started again
				wantCode(t, h.Run("start", "-a", name), e.code)
				wantOut(t, h.Run("wait", name), fmt.Sprint(e.code))
			}
		})
	}
	t.Run("not in PATH", func(t *testing.T) {
		h.MustRun("create", "--net", "none", "--name", "absent", "busybox", "nosuchprogram")
		r := h.Run("start", "-a", "absent")
		if r.Code == 0 {
			t.Errorf("%v", r)
		}
		if got := status(h, "absent"); got != "created" {
			t.Errorf("a container that never ran is %s", got)
		}
	})
}

func TestKilledContainerExitCode(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	for _, c := range []struct {
		name string
		run  []string
		end  []string
		code int
	}{
		{"kill", nil, []string{"kill"}, 137},
		{"kill -s KILL", nil, []string{"kill", "-s", "KILL"}, 137},
		{"kill TERM with init", []string{"--init"}, []string{"kill", "-s", "TERM"}, 143},
		{"kill by number with init", []string{"--init"}, []string{"kill", "--signal=10"}, 138},
		{"stop at once", nil, []string{"stop", "-t", "0"}, 137},
		{"stop with init", []string{"--init"}, []string{"stop"}, 143},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"run", "-d", "--net", "none", "--name", "box"}, c.run...)
			h.MustRun(append(args, "busybox", "sleep", "1000")...)
			waiting := h.Start(h.Mini("wait", "box"))
			attached := h.Start(h.Mini("attach", "--no-stdin", "box"))
			// wait and attach have to be there before the container ends.
			host.Eventually(t, patience, func() error { return connected(monitorPid(t, h, "box"), 2) })
			wantOut(t, h.Run(append(c.end, "box")...), "box")
			wantOut(t, waiting.Wait(patience), fmt.Sprint(c.code))
			wantCode(t, attached.Wait(patience), c.code)
			wantOut(t, h.Run("inspect", "-f", "{{.State.ExitCode}} {{.State.Status}}", "box"), fmt.Sprintf("%d exited", c.code))
			wantOut(t, h.Run("rm", "box"), "box")
		})
	}
}

// TestAttachedRunOfAKilledContainer: the code comes through run as well.
func TestAttachedRunOfAKilledContainer(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	for _, rm := range []string{"--rm", "--rm=false"} {
		p := h.Start(h.Mini("run", rm, "--net", "none", "--name", "box", "busybox", "sleep", "1000"))
		awaitStatus(t, h, "box", "running")
		wantOut(t, h.Run("kill", "box"), "box")
		wantCode(t, p.Wait(patience), 137)
	}
}

func TestRunWithoutAnImage(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	wantError(t, h.Run("run"), 1, "mini: 'mini run' requires at least 1 argument")
}

func TestMiniFailureIs125(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	h.MustRun("create", "--name", "taken", "busybox", "true")
	holder := h.MustRun("inspect", "-f", "{{.Id}}", "taken")
	for _, c := range []struct {
		name    string
		args    []string
		message string
	}{
		{"unknown flag", []string{"--nosuch", "busybox"}, "unknown flag: --nosuch"},
		{"unknown short flag", []string{"-x", "busybox"}, "unknown shorthand flag: 'x' in -x"},
		{"unknown image", []string{"nosuch", "true"}, "mini: No such image: nosuch:latest"},
		{"bad -p", []string{"-p", "80:x", "busybox"}, `mini: invalid port mapping "80:x": container port "x" is not a number`},
		{"port out of range", []string{"-p", "80:70000", "busybox"}, `mini: invalid port mapping "80:70000": container port 70000 is not between 1 and 65535`},
		{"taken name", []string{"--name", "taken", "busybox", "true"}, fmt.Sprintf("mini: Conflict. The container name %q is already in use by container %q. "+
			"You have to remove (or rename) that container to be able to reuse that name.", "/taken", holder)},
	} {
		for _, rm := range []string{"--rm", "--rm=false"} {
			t.Run(c.name+" "+rm, func(t *testing.T) {
				wantError(t, h.Run(append([]string{"run", rm}, c.args...)...), 125, c.message)
				wantOut(t, h.Run("ps", "-a", "--format", "{{.Names}}"), "taken")
			})
		}
	}
}
