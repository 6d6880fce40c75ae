package integration

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// Busybox' shell shows this. It asks the terminal for its cursor first.
const prompt = `/ # `

// terminal drives a program on a terminal of the test.
type terminal struct {
	*host.Pty
	t testing.TB
}

// onTerminal runs mini on a terminal.
func onTerminal(t testing.TB, h *host.Host, args ...string) terminal {
	t.Helper()
	return terminal{h.Pty(h.Mini(args...)), t}
}

// expect waits for something that matches, behind what was matched before.
func (tm terminal) expect(pattern string) string {
	tm.t.Helper()
	text, err := tm.Expect(pattern, patience)
	if err != nil {
		tm.t.Fatalf("%v\nscreen:\n%s", err, tm.Screen())
	}
	return text
}

func (tm terminal) send(text string) {
	tm.t.Helper()
	if err := tm.Send(text); err != nil {
		tm.t.Fatal(err)
	}
}

// ask types a line and waits for an answer at the beginning of a line: what
// was typed is shown too.
func (tm terminal) ask(line, answer string) {
	tm.t.Helper()
	tm.send(line + "\r")
	tm.expect(`\n` + answer + `\r\n`)
	tm.expect(prompt)
}

// sleep starts a program that waits, and waits until it is in the foreground.
func (tm terminal) sleep() {
	tm.t.Helper()
	tm.send("sh -c 'echo \"star\"ted; exec sleep 1000'\r")
	tm.expect(`\nstarted\r\n`)
}

func (tm terminal) wantCode(code int) {
	tm.t.Helper()
	r := tm.Wait(patience)
	if r.Code != code || r.Err != nil {
		tm.t.Fatalf("want exit code %d, got %d (%v); screen:\n%s", code, r.Code, r.Err, tm.Screen())
	}
}

func TestInteractiveShell(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	tm := onTerminal(t, h, "run", "-it", "--rm", "--net", "none", "--name", "box", "busybox", "sh")
	tm.expect(prompt)
	tm.ask("tty", "/dev/pts/0")
	tm.ask("echo $TERM", "xterm")
	tm.ask("test -t 0 && test -t 1 && test -t 2 && echo all-three", "all-three")
	tm.ask("echo hello > /dev/tty", "hello")
	tm.ask("echo hello > /dev/console", "hello")
	tm.ask("stty size", "24 80")
	for _, size := range [][2]int{{132, 50}, {40, 10}, {211, 61}} {
		if err := tm.Resize(size[0], size[1]); err != nil {
			t.Fatal(err)
		}
		host.Eventually(t, patience, func() error { return hasSize(h, "box", size) })
		tm.ask("stty size", fmt.Sprintf("%d %d", size[1], size[0]))
	}
	t.Log("^C reaches the foreground process, and not the shell")
	tm.sleep()
	tm.send("\x03")
	tm.expect(prompt)
	tm.ask("echo $?", "130")
	t.Log("end of file ends the shell with its last code")
	tm.send("(exit 42)\r")
	tm.expect(prompt)
	tm.send("\x04")
	tm.wantCode(42)
}

// hasSize asks from outside, so that the size is there when the shell is asked.
func hasSize(h *host.Host, container string, size [2]int) error {
	want := fmt.Sprintf("%d %d", size[1], size[0])
	r := h.Run("exec", container, "sh", "-c", "stty size < /dev/pts/0")
	if r.Out() != want {
		return fmt.Errorf("want the size %s: %v", want, r)
	}
	return nil
}

func TestTerminalExitCode(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	tm := onTerminal(t, h, "run", "-it", "--net", "none", "--name", "box", "busybox", "sh")
	tm.expect(prompt)
	tm.send("exit 9\r")
	tm.wantCode(9)
	wantOut(t, h.Run("inspect", "-f", "{{.State.ExitCode}}", "box"), "9")
	t.Log("start it again, attached")
	tm = onTerminal(t, h, "start", "-ai", "box")
	tm.expect(prompt)
	tm.ask("stty size", "24 80")
	tm.send("exit 10\r")
	tm.wantCode(10)
	t.Log("what the terminal showed is in the log")
	if log := h.Run("logs", "box").Stdout; !strings.Contains(log, "exit 9\r\n") || !strings.Contains(log, "exit 10\r\n") {
		t.Errorf("log: %q", log)
	}
}

func TestDetachAndAttach(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	tm := onTerminal(t, h, "run", "-it", "--net", "none", "--name", "box", "busybox", "sh")
	tm.expect(prompt)
	tm.send("x=kept\r")
	tm.expect(prompt)
	tm.send("\x10\x11")
	tm.wantCode(0)
	wantOut(t, h.Run("inspect", "-f", "{{.State.Running}}", "box"), "true")
	t.Log("attach again, to the same shell")
	tm = onTerminal(t, h, "attach", "box")
	host.Eventually(t, patience, func() error { return connected(monitorPid(t, h, "box"), 1) })
	tm.send("\r")
	tm.expect(prompt)
	tm.ask("echo $x", "kept")
	t.Log("half of the keys is no order to detach")
	tm.send("echo \x10a\r")
	tm.expect(prompt)
	t.Log("other keys, chosen")
	tm.send("\x10\x11")
	tm.wantCode(0)
	tm = onTerminal(t, h, "attach", "--detach-keys", "ctrl-a,d", "box")
	host.Eventually(t, patience, func() error { return connected(monitorPid(t, h, "box"), 1) })
	tm.send("\r")
	tm.expect(prompt)
	tm.send("\x01d")
	tm.wantCode(0)
	t.Log("an exec detaches as well, and is left running")
	tm = onTerminal(t, h, "exec", "-it", "box", "sh")
	tm.expect(prompt)
	tm.sleep()
	tm.send("\x10\x11")
	tm.wantCode(0)
	wantCode(t, h.Run("exec", "box", "pidof", "sleep"), 0)
	t.Log("and the exit code comes through attach")
	tm = onTerminal(t, h, "attach", "box")
	host.Eventually(t, patience, func() error { return connected(monitorPid(t, h, "box"), 1) })
	tm.send("\rexit 3\r")
	tm.wantCode(3)
}

