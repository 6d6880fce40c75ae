package seccomp_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/runtime/seccomp"
)

// childMode, when set, makes the test binary a process that loads the default
// filter and does what the value says.
const childMode = "SECCOMP_TEST_CHILD"

func TestMain(m *testing.M) {
	mode := os.Getenv(childMode)
	if mode == "" {
		os.Exit(m.Run())
	}
	if err := child(mode, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(99)
	}
}

func child(mode string, args []string) error {
	goruntime.LockOSThread()
	filter, err := seccomp.Default()
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	start := time.Now()
	if err := seccomp.Load(filter, seccomp.DefaultFlags); err != nil {
		return err
	}
	took := time.Since(start)
	switch mode {
	case "exec":
		return unix.Exec(args[0], args, os.Environ())
	case "time":
		fmt.Println(took.Nanoseconds())
	case "calls":
		for _, c := range refused {
			_, _, errno := unix.RawSyscall(c.nr, c.arg, 0, 0)
			fmt.Printf("%s: %s\n", c.name, unix.ErrnoName(errno))
		}
	}
	return nil
}

func runChild(t testing.TB, mode string, args ...string) (string, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), childMode+"="+mode)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// refused are calls that the filter answers; the kernel itself would answer
// each of them otherwise.
var refused = []struct {
	name string
	nr   uintptr
	arg  uintptr
	want string
}{
	{"keyctl", unix.SYS_KEYCTL, 0, "EPERM"},
	{"mount", unix.SYS_MOUNT, 0, "EPERM"},
	{"unshare", unix.SYS_UNSHARE, 0, "EPERM"},
	{"clone3", unix.SYS_CLONE3, 0, "ENOSYS"},
	{"clone of a user namespace", unix.SYS_CLONE, unix.CLONE_NEWUSER, "EPERM"},
	{"bpf", unix.SYS_BPF, 0, "EPERM"},
	{"a call of the future", 500, 0, "ENOSYS"},
	{"AF_ALG socket", unix.SYS_SOCKET, unix.AF_ALG, "EPERM"},
	{"AF_ALG socket, high bit set", unix.SYS_SOCKET, 1<<32 | unix.AF_ALG, "EPERM"},
	{"personality", unix.SYS_PERSONALITY, 0x0040000, "EPERM"},
}

func TestRefusesForReal(t *testing.T) {
	out, err := runChild(t, "calls")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, c := range refused {
		if want := c.name + ": " + c.want + "\n"; !strings.Contains(out, want) {
			t.Errorf("want %q in:\n%s", want, out)
		}
	}
}

func TestProgramsRun(t *testing.T) {
	for _, args := range [][]string{
		{"/bin/sh", "-c", "echo $(ls / | wc -l) > /dev/null && sleep 0 | cat"},
		{"/bin/true"},
	} {
		if out, err := runChild(t, "exec", args...); err != nil {
			t.Errorf("%v: %v: %s", args, err, out)
		}
	}
}

func TestLoadRefusesNonsense(t *testing.T) {
	for name, filter := range map[string][]unix.SockFilter{
		"empty":    nil,
		"no end":   {{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}},
		"too long": make([]unix.SockFilter, 1<<16),
	} {
		if err := seccomp.Load(filter, 0); !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: error %v, want EINVAL", name, err)
		}
	}
}

// BenchmarkLoad reports the time of one load in a fresh process, without the
// process's own start.
func BenchmarkLoad(b *testing.B) {
	var total int64
	for b.Loop() {
		out, err := runChild(b, "time")
		if err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		var ns int64
		if _, err := fmt.Sscan(out, &ns); err != nil {
			b.Fatal(err)
		}
		total += ns
	}
	b.ReportMetric(float64(total)/float64(b.N), "ns/load")
}
