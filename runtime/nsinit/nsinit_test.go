package nsinit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func newProgram(t testing.TB) *Program {
	t.Helper()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func waitFor(t testing.TB, c *Child) unix.WaitStatus {
	t.Helper()
	ws, err := c.Wait()
	if err != nil {
		t.Fatal(err)
	}
	c.Pidfd.Close()
	return ws
}

// run executes sh -c script with its output in a pipe.
func output(t *testing.T, prepare func(p *Program)) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := newProgram(t)
	p.Call("dup stdout", nil, unix.SYS_DUP3, w.Fd(), 1, 0)
	prepare(p)
	c, err := Start(p, Options{})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitExec(); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if ws := waitFor(t, c); ws.ExitStatus() != 0 {
		t.Fatalf("exit status %d", ws.ExitStatus())
	}
	return string(out)
}

func TestExecPassesArgumentsAndEnvironment(t *testing.T) {
	got := output(t, func(p *Program) {
		p.Exec([]string{"/nonexistent/sh", "/bin/sh"}, []string{"sh", "-c", `echo "$1 $FOO"`, "x", "one"}, []string{"FOO=bar"})
	})
	if got != "one bar\n" {
		t.Errorf("got %q", got)
	}
}

func TestRegisterCarriesAResultToALaterCall(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/in", []byte("through a register\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := output(t, func(p *Program) {
		p.CallTo(3, "open", nil, unix.SYS_OPENAT, uint64(0xffffffffffffff9c), dir+"/in", unix.O_RDONLY, 0)
		p.Call("dup", nil, unix.SYS_DUP3, Reg(3), 0, 0)
		p.Exec([]string{"/bin/cat"}, []string{"cat"}, nil)
	})
	if got != "through a register\n" {
		t.Errorf("got %q", got)
	}
}

func TestPauseLetsTheParentAddCalls(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := newProgram(t)
	p.Call("dup stdout", nil, unix.SYS_DUP3, w.Fd(), 1, 0)
	p.Pause()
	c, err := Start(p, Options{})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitPause(); err != nil {
		t.Fatal(err)
	}
	p.Exec([]string{"/bin/echo"}, []string{"echo", "late"}, nil)
	if err := c.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitExec(); err != nil {
		t.Fatal(err)
	}
	if out, _ := io.ReadAll(r); string(out) != "late\n" {
		t.Errorf("got %q", out)
	}
	waitFor(t, c)
}

func TestFailureNamesTheCall(t *testing.T) {
	p := newProgram(t)
	p.Call("close 9999", Tolerate{unix.EBADF}, unix.SYS_CLOSE, 9999)
	p.Call("chdir to /nonexistent", nil, unix.SYS_CHDIR, "/nonexistent")
	p.Exec([]string{"/bin/true"}, []string{"true"}, nil)
	c, err := Start(p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = c.AwaitExec()
	var ce *CallError
	if !errors.As(err, &ce) || ce.Errno != unix.ENOENT || ce.Call != "chdir to /nonexistent" || ce.Exec {
		t.Errorf("got %v", err)
	}
	waitFor(t, c)
}

func TestExecFailureTellsMost(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/x", []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		paths []string
		want  unix.Errno
	}{
		{[]string{dir + "/x", "/nonexistent"}, unix.EACCES},
		{[]string{"/nonexistent", "/dev/null/x"}, unix.ENOTDIR},
	} {
		p := newProgram(t)
		p.Exec(tc.paths, []string{"x"}, nil)
		c, err := Start(p, Options{})
		if err != nil {
			t.Fatal(err)
		}
		err = c.AwaitExec()
		var ce *CallError
		if !errors.As(err, &ce) || !ce.Exec {
			t.Fatalf("got %v", err)
		}
		if ce.Errno != tc.want && tc.want == unix.EACCES {
			t.Errorf("%v: got %v, want %v", tc.paths, ce.Errno, tc.want)
		}
		waitFor(t, c)
	}
}

