package integration

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minirt/mini/integration/host"
)

func TestDetachedRunPrintsTheID(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	r := h.Run("run", "-d", "--name", "box", "busybox", "sleep", "1000")
	if r.Code != 0 || !regexp.MustCompile(`^[0-9a-f]{64}\n$`).MatchString(r.Stdout) || r.Stderr != "" {
		t.Fatalf("want the id alone:\n%v", r)
	}
	id := r.Out()
	wantOut(t, h.Run("ps", "-q", "--no-trunc"), id)
	wantOut(t, h.Run("ps", "-q"), id[:12])
	wantOut(t, h.Run("inspect", "-f", "{{.Name}} {{.State.Status}}", id[:5]), "/box running")
}

func TestStdinIsPiped(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	pipe := func(stdin string, args ...string) host.Result {
		c := h.Mini(args...)
		c.Stdin = stdin
		return h.Do(c)
	}
	wantOut(t, pipe("hi\n", "run", "--rm", "-i", "--net", "none", "busybox", "cat"), "hi")
	t.Run("without -i it is empty", func(t *testing.T) {
		wantOut(t, pipe("hi\n", "run", "--rm", "--net", "none", "busybox", "cat"), "")
	})
	t.Run("start -ai", func(t *testing.T) {
		h.MustRun("create", "-i", "--net", "none", "--name", "box", "busybox", "tr", "a-z", "A-Z")
		for _, text := range []string{"one", "two"} {
			wantOut(t, pipe(text, "start", "-a", "-i", "box"), strings.ToUpper(text))
		}
	})
	t.Run("exec -i", func(t *testing.T) {
		h.MustRun("run", "-d", "--net", "none", "--name", "echo", "busybox", "sleep", "1000")
		wantOut(t, pipe("hi", "exec", "-i", "echo", "cat"), "hi")
		wantOut(t, pipe("hi", "exec", "echo", "cat"), "")
	})
	t.Run("all of it, unchanged", func(t *testing.T) {
		data := noise(3 << 20)
		want := fmt.Sprintf("%x  -", md5.Sum(data))
		wantOut(t, pipe(string(data), "run", "--rm", "-i", "--net", "none", "busybox", "md5sum"), want)
		wantOut(t, pipe(string(data), "exec", "-i", "echo", "md5sum"), want)
	})
	t.Run("a program that reads none of it", func(t *testing.T) {
		wantCode(t, pipe(string(noise(1<<20)), "run", "--rm", "-i", "--net", "none", "busybox", "sh", "-c", "exit 3"), 3)
	})
}

// noise is data with every byte in it, the same for each call.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint32(2463534242)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

func TestOutputsAreApartAndBinarySafe(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	const script = `printf 'out\0\377\r\n'; printf 'err\0\376\n' >&2`
	r := h.Run("run", "--rm", "--net", "none", "busybox", "sh", "-c", script)
	wantOutput(t, r, "out\x00\xff\r\n", "err\x00\xfe\n")
	h.MustRun("run", "-d", "--net", "none", "--name", "box", "busybox", "sleep", "1000")
	wantOutput(t, h.Run("exec", "box", "sh", "-c", script), "out\x00\xff\r\n", "err\x00\xfe\n")
	data := noise(1 << 20)
	file := writeFile(t, h, "noise", string(data), 0o644)
	r = h.Run("run", "--rm", "--net", "none", "-v", file+":/noise", "busybox", "cat", "/noise")
	if r.Stdout != string(data) {
		t.Errorf("the output differs from the file: %d bytes of %d, exit code %d", len(r.Stdout), len(data), r.Code)
	}
}

func TestLargeOutput(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	// 10 MB of lines, some of them longer than a log record.
	var text bytes.Buffer
	for i := 0; text.Len() < 10<<20; i++ {
		fmt.Fprintf(&text, "%d %s\n", i, strings.Repeat("x", i%997*(1+i%83/82*60)))
	}
	want := fmt.Sprintf("%x", md5.Sum(text.Bytes()))
	file := writeFile(t, h, "lines", text.String(), 0o644)
	r := h.Run("run", "--net", "none", "--name", "box", "-v", file+":/lines", "busybox", "cat", "/lines")
	for _, r := range []host.Result{r, h.Run("logs", "box")} {
		if got := fmt.Sprintf("%x", md5.Sum([]byte(r.Stdout))); got != want || r.Code != 0 {
			t.Errorf("%v: %d bytes of %d with checksum %s, want %s", r.Args, len(r.Stdout), text.Len(), got, want)
		}
	}
}

