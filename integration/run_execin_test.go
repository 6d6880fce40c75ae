package integration

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/minirt/mini/integration/host"
)

func TestExec(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	h.MustRun("run", "-d", "--net", "none", "--name", "box", "-e", "A=run", "-w", "/www", "busybox", "sleep", "1000")
	sh := func(script string, flags ...string) host.Result {
		return h.Run(append(append([]string{"exec"}, flags...), "box", "sh", "-c", script)...)
	}
	for _, c := range []struct {
		name, script string
		flags        []string
		want         string
	}{
		{"environment of the container", "echo $A $HOME $HOSTNAME", nil, "run /root " + h.MustRun("ps", "-q")},
		{"-e above it", "echo $A $B", []string{"-e", "A=exec", "--env", "B=b c"}, "exec b c"},
		{"working directory of the container", "pwd", nil, "/www"},
		{"-w", "pwd", []string{"-w", "/tmp"}, "/tmp"},
		{"-u name", "id -un; id -gn; id -Gn; echo $HOME", []string{"-u", "app"}, "app\napp\napp staff\n/home/app"},
		{"-u uid", "id -u; id -g", []string{"-u", "65534"}, "65534\n65534"},
		{"-u uid:gid", "id -u; id -g", []string{"-u", "12:34"}, "12\n34"},
		{"-u unknown number", "id -u; id -g; echo $HOME", []string{"-u", "4711"}, "4711\n0\n/"},
		{"no terminal", "test -t 0 || echo none", nil, "none"},
		{"namespaces of the container", "readlink /proc/self/ns/net /proc/self/ns/mnt > /tmp/a; readlink /proc/1/ns/net /proc/1/ns/mnt > /tmp/b; cmp /tmp/a /tmp/b && echo same", nil, "same"},
		{"capabilities of the container", "grep -h Cap /proc/self/status > /tmp/a; grep -h Cap /proc/1/status > /tmp/b; cmp /tmp/a /tmp/b && echo same", nil, "same"},
		{"seccomp", "grep Seccomp: /proc/self/status | tr -d '\\t '", nil, "Seccomp:2"},
		{"no capabilities for a user", "grep CapEff /proc/self/status | tr -d '\\t '", []string{"-u", "app"}, "CapEff:0000000000000000"},
		{"open files", "ls /proc/$$/fd; true", nil, "0\n1\n2"},
		{"in the container's cgroup", "cat /proc/self/cgroup > /tmp/a; cat /proc/1/cgroup > /tmp/b; cmp /tmp/a /tmp/b && echo same", nil, "same"},
	} {
		t.Run(c.name, func(t *testing.T) { wantOut(t, sh(c.script, c.flags...), c.want) })
	}
	t.Run("unknown user", func(t *testing.T) {
		r := sh("true", "-u", "nosuch")
		if r.Code == 0 || !strings.Contains(r.Stderr, "unable to find user nosuch: no matching entries in passwd file") {
			t.Errorf("%v", r)
		}
	})
	t.Run("-w that does not exist", func(t *testing.T) {
		r := sh("true", "-w", "/no/such")
		if r.Code == 0 || !strings.Contains(r.Stderr, "/no/such") || !strings.Contains(r.Stderr, "no such file or directory") {
			t.Errorf("%v", r)
		}
	})
	t.Run("-d", func(t *testing.T) {
		r := h.Run("exec", "-d", "box", "sh", "-c", "echo $$ > /tmp/detached; exec sleep 500")
		wantOutput(t, r, "", "")
		wantCode(t, r, 0)
		host.Eventually(t, patience, func() error {
			if r := sh("test -d /proc/$(cat /tmp/detached)"); r.Code != 0 {
				return fmt.Errorf("the detached command does not run: %v", r)
			}
			return nil
		})
	})
	t.Run("-d of a program that does not exist", func(t *testing.T) {
		wantCode(t, h.Run("exec", "-d", "box", "nosuchprogram"), 127)
	})
	t.Run("-t without a terminal", func(t *testing.T) {
		wantOutput(t, h.Run("exec", "-t", "box", "sh", "-c", "echo out; echo err >&2"), "out\r\nerr\r\n", "")
	})
	t.Run("without a command", func(t *testing.T) {
		wantError(t, h.Run("exec", "box"), 1, "mini: 'mini exec' requires at least 2 arguments")
	})
	t.Run("an empty command", func(t *testing.T) {
		if r := h.Run("exec", "box", ""); r.Code == 0 || strings.TrimSpace(r.Stderr) == "" {
			t.Errorf("%v", r)
		}
	})
}

