package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/integration/host"
)

// patience is how long a test waits for what should come soon.
const patience = 10 * time.Second

// busyboxHost is a host that has the image busybox.
func busyboxHost(t testing.TB, opts ...host.Option) *host.Host {
	t.Helper()
	h := newHost(t, opts...)
	h.ImportBusybox()
	return h
}

// wantCode fails the test when the command ended in another way.
func wantCode(t testing.TB, r host.Result, code int) {
	t.Helper()
	if r.Code != code || r.Err != nil {
		t.Errorf("want exit code %d:\n%v", code, r)
	}
}

// wantOut fails the test when the command did not succeed with exactly this
// standard output, white space at its ends aside.
func wantOut(t testing.TB, r host.Result, out string) {
	t.Helper()
	if r.Code != 0 || r.Err != nil || r.Out() != strings.TrimSpace(out) {
		t.Errorf("want exit code 0 and the output %q:\n%v", out, r)
	}
}

// wantError fails the test when the command did not end with the code and this
// first line on the standard error.
func wantError(t testing.TB, r host.Result, code int, line string) {
	t.Helper()
	wantCode(t, r, code)
	if got := firstLine(r.Stderr); got != line {
		t.Errorf("want the error\n    %s\ngot\n    %s\n%v", line, got, r)
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// initPid is the process id of a running container's init on the machine.
func initPid(t testing.TB, h *host.Host, container string) int {
	t.Helper()
	pid, err := strconv.Atoi(h.MustRun("inspect", "-f", "{{.State.Pid}}", container))
	if err != nil || pid <= 0 {
		t.Fatalf("inspect tells no process of container %s: %d, %v", container, pid, err)
	}
	return pid
}

// monitorPid is the parent of a running container's init.
func monitorPid(t testing.TB, h *host.Host, container string) int {
	t.Helper()
	pid, err := parentOf(initPid(t, h, container))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func parentOf(pid int) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("finding the parent of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(line, "PPid:"); ok {
			return strconv.Atoi(strings.TrimSpace(v))
		}
	}
	return 0, fmt.Errorf("process %d has no parent", pid)
}

// status is the STATUS word that inspect tells: created, running or exited.
func status(h *host.Host, container string) string {
	return h.Run("inspect", "-f", "{{.State.Status}}", container).Out()
}

// awaitStatus waits until a container is in the given state.
func awaitStatus(t testing.TB, h *host.Host, container, want string) {
	t.Helper()
	host.Eventually(t, patience, func() error {
		if got := status(h, container); got != want {
			return fmt.Errorf("container %s is %s, want %s", container, got, want)
		}
		return nil
	})
}

// writeFile makes a file below the host's own directory, which mini and the
// machine see at the same path.
func writeFile(t testing.TB, h *host.Host, name, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(h.Dir, "files", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // past the umask
		t.Fatal(err)
	}
	return path
}

// connected returns nil when n clients or more are connected to a monitor.
func connected(monitor, n int) error {
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", monitor))
	if err != nil {
		return err
	}
	ours := map[string]bool{}
	for _, fd := range fds {
		// Errors mean that it was closed meanwhile.
		if target, err := os.Readlink(fd); err == nil {
			ours[target] = true
		}
	}
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/unix", monitor))
	if err != nil {
		return fmt.Errorf("listing the sockets of process %d: %w", monitor, err)
	}
	have := 0
	for line := range strings.Lines(string(table)) {
		// Num RefCount Protocol Flags Type St Inode Path; an accepted socket
		// has its listener's path.
		f := strings.Fields(line)
		if len(f) == 8 && f[5] == "03" && ours["socket:["+f[6]+"]"] {
			have++
		}
	}
	if have < n {
		return fmt.Errorf("%d clients are connected to the monitor, want %d", have, n)
	}
	return nil
}

// openFDs counts a process's open files.
func openFDs(pid int) int {
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return -1
	}
	return len(fds)
}

// settledFDs counts them once no client is connected to the monitor.
func settledFDs(t testing.TB, monitor int) int {
	t.Helper()
	host.Eventually(t, patience, func() error {
		if connected(monitor, 1) == nil {
			return fmt.Errorf("a client is still connected")
		}
		return nil
	})
	return openFDs(monitor)
}

// killWhole kills a process and waits until all its threads have let go of their
// files: then its pidfd can be read, see pidfd_open(2).
func killWhole(t testing.TB, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		t.Fatal(err)
	}
	host.Eventually(t, patience, func() error {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100)
		if err == nil && n == 0 {
			err = fmt.Errorf("process %d is still there", pid)
		}
		return err
	})
}

// needStrace fails in CI and skips for a developer who has no strace.
func needStrace(t testing.TB) {
	t.Helper()
	_, err := exec.LookPath("strace")
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	default:
		t.Skip("SKIPPED, NOT TESTED:", err)
	}
}
