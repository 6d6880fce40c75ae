package integration

import (
	"os"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// TestBadInputChangesNothing: each is refused with 125 and a message that
// names what is wrong, and leaves no trace.
func TestBadInputChangesNothing(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	h.MustRun("ps", "-a") // what every command makes once
	before, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, message string }{
		{"--name a/b busybox true", "Invalid container name (a/b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"},
		{"--name .. busybox true", "Invalid container name (..), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"},
		{"--name x busybox true", "Invalid container name (x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"},
		{"--name ../../x busybox true", "Invalid container name (../../x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"},
		{"--name " + strings.Repeat("n", 300) + " busybox true", "128"},
		{"--hostname " + strings.Repeat("h", 64) + " busybox true", "63"},
		{"nosuch true", "nosuch"},
		{"Upper true", "invalid reference format: repository name (library/Upper) must be lowercase"},
		{"a:b:c true", "invalid reference format"},
		{"--net nosuch busybox true", "network nosuch not found"},
		{"--net container:nosuch busybox true", "No such container: nosuch"},
		{"-v relative/dir:/x busybox true", "relative/dir"},
		{"--tmpfs relative busybox true", "relative"},
		{"--net none --tmpfs /x:nosuch=1 busybox true", "nosuch"},
		{"-v /a:/x -v /b:/x busybox true", "/x"},
		{"-e = busybox true", "="},
		{"--stop-signal NOSUCH busybox true", "NOSUCH"},
		{"-m lots busybox true", "lots"},
		{"-w relative busybox true", "relative"},
		{"--rootfs /no/such true", "/no/such"},
		{"--rm --rm=maybe busybox true", "maybe"},
		{"--detach-keys nosuch busybox true", "nosuch"},
	} {
		for _, cmd := range []string{"run", "create"} {
			r := h.Run(append([]string{cmd}, strings.Fields(c.args)...)...)
			if cmd == "create" && strings.Contains(c.args, "detach-keys") {
				continue // create does not attach
			}
			if cmd == "create" {
				if r.Code == 0 && strings.Contains(c.message, "nosuch") && strings.Contains(c.args, "--tmpfs") {
					h.MustRun("rm", r.Out()) // only the kernel knows that it is wrong
					continue
				}
				if r.Code == 0 {
					t.Errorf("%v", r)
				}
			} else {
				wantCode(t, r, 125)
			}
			if !strings.Contains(r.Stderr, c.message) {
				t.Errorf("want %q: %v", c.message, r)
			}
			if strings.Contains(r.Stderr, "goroutine") {
				t.Errorf("a panic: %v", r)
			}
		}
		if ids := h.MustRun("ps", "-aq"); ids != "" {
			h.MustRun("rm", "-f", ids)
			if !strings.Contains(c.args, "/x:nosuch") {
				t.Errorf("mini run %s left a container", c.args)
			}
		}
	}
	after, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range before.Diff(after) {
		switch change.Section {
		case host.SecLinks, host.SecAddrs, host.SecRoutes, host.SecRules, host.SecNFT, host.SecMounts, host.SecCgroups:
			t.Error(change)
		}
	}
}

func TestWithoutRoot(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	if err := os.Chmod(h.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	binary := h.Dir + "/mini-of-all"
	// By a program: a file that is open for writing here is so in whatever another test
	// is starting meanwhile, and cannot be executed (ETXTBSY, see execve(2)).
	must(t, h.Exec("install", "-m", "755", miniBinary(h), binary))
	user := func(args ...string) host.Result {
		return h.Exec(append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary}, args...)...)
	}
	for _, cmd := range []string{"run busybox true", "ps", "images", "network ls", "info"} {
		r := user(strings.Fields(cmd)...)
		if r.Code == 0 || !strings.Contains(r.Stderr, "root") || strings.Count(r.Stderr, "\n") > 4 {
			t.Errorf("want an error that says that it needs root: %v", r)
		}
	}
	for _, cmd := range []string{"--help", "run --help", "version"} {
		wantCode(t, user(strings.Fields(cmd)...), 0)
	}
}

// TestTwoRootsAreApart: two minis in one host do not see each other.
func TestTwoRootsAreApart(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	binary := miniBinary(h)
	h.MustRun("run", "-d", "--net", "none", "--name", "box", "busybox", "sleep", "1000")
	other := h.Dir + "/other"
	second := func(args ...string) host.Result {
		return h.Exec(append([]string{binary, "--root", other}, args...)...)
	}
	wantOut(t, second("ps", "-aq"), "")
	wantOut(t, second("images", "-q"), "")
	wantError(t, second("inspect", "box"), 1, "Error: No such object: box")
	tarball, err := host.Busybox()
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, second("import", tarball, "busybox"), 0)
	t.Log("with --root alone, the state is below it")
	wantCode(t, second("run", "-d", "--net", "none", "--name", "box", "busybox", "sleep", "1000"), 0)
	if _, err := os.Stat(other + "/state/containers"); err != nil {
		t.Error(err)
	}
	wantOut(t, second("rm", "-f", "box"), "box")
	wantOut(t, h.Run("ps", "--format", "{{.Names}}"), "box")
	t.Log("by environment variables as well")
	r := h.Do(host.Command{Args: []string{binary, "images", "--format", "{{.Repository}}"}, Env: []string{"MINI_ROOT=" + h.Root, "MINI_STATE=" + h.State}})
	wantOut(t, r, "busybox")
}