func TestClientKilledLeavesTheContainer(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	p := h.Start(h.Mini("run", "--net", "none", "--name", "box", "busybox", "sh", "-c", "while :; do date; sleep 0.1; done"))
	host.Eventually(t, patience, func() error {
		if p.Stdout() == "" {
			return fmt.Errorf("no output yet")
		}
		return nil
	})
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.Wait(patience)
	wantOut(t, h.Run("inspect", "-f", "{{.State.Running}}", "box"), "true")
	wantOut(t, h.Run("exec", "box", "echo", "alive"), "alive")
	lines := strings.Count(h.MustRun("logs", "box"), "\n")
	host.Eventually(t, patience, func() error {
		if strings.Count(h.Run("logs", "box").Stdout, "\n") <= lines {
			return fmt.Errorf("the container writes nothing any more")
		}
		return nil
	})
}

// TestReaderThatGoesAway: run ends, as programs do whose output is a broken
// pipe, and the container is not held up by it.
func TestReaderThatGoesAway(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	mini := strings.Join(h.Mini("run", "--net", "none", "--name", "box", "busybox", "seq", "1", "1000000").Args, " ")
	r := h.Do(host.Command{Args: []string{"sh", "-c", mini + " | head -n 1"}, Timeout: 20 * time.Second})
	wantOut(t, r, "1")
	awaitStatus(t, h, "box", "exited")
	wantOut(t, h.Run("inspect", "-f", "{{.State.ExitCode}}", "box"), "0")
	wantOut(t, h.Run("logs", "--tail", "1", "box"), "1000000")
}

// TestSlowReaderLosesNothing: a client that is stopped for a while gets all
// that was written meanwhile.
func TestSlowReaderLosesNothing(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	script := "echo ready; while [ ! -e /go ]; do sleep 0.02; done; seq 1 200000"
	p := h.Start(h.Mini("run", "--rm", "--net", "none", "--name", "box", "busybox", "sh", "-c", script))
	host.Eventually(t, patience, func() error {
		if p.Stdout() != "ready\n" {
			return fmt.Errorf("not ready: %q", p.Stdout())
		}
		return nil
	})
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	wantCode(t, h.Run("exec", "box", "touch", "/go"), 0)
	time.Sleep(200 * time.Millisecond) // long enough to fill every buffer on the way
	if err := p.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r := p.Wait(patience)
	if !strings.HasSuffix(r.Stdout, "\n200000\n") || strings.Count(r.Stdout, "\n") != 200001 || r.Code != 0 {
		t.Errorf("%d lines, exit code %d", strings.Count(r.Stdout, "\n"), r.Code)
	}
}

// TestSignalsAreProxied: a signal to an attached run without a terminal goes
// to the container.
func TestSignalsAreProxied(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	script := `trap 'echo got TERM; exit 5' TERM; trap 'echo got USR1' USR1; echo ready; while :; do sleep 0.05; done`
	p := h.Start(h.Mini("run", "--rm", "--net", "none", "busybox", "sh", "-c", script))
	expect := func(text string) {
		t.Helper()
		host.Eventually(t, patience, func() error {
			if !strings.Contains(p.Stdout(), text) {
				return fmt.Errorf("no %q in %q", text, p.Stdout())
			}
			return nil
		})
	}
	expect("ready\n")
	for _, s := range []os.Signal{syscall.SIGUSR1, syscall.SIGTERM} {
		if err := p.Signal(s); err != nil {
			t.Fatal(err)
		}
		expect("got " + map[os.Signal]string{syscall.SIGUSR1: "USR1", syscall.SIGTERM: "TERM"}[s])
	}
	wantCode(t, p.Wait(patience), 5)
}

// TestAttachedClientsSeeTheSameOutput: several attached clients and the log agree.
func TestAttachedClientsSeeTheSameOutput(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	h.MustRun("run", "-d", "-i", "--net", "none", "--name", "box", "busybox", "sh", "-c", "read x; seq 1 20000; exit 4")
	readers := []*host.Process{h.Start(h.Mini("attach", "--no-stdin", "box")), h.Start(h.Mini("attach", "--no-stdin", "box"))}
	host.Eventually(t, patience, func() error { return connected(monitorPid(t, h, "box"), 2) })
	c := h.Mini("attach", "box")
	c.Stdin = "go\n"
	first := h.Do(c)
	wantCode(t, first, 4)
	for _, p := range readers {
		r := p.Wait(patience)
		wantCode(t, r, 4)
		if r.Stdout != first.Stdout || !strings.HasSuffix(r.Stdout, "\n20000\n") {
			t.Errorf("a reader saw %d bytes, another %d", len(r.Stdout), len(first.Stdout))
		}
	}
	if log := h.Run("logs", "box"); log.Stdout != first.Stdout {
		t.Errorf("the log has %d bytes, a reader saw %d", len(log.Stdout), len(first.Stdout))
	}
}
