package devices

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// childDir, when set, makes the test binary a process that tries devices in
// the directory that it names.
const childDir = "DEVICES_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		tryDevices(dir)
		return
	}
	os.Exit(m.Run())
}

// tryDevices prints one line per attempt: what, then the errno's name or
// nothing.
func tryDevices(dir string) {
	show := func(what string, err error) {
		var errno unix.Errno
		errors.As(err, &errno)
		fmt.Printf("%s: %s\n", what, unix.ErrnoName(errno))
	}
	disk, null := filepath.Join(dir, "disk"), filepath.Join(dir, "null")
	show("open /dev/null", open("/dev/null", unix.O_RDWR))
	show("mknod disk", unix.Mknod(disk, unix.S_IFBLK|0o600, int(unix.Mkdev(7, 0))))
	show("open disk", open(disk, unix.O_RDONLY))
	show("mknod null", unix.Mknod(null, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
	show("open kmsg", open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK))
}

func open(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// needRoot fails in CI and skips for a developer who is not root.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this test needs root")
	}
	t.Skip("this test needs root")
}

// newCgroup makes a version 2 cgroup for the test.
func newCgroup(t testing.TB) *os.File {
	t.Helper()
	needRoot(t)
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var fs unix.Statfs_t
		if err := unix.Statfs(root, &fs); err != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		dir, err := os.MkdirTemp(root, "mini-devices-test-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.Remove(dir); err != nil {
				t.Errorf("removing the cgroup: %v", err)
			}
		})
		f, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	t.Fatal("no version 2 cgroup tree is mounted")
	return nil
}

func runChild(t *testing.T, cgroup *os.File) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childDir+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(cgroup.Fd())}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestAttachForReal(t *testing.T) {
	cgroup := newCgroup(t)
	if free := runChild(t, cgroup); strings.Contains(free, "EPERM") {
		t.Fatalf("devices are refused before there are rules:\n%s", free)
	}
	if err := Attach(cgroup, Rules()); err != nil {
		t.Fatal(err)
	}
	const want = "open /dev/null: \nmknod disk: \nopen disk: EPERM\nmknod null: \nopen kmsg: EPERM\n"
	if got := runChild(t, cgroup); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
	// A second program can only take away.
	if err := Attach(cgroup, []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}); err != nil {
		t.Fatal(err)
	}
	if got := runChild(t, cgroup); got != want {
		t.Errorf("after an allow-all as well, got:\n%swant:\n%s", got, want)
	}
}

// TestVerifierTakesAllShapes loads programs of every form.
func TestVerifierTakesAllShapes(t *testing.T) {
	needRoot(t)
	one := int64(1)
	null := specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: &one, Access: "rw"}
	all := specs.LinuxDeviceCgroup{Allow: true, Access: "rwm"}
	none := specs.LinuxDeviceCgroup{Access: "rwm"}
	long := make([]specs.LinuxDeviceCgroup, maxRules)
	for i := range long {
		major := int64(i)
		long[i] = specs.LinuxDeviceCgroup{Allow: i%3 > 0, Type: []string{"b", "c"}[i%2], Major: &major, Minor: &one, Access: "rw"}
	}
	shapes := map[string][]specs.LinuxDeviceCgroup{
		"empty": {}, "allow all": {all}, "deny all": {none}, "one": {null},
		"covered": {null, none}, "covered by allow": {none, null, all}, "longest": long,
	}
	for seed := range uint64(200) {
		shapes[fmt.Sprintf("random %d", seed)] = randomRules(seed)
	}
	for name, rules := range shapes {
		prog, err := program(rules)
		if err != nil {
			t.Fatal(err)
		}
		fd, err := load(prog)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := closeProgram(fd); err != nil {
			t.Error(err)
		}
	}
}

func TestAttachErrors(t *testing.T) {
	needRoot(t)
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := Attach(dir, Rules()); !errors.Is(err, unix.EBADF) || !strings.Contains(err.Error(), dir.Name()) {
		t.Errorf("a directory that is no cgroup: error %v", err)
	}
}

func BenchmarkAttach(b *testing.B) {
	rules := Rules()
	for b.Loop() {
		b.StopTimer()
		cgroup, done := benchCgroup(b)
		b.StartTimer()
		if err := Attach(cgroup, rules); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		done()
		b.StartTimer()
	}
}

// benchCgroup makes a cgroup that is removed within the round: a cgroup takes
// 64 programs at most.
func benchCgroup(b *testing.B) (*os.File, func()) {
	needRoot(b)
	root := "/sys/fs/cgroup"
	if _, err := os.Stat(root + "/unified"); err == nil {
		root += "/unified"
	}
	dir, err := os.MkdirTemp(root, "mini-devices-bench-")
	if err != nil {
		b.Fatal(err)
	}
	f, err := os.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	return f, func() {
		if err := errors.Join(f.Close(), os.Remove(dir)); err != nil {
			b.Fatal(err)
		}
	}
}
