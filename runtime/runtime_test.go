package runtime

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func testRuntime(t *testing.T) *Runtime {
	t.Helper()
	dir := t.TempDir()
	r, err := Open(Options{Root: filepath.Join(dir, "root"), State: filepath.Join(dir, "state")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

const testID = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestMergeEnv(t *testing.T) {
	got := mergeEnv([]string{"PATH=/bin", "A=1"}, []string{"A=2", "B=3", "AB=4"})
	if want := []string{"PATH=/bin", "A=2", "B=3", "AB=4"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestParseSignal(t *testing.T) {
	for in, want := range map[string]syscall.Signal{"TERM": unix.SIGTERM, "SIGKILL": unix.SIGKILL, "9": unix.SIGKILL, "usr1": unix.SIGUSR1} {
		if got, err := ParseSignal(in); err != nil || got != want {
			t.Errorf("%s: got %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "FOO", "0", "-1", "65", "SIG"} {
		if got, err := ParseSignal(in); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %v, %v", in, got, err)
		}
	}
}

func TestExecPaths(t *testing.T) {
	for _, tc := range []struct {
		arg, path string
		want      string
	}{
		{"sh", "PATH=/a:/b", "/a/sh,/b/sh"},
		{"./sh", "PATH=/a", "./sh"},
		{"/x/sh", "PATH=/a", "/x/sh"},
		{"sh", "PATH=:/b", "sh,/b/sh"},
	} {
		got := execPaths(&specs.Process{Args: []string{tc.arg}, Env: []string{tc.path}})
		if strings.Join(got, ",") != tc.want {
			t.Errorf("%s in %s: got %v, want %s", tc.arg, tc.path, got, tc.want)
		}
	}
}

func TestParseMountOptions(t *testing.T) {
	o := parseMountOptions([]string{"nosuid", "ro", "rw", "noexec", "mode=755", "rprivate", "size=1m"})
	if want := uintptr(unix.MS_NOSUID | unix.MS_NOEXEC); o.flags != want {
		t.Errorf("flags %#x, want %#x", o.flags, want)
	}
	if o.data != "mode=755,size=1m" || o.propagation != unix.MS_PRIVATE|unix.MS_REC {
		t.Errorf("got %+v", o)
	}
	if want := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC); o.attrs() != want {
		t.Errorf("attrs %#x, want %#x", o.attrs(), want)
	}
}

func TestSpecHasDockersDefaults(t *testing.T) {
	cfg := &Config{ID: testID, Entrypoint: []string{"/entry"}, Cmd: []string{"arg"}, Hostname: "h", Tty: true, NetworkMode: "bridge", Memory: 64 << 20}
	s := BuildSpec(cfg, "/dir")
	if got := strings.Join(s.Process.Args, " "); got != "/entry arg" {
		t.Errorf("args %s", got)
	}
	for _, want := range []string{"PATH=" + defaultPath, "HOSTNAME=h", "TERM=xterm"} {
		if !slices.Contains(s.Process.Env, want) {
			t.Errorf("%s is missing in %v", want, s.Process.Env)
		}
	}
	if len(s.Process.Capabilities.Bounding) != 14 || len(s.Process.Capabilities.Inheritable) != 0 {
		t.Errorf("capabilities %+v", s.Process.Capabilities)
	}
	if *s.Linux.Resources.Memory.Limit != 64<<20 || *s.Linux.Resources.Memory.Swap != 128<<20 {
		t.Errorf("memory %+v", s.Linux.Resources.Memory)
	}
	if flags := cloneFlags(s); flags&unix.CLONE_NEWNET == 0 || flags&unix.CLONE_NEWPID == 0 {
		t.Errorf("clone flags %#x", flags)
	}
	for _, mode := range []string{"host", "container:" + testID} {
		cfg.NetworkMode = mode
		if hasNamespace(BuildSpec(cfg, "/dir"), specs.NetworkNamespace) {
			t.Errorf("%s gets a network namespace", mode)
		}
	}
}

func TestEmptyEntrypointDropsTheImages(t *testing.T) {
	s := BuildSpec(&Config{ID: testID, Entrypoint: []string{""}, Cmd: []string{"ls", "-l"}}, "/dir")
	if got := strings.Join(s.Process.Args, " "); got != "ls -l" {
		t.Errorf("args %q", got)
	}
}

func TestInnerMountsComeAfterOuterOnes(t *testing.T) {
	s := BuildSpec(&Config{ID: testID, Mounts: []Mount{
		{Type: MountBind, Source: "/1", Destination: "/a/b/c"}, {Type: MountTmpfs, Destination: "/a"},
	}}, "/dir")
	n := len(s.Mounts)
	if s.Mounts[n-2].Destination != "/a" || s.Mounts[n-1].Destination != "/a/b/c" {
		t.Errorf("order: %s, %s", s.Mounts[n-2].Destination, s.Mounts[n-1].Destination)
	}
}

func TestLifeIsHeldOnce(t *testing.T) {
	r := testRuntime(t)
	l, err := r.takeLife(testID, lifeNote{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockLife(filepath.Join(r.lifeDir(testID), lifeLockName), 0); !errors.Is(err, errAlive) {
		t.Errorf("a second owner: %v", err)
	}
	if alive, err := r.alive(testID); err != nil || !alive {
		t.Errorf("alive: %v, %v", alive, err)
	}
	if note, err := l.note(); err != nil || note.Name != "web" {
		t.Errorf("note %+v, %v", note, err)
	}
	// Another descriptor of the same open file holds the lock on its own.
	dup, err := unix.Dup(int(l.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	l.close()
	if alive, _ := r.alive(testID); !alive {
		t.Error("the lock went with the first of two descriptors")
	}
	unix.Close(dup)
	if alive, _ := r.alive(testID); alive {
		t.Error("the lock outlived its last holder")
	}
}

func TestNamesBelongToOne(t *testing.T) {
	r := testRuntime(t)
	container(t, r, testID, Config{Name: "web"})
	err := r.claimName("web", "other")
	if !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), testID) {
		t.Errorf("a second claim: %v", err)
	}
	if err := r.dropName("web", "other"); err != nil {
		t.Fatal(err)
	}
	if id, err := r.resolve("web"); err != nil || id != testID {
		t.Errorf("somebody else dropped the name: %q, %v", id, err)
	}
	if err := r.dropName("web", testID); err != nil {
		t.Fatal(err)
	}
	if _, err := r.resolve("web"); !errors.Is(err, ErrNotFound) {
		t.Errorf("after dropping: %v", err)
	}
}

func TestNameOfADeadHolderIsTakenOver(t *testing.T) {
	r := testRuntime(t)
	other := "f" + testID[1:]
	// Killed after claiming, before there was a record.
	if err := r.claimName("web", other); err != nil {
		t.Fatal(err)
	}
	owner, err := r.takeLife(other, lifeNote{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.claimName("web", testID); !errors.Is(err, ErrExists) {
		t.Errorf("taken from a living holder: %v", err)
	}
	owner.close()
	if err := r.claimName("web", testID); err != nil {
		t.Errorf("not taken over from a dead one: %v", err)
	}
	if id, err := r.resolve("web"); err != nil || id != testID {
		t.Errorf("holder %q, %v", id, err)
	}
}

// container makes the files of a container as Create would.
func container(t *testing.T, r *Runtime, id string, cfg Config) *Container {
	t.Helper()
	cfg.ID = id
	if cfg.Name == "" {
		cfg.Name = short(id)
	}
	c := &Container{r: r, Config: cfg}
	if err := os.MkdirAll(c.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.claimName(cfg.Name, id), c.saveConfig()); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFindByPrefix(t *testing.T) {
	r := testRuntime(t)
	container(t, r, "aa11"+testID[4:], Config{})
	container(t, r, "aa22"+testID[4:], Config{Name: "web"})
	for ref, want := range map[string]string{"aa1": "aa11", "web": "aa22", "/web": "aa22", "aa22": "aa22"} {
		c, err := r.Find(ref)
		if err != nil || c.Config.ID[:4] != want {
			t.Errorf("%s: got %v, %v", ref, c, err)
		}
	}
	if _, err := r.Find("aa"); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("ambiguous prefix: %v", err)
	}
	for _, ref := range []string{"nope", "../etc", ".", "..", "a/b", "", strings.Repeat("x", 5000)} {
		if _, err := r.Find(ref); err == nil {
			t.Errorf("found %q", ref)
		}
	}
}

// abandoned gives the container's lock to nobody, as a killed owner does.
func abandoned(t *testing.T, r *Runtime, id, name string) {
	t.Helper()
	l, err := r.takeLife(id, lifeNote{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	l.close()
}

func TestReapTidiesUpAfterDeadOwners(t *testing.T) {
	r := testRuntime(t)
	half, removed, kept, held := "a"+testID[1:], "b"+testID[1:], "c"+testID[1:], "d"+testID[1:]

	// Killed while it was made: a name, a directory, no configuration.
	abandoned(t, r, half, "half")
	if err := errors.Join(r.claimName("half", half), os.MkdirAll(r.containerDir(half), 0o700)); err != nil {
		t.Fatal(err)
	}
	container(t, r, removed, Config{Name: "removed", AutoRemove: true})
	abandoned(t, r, removed, "removed")
	c := container(t, r, kept, Config{Name: "kept"})
	c.State = State{Status: Running, Pid: 1 << 22, StartTicks: 1} // no such process
	if err := c.saveState(); err != nil {
		t.Fatal(err)
	}
	abandoned(t, r, kept, "kept")
	container(t, r, held, Config{Name: "held", AutoRemove: true})
	owner, err := r.takeLife(held, lifeNote{Name: "held"})
	if err != nil {
		t.Fatal(err)
	}
	defer owner.close()

	if err := r.Reap(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"half": false, "removed": false, "kept": true, "held": true} {
		if _, err := r.Find(name); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	after, err := r.Find("kept")
	if err != nil {
		t.Fatal(err)
	}
	if s := after.State; s.Status != Exited || s.ExitCode != 137 || s.Error == "" {
		t.Errorf("state of the killed one: %+v", s)
	}
	for _, id := range []string{half, removed, kept} {
		if _, err := os.Stat(r.lifeDir(id)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("state directory of %s: %v", short(id), err)
		}
	}
	if left, _ := readNames(r.namesDir()); len(left) != 2 {
		t.Errorf("names left: %v", left)
	}
}

func TestReapAfterBoot(t *testing.T) {
	r := testRuntime(t)
	gone := "a" + testID[1:]
	ran := container(t, r, gone, Config{Name: "gone", AutoRemove: true})
	c := container(t, r, testID, Config{Name: "kept"})
	for _, c := range []*Container{ran, c} {
		c.State = State{Status: Running, Pid: 1 << 22}
		if err := c.saveState(); err != nil {
			t.Fatal(err)
		}
	}
	container(t, r, "b"+testID[1:], Config{Name: "fresh", AutoRemove: true})
	// A create that was killed since the boot, before it had a directory.
	l, err := r.takeLife("c"+testID[1:], lifeNote{Name: "half"})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.claimName("half", "c"+testID[1:]); err != nil {
		t.Fatal(err)
	}
	l.close()
	if err := r.Reap(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Find("gone"); !errors.Is(err, ErrNotFound) {
		t.Errorf("--rm container after boot: %v", err)
	}
	if _, err := r.Find("fresh"); err != nil {
		t.Errorf("--rm container that was not started, after boot: %v", err)
	}
	if left, _ := readNames(r.namesDir()); len(left) != 2 {
		t.Errorf("names after boot: %q", left)
	}
	if c, err := r.Find("kept"); err != nil || c.State.Status != Exited {
		t.Errorf("after boot: %+v, %v", c, err)
	}
}

func TestKillInitSparesAnotherProcess(t *testing.T) {
	ticks, err := startTicks(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	// A wrong start time, or boot, names another process that had this pid.
	boot, err := bootID()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []State{
		{Pid: os.Getpid(), StartTicks: ticks + 1, Boot: boot},
		{Pid: os.Getpid(), StartTicks: ticks, Boot: "another"},
	} {
		if err := killInit(&s); err != nil {
			t.Error(err)
		}
	}
}

// TestTakeOverAfterADeadMonitor: whoever gets the lock of a dead monitor before
// a Reap does tidies up as a Reap would.
func TestTakeOverAfterADeadMonitor(t *testing.T) {
	r := testRuntime(t)
	c := container(t, r, testID, Config{Name: "web"})
	l, err := r.takeLife(testID, c.note())
	if err != nil {
		t.Fatal(err)
	}
	l.close() // and the file stays
	c.State = State{Status: Running, Pid: 1 << 22}
	if err := c.saveState(); err != nil {
		t.Fatal(err)
	}
	if l, err = c.takeOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c, err := r.Find("web"); err != nil || c.State.Status != Exited || c.State.ExitCode != 137 {
		t.Errorf("after the monitor died: %+v, %v", c, err)
	}
	if err := l.end(r, testID); err != nil {
		t.Fatal(err)
	}
	if l, err = r.takeLife(testID, c.note()); err != nil || l.inherited {
		t.Errorf("a lock that was given up: %+v, %v", l, err)
	}
}
