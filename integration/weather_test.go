package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/integration/host"
)

// TestWithoutIptables: what needs the program says that it is missing, and changes
// nothing; what does not need it works.
func TestWithoutIptables(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.Iptables(host.NFT))
	without := func(args ...string) host.Result {
		c := h.Mini(args...)
		c.Env = []string{"PATH=/nowhere"}
		return h.Do(c)
	}
	const missing = `finding the iptables program: exec: "iptables": executable file not found in $PATH`
	fails(t, without("run", "--rm", "busybox", "true"), 125, missing)
	fails(t, without("run", "--rm", "-p", "8080:80", "busybox", "true"), 125, missing)
	fails(t, without("network", "up", "bridge"), 1, missing)
	if r := h.Exec("ip", "link", "show", "mini0"); r.Code == 0 {
		t.Errorf("the bridge was made: %v", r)
	}
	wantOut(t, without("run", "--rm", "--net", "none", "busybox", "echo", "hello"), "hello")
	// On a network that is up no program is needed, but for a port.
	must(t, h.Run("network", "up", "bridge"))
	wantOut(t, without("run", "--rm", "busybox", "echo", "hello"), "hello")
	fails(t, without("run", "--rm", "-p", "8080:80", "busybox", "true"), 125, "finding the iptables program")
	wantOut(t, h.Run("ps", "-aq"), "") // what could not be taken back without the program is now
	wantOut(t, h.Run("doctor"), "all is well")
	must(t, h.Run("run", "--rm", "-p", "8080:80", "busybox", "true"))
	must(t, h.Run("network", "prune", "-f"))
}

// TestIptablesFailsInTheMiddle: a start whose program fails at its first, second, …
// run says so and leaves nothing behind. So does the end of a container: the next
// command takes away what is left.
func TestIptablesFailsInTheMiddle(t *testing.T) {
	for _, backend := range []host.Backend{host.NFT, host.Legacy} {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			h := busyboxHost(t, host.Iptables(backend))
			count := writeFile(t, h, "count", "0", 0o644)
			faulty(t, h, count)
			traces := func() string {
				return h.MustExec("sh", "-c", "ip -o link | sed 's/^[0-9]*: //' | cut -d' ' -f1 | grep -v veth; for t in raw nat filter; do iptables-save -t $t | grep '^[-:]' | sed 's/ \\[.*//'; done")
			}
			set := func(n int) { writeFile(t, h, "count", fmt.Sprint(n), 0o644) }
			set(-1)
			h.MustRun("network", "up", "bridge")
			h.MustRun("network", "down", "bridge") // tables that the programs make stay
			before := traces()
			failed := 0
			for n := 1; ; n++ {
				set(n)
				r := h.Run("run", "-d", "--name", "web", "-p", "8080:80", "busybox", "sleep", "1000")
				left, err := os.ReadFile(count)
				if err != nil {
					t.Fatal(err)
				}
				set(-1)
				if r.Code == 0 && strings.TrimSpace(string(left)) > "0" {
					break // there were not so many runs
				}
				if r.Code == 0 { // it could do without
					must(t, h.Run("rm", "-f", "web"))
					must(t, h.Run("network", "prune", "-f"))
					continue
				}
				failed++
				if r.Code != 125 || !strings.Contains(r.Stderr, "the weather is bad") {
					t.Errorf("the program fails at its run number %d: %v", n, r)
				}
				must(t, h.Run("rm", "web"))
				wantOut(t, h.Run("doctor"), "all is well")
				must(t, h.Run("network", "prune", "-f")) // a network that was up when the port failed stays up
				if after := traces(); after != before {
					t.Errorf("the program failed at its run number %d, and left\n%s\nbefore:\n%s", n, after, before)
				}
			}
			if failed < 2 {
				t.Errorf("only %d runs of the program failed", failed)
			}
			set(1)
			r := h.Run("rm", "-f", "web")
			set(-1)
			if r.Code == 0 && strings.Contains(h.MustExec("iptables-save"), "--dport 8080") {
				t.Errorf("nobody said that the rule is still there: %v", r)
			}
			h.Run("ps")
			wantOut(t, h.Run("doctor"), "all is well")
			must(t, h.Run("network", "prune", "-f"))
		})
	}
}

// faulty puts programs before the host's iptables that fail at the run that the
// file count says, for which it is counted down.
func faulty(t testing.TB, h *host.Host, count string) {
	t.Helper()
	for _, name := range []string{"iptables", "iptables-restore", "iptables-save"} {
		path := must(t, h.Exec("sh", "-c", "command -v "+name))
		target, err := os.Readlink(path)
		if err != nil {
			t.Fatal(err)
		}
		real := filepath.Join(filepath.Dir(count), name)
		if err := os.Symlink(target, real); err != nil {
			t.Fatal(err)
		}
		script := fmt.Sprintf(`#!/bin/sh
[ "$1" = --version ] || {
	n=$(($(cat %[1]s) - 1))
	echo $n >%[1]s
	[ $n != 0 ] || { echo "the weather is bad" >&2; exit 3; }
}
exec %[2]s "$@"
`, count, real)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		// By a program, see TestWithoutRoot.
		must(t, h.Exec("sh", "-c", `printf %s "$1" >"$2" && chmod 755 "$2"`, "sh", script, path))
	}
}

// TestXtablesLockIsHeld: a start waits for a program that holds the lock of the
// legacy programs, and goes on when it lets go. The firewall's own test shows that
// the wait has an end.
func TestXtablesLockIsHeld(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.Iptables(host.Legacy))
	must(t, h.Run("network", "up", "bridge"))
	lock, err := os.OpenFile(filepath.Join(h.Dir, "xtables.lock"), os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	waiting := h.Start(h.Mini("run", "--rm", "-p", "8080:80", "busybox", "true"))
	if r := waiting.Wait(2 * time.Second); r.Err == nil {
		t.Errorf("nobody waits for the lock: %v", r)
	}
	wantOut(t, h.Run("run", "--rm", "busybox", "echo", "hello"), "hello") // without a port: no program
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if r := waiting.Wait(patience); r.Code != 0 || r.Err != nil {
		t.Errorf("%v", r)
	}
	must(t, h.Run("network", "prune", "-f"))
}