func TestAbandonedChildExits(t *testing.T) {
	p := newProgram(t)
	p.Pause()
	c, err := Start(p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitPause(); err != nil {
		t.Fatal(err)
	}
	c.Abandon()
	if ws := waitFor(t, c); ws.ExitStatus() != 1 {
		t.Errorf("status %v", ws)
	}
}

func TestForkGoesOnAsChildOfTheSameParent(t *testing.T) {
	p := newProgram(t)
	p.Fork()
	p.Exec([]string{"/bin/true"}, []string{"true"}, nil)
	c, err := Start(p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	first := c.Pid
	if err := c.AwaitFork(); err != nil {
		t.Fatal(err)
	}
	if c.Pid == first {
		t.Errorf("pid did not change: %d", first)
	}
	if err := c.AwaitExec(); err != nil {
		t.Fatal(err)
	}
	if ws := waitFor(t, c); ws.ExitStatus() != 0 {
		t.Errorf("status %v", ws)
	}
}

// TestForkAndPauseReportInAnyOrder: the new process may pause before the one
// that made it has told its number.
func TestForkAndPauseReportInAnyOrder(t *testing.T) {
	for range 200 {
		p := newProgram(t)
		p.Fork()
		p.Pause()
		c, err := Start(p, Options{})
		if err != nil {
			t.Fatal(err)
		}
		first := c.Pid
		if err := c.AwaitFork(); err != nil {
			t.Fatal(err)
		}
		if c.Pid == first {
			t.Fatalf("pid did not change: %d", first)
		}
		if err := c.AwaitPause(); err != nil {
			t.Fatal(err)
		}
		p.Exec([]string{"/bin/true"}, []string{"true"}, nil)
		if err := c.Resume(); err != nil {
			t.Fatal(err)
		}
		if err := c.AwaitExec(); err != nil {
			t.Fatal(err)
		}
		if ws := waitFor(t, c); ws.ExitStatus() != 0 {
			t.Fatalf("status %v", ws)
		}
	}
}

func TestTooMuchIsAnError(t *testing.T) {
	p := newProgram(t)
	p.Exec([]string{"/bin/true"}, []string{strings.Repeat("x", arenaSize)}, nil)
	if _, err := Start(p, Options{}); err == nil {
		t.Error("a program larger than its memory started")
	}
}

// BenchmarkStart measures fork, five namespaces and exec of a static program.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		p := newProgram(b)
		p.Call("private", nil, unix.SYS_MOUNT, "", "/", nil, unix.MS_REC|unix.MS_PRIVATE, nil)
		p.Exec([]string{"/bin/busybox"}, []string{"true"}, nil)
		c, err := Start(p, Options{Namespaces: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS})
		if err != nil {
			b.Fatal(err)
		}
		if err := c.AwaitExec(); err != nil {
			b.Fatal(err)
		}
		waitFor(b, c)
	}
}

// TestReaperHandsOnSignalsAndStatus runs a shell under the small init in a PID
// namespace, where signals without a handler would be lost.
func TestReaperHandsOnSignalsAndStatus(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := newProgram(t)
	p.Call("dup stdout", nil, unix.SYS_DUP3, w.Fd(), 1, 0)
	p.Reaper()
	p.Exec([]string{"/bin/sh"}, []string{"sh", "-c", "trap 'exit 7' TERM; (exec sleep 0.01) & echo $$ ready; while :; do sleep 0.01; done"}, []string{"PATH=/bin:/usr/bin"})
	c, err := Start(p, Options{Namespaces: unix.CLONE_NEWPID})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitExec(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, err := r.Read(buf)
	if got := string(buf[:n]); err != nil || got != "2 ready\n" {
		t.Fatalf("read %q, %v", got, err)
	}
	if err := unix.Kill(c.Pid, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if ws := waitFor(t, c); ws.ExitStatus() != 7 {
		t.Errorf("status %v, want exit 7", ws)
	}
}

func TestCloseOthersKeepsWhatItShould(t *testing.T) {
	var files []*os.File
	for range 6 {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		files = append(files, r, w)
	}
	kept := int(files[3].Fd())
	got := output(t, func(p *Program) {
		p.Call("dup to 0", nil, unix.SYS_DUP3, files[0].Fd(), 0, 0)
		p.Call("dup to 100", nil, unix.SYS_DUP3, files[0].Fd(), 100, 0)
		p.CloseOthers(kept, 100)
		p.Call("keep over exec", nil, unix.SYS_FCNTL, kept, unix.F_SETFD, 0)
		p.Exec([]string{"/bin/ls"}, []string{"ls", "/proc/self/fd"}, nil)
	})
	open := strings.Fields(got)
	for _, want := range []string{"0", "1", "2", fmt.Sprint(kept), "100"} {
		i := slices.Index(open, want)
		if i < 0 {
			t.Errorf("%s is closed; open: %v", want, open)
			continue
		}
		open = slices.Delete(open, i, i+1)
	}
	if len(open) > 1 { // the directory that ls reads
		t.Errorf("open besides: %v", open)
	}
}

func TestIgnoredSignalsAreNotHandedDown(t *testing.T) {
	signal.Ignore(unix.SIGHUP)
	defer signal.Reset(unix.SIGHUP)
	got := output(t, func(p *Program) {
		p.Exec([]string{"/bin/grep"}, []string{"grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"}, nil)
	})
	if got != "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n" {
		t.Errorf("got %q", got)
	}
}