func TestExecOnATerminal(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	h.MustRun("run", "-d", "--net", "none", "--name", "box", "busybox", "sleep", "1000")
	tm := onTerminal(t, h, "exec", "-it", "box", "sh")
	tm.expect(prompt)
	tm.ask("tty", `/dev/pts/\d`)
	tm.ask("stty size", "24 80")
	tm.ask("echo $TERM", "xterm")
	if err := tm.Resize(100, 30); err != nil {
		t.Fatal(err)
	}
	host.Eventually(t, patience, func() error { return hasSize(h, "box", [2]int{100, 30}) })
	tm.sleep()
	tm.send("\x03")
	tm.expect(prompt)
	tm.send("exit 21\r")
	tm.wantCode(21)
	t.Log("as another user, whose terminal it is")
	tm = onTerminal(t, h, "exec", "-it", "-u", "app", "box", "sh")
	tm.expect(`\$ `)
	tm.send("echo hello > $(tty); id -un\r")
	tm.expect(`\nhello\r\napp\r\n`)
	tm.send("exit\r")
	tm.wantCode(0)
}

// TestTerminalWithoutStdin: -t alone gives the container a terminal and takes
// no keys.
func TestTerminalWithoutStdin(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	tm := onTerminal(t, h, "run", "-t", "--rm", "--net", "none", "busybox", "sh", "-c", "tty; stty size")
	tm.expect(`/dev/pts/0\r+\n24 80\r+\n`)
	tm.wantCode(0)
	t.Log("and with no terminal on the other side")
	r := h.Run("run", "-t", "--rm", "--net", "none", "busybox", "sh", "-c", "tty; echo error >&2")
	wantOutput(t, r, "/dev/pts/0\r\nerror\r\n", "")
	t.Log("-it needs one")
	wantError(t, h.Run("run", "-it", "--rm", "--net", "none", "busybox", "true"), 1, "the input device is not a TTY")
	h.MustRun("run", "-d", "--net", "none", "--name", "box", "busybox", "sleep", "1000")
	wantError(t, h.Run("exec", "-it", "box", "true"), 1, "the input device is not a TTY")
}

// TestTerminalIsRestored runs stty after mini on the same terminal.
func TestTerminalIsRestored(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	mini := strings.Join(h.Mini().Args, " ")
	h.MustRun("create", "--net", "none", "--name", "taken", "busybox", "true")
	for name, run := range map[string]string{
		"after exit":        "run -it --rm --net none busybox sh -c 'exit 5'",
		"after a kill":      "run -it --rm --net none busybox sh -c 'sh -c \"kill -9 $$\"'",
		"after not found":   "run -it --rm --net none busybox nosuchprogram",
		"after a taken one": "run -it --name taken busybox sh",
	} {
		t.Run(name, func(t *testing.T) {
			script := fmt.Sprintf("stty -a > /tmp/before; %s %s; stty -a > /tmp/after; cmp /tmp/before /tmp/after && echo RESTORED; rm /tmp/before /tmp/after", mini, run)
			tm := terminal{h.Pty(host.Command{Args: []string{"sh", "-c", script}}), t}
			tm.expect("RESTORED")
			tm.wantCode(0)
		})
	}
}

// TestHintForAShellWithoutStdin: the title of the README's first command, as
// many type it.
func TestHintForAShellWithoutStdin(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	tm := onTerminal(t, h, "run", "--rm", "--net", "none", "busybox", "sh")
	tm.expect(`[^\n]*-it[^\n]*\n`)
	tm.wantCode(0)
	if n := len(regexp.MustCompile(`\n`).FindAllString(tm.Screen(), -1)); n != 1 {
		t.Errorf("the hint should be one line:\n%s", tm.Screen())
	}
	t.Log("no hint for other programs, with -i, or without a terminal")
	tm = onTerminal(t, h, "run", "--rm", "--net", "none", "busybox", "sh", "-c", "echo done")
	tm.expect("done")
	tm.wantCode(0)
	if strings.Contains(tm.Screen(), "-it") {
		t.Errorf("a hint for a script:\n%s", tm.Screen())
	}
	wantOutput(t, h.Run("run", "--rm", "--net", "none", "busybox", "sh"), "", "")
}

// TestHangUp: closing the window ends the client, not the container.
func TestHangUp(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	tm := onTerminal(t, h, "run", "-it", "--net", "none", "--name", "box", "busybox", "sh")
	tm.expect(prompt)
	if err := tm.Close(); err != nil {
		t.Fatal(err)
	}
	if r := tm.Wait(patience); r.Err != nil {
		t.Errorf("the client stays: %v", r)
	}
	wantOut(t, h.Run("inspect", "-f", "{{.State.Running}}", "box"), "true")
}