func TestExecNeedsARunningContainer(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	id := h.MustRun("create", "--net", "none", "--name", "box", "busybox", "true")
	message := fmt.Sprintf("Error: container %s is not running", id)
	wantError(t, h.Run("exec", "box", "true"), 1, message)
	wantCode(t, h.Run("start", "-a", "box"), 0)
	wantError(t, h.Run("exec", "box", "true"), 1, message)
}

func TestConcurrentExecs(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	h.MustRun("run", "-d", "--net", "none", "--name", "box", "busybox", "sleep", "1000")
	const n = 20
	results := make([]host.Result, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c := h.Mini("exec", "-i", "box", "sh", "-c", fmt.Sprintf("cat; seq 1 2000; exit %d", i))
			c.Stdin = fmt.Sprintf("input %d\n", i)
			results[i] = h.Do(c)
		}()
	}
	wg.Wait()
	for i, r := range results {
		wantCode(t, r, i)
		if first := firstLine(r.Stdout); first != fmt.Sprintf("input %d", i) || strings.Count(r.Stdout, "\n") != 2001 {
			t.Errorf("exec %d: first line %q, %d lines", i, first, strings.Count(r.Stdout, "\n"))
		}
	}
	t.Log("nothing of them stays in the monitor")
	host.Eventually(t, patience, func() error {
		if connected(monitorPid(t, h, "box"), 1) == nil {
			return fmt.Errorf("a connection is left")
		}
		return nil
	})
}

// TestExecDiesWithTheContainer: both by the end of its init and by rm -f.
func TestExecDiesWithTheContainer(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	for _, end := range [][]string{{"kill", "box"}, {"stop", "-t", "0", "box"}, {"rm", "-f", "box"}} {
		h.MustRun("run", "-d", "--net", "none", "--name", "box", "busybox", "sleep", "1000")
		p := h.Start(h.Mini("exec", "box", "sh", "-c", "echo ready; sleep 1000"))
		host.Eventually(t, patience, func() error {
			if p.Stdout() != "ready\n" {
				return fmt.Errorf("not ready: %q %q", p.Stdout(), p.Stderr())
			}
			return nil
		})
		wantCode(t, h.Run(end...), 0)
		wantCode(t, p.Wait(patience), 137)
		if end[0] != "rm" {
			wantCode(t, h.Run("rm", "box"), 0)
		}
	}
}

// TestManyExecsLeaveTheMonitorAsItWas: no descriptor and no thread stays.
func TestManyExecsLeaveTheMonitorAsItWas(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	h.MustRun("run", "-d", "--net", "none", "--name", "box", "busybox", "sleep", "1000")
	monitor := monitorPid(t, h, "box")
	for range 5 { // what is made once and kept
		wantCode(t, h.Run("exec", "box", "true"), 0)
	}
	before := settledFDs(t, monitor)
	for range 40 {
		wantCode(t, h.Run("exec", "box", "true"), 0)
		wantCode(t, h.Run("exec", "box", "nosuchprogram"), 127)
	}
	host.Eventually(t, patience, func() error {
		if after := openFDs(monitor); after > before {
			return fmt.Errorf("the monitor had %d open files and has %d", before, after)
		}
		return nil
	})
}
