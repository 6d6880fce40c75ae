package integration

import (
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

func TestProcessSecurity(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	field := func(name string) string {
		return fmt.Sprintf("grep ^%s: /proc/self/status | tr -d '\\t '", name)
	}
	for _, c := range []struct{ name, script, want string }{
		// Docker's fourteen, see capabilities(7).
		{"effective capabilities", field("CapEff"), "CapEff:00000000a80425fb"},
		{"permitted capabilities", field("CapPrm"), "CapPrm:00000000a80425fb"},
		{"bounding capabilities", field("CapBnd"), "CapBnd:00000000a80425fb"},
		{"inheritable capabilities", field("CapInh"), "CapInh:0000000000000000"},
		{"ambient capabilities", field("CapAmb"), "CapAmb:0000000000000000"},
		{"seccomp filter", field("Seccomp"), "Seccomp:2"},
		{"open files", "ls /proc/1/fd; true", "0\n1\n2"},
		{"first process", "echo $$; readlink /proc/1/exe; cat /proc/1/comm; true", "1\n/bin/busybox\nsh"},
		{"own processes only", "set -- /proc/[0-9]*; echo $#", "1"},
		{"umask", "umask", "0022"},
		{"no mount", "mount -t tmpfs x /tmp 2>/dev/null || echo refused", "refused"},
		{"no new namespaces", "unshare -m true 2>/dev/null || echo refused", "refused"},
		{"no change of the clock", "date -s @$(date +%s) 2>&1 | grep -o 'Operation not permitted'", "Operation not permitted"},
		{"no reboot", "reboot -f >/dev/null 2>&1 || echo refused", "refused"},
		{"chown, raw sockets and low ports are allowed", "touch /x; chown 1:1 /x && ping -c1 -W1 127.0.0.1 >/dev/null && echo allowed", "allowed"},
		{"masked files", "for f in kcore keys timer_list interrupts; do test -e /proc/$f && wc -c < /proc/$f; done | sort -u", "0"},
		{"masked directories", "ls /sys/firmware | wc -l", "0"},
		{"read-only paths", `for f in /proc/sys/kernel/hostname /proc/sys/net/ipv4/ip_forward /proc/sysrq-trigger /sys/kernel/mm/ksm/run /sys/fs/cgroup/cgroup.procs; do
			test -e $f || continue; sh -c "echo 0 > $f" 2>&1 | grep -q 'Read-only file system' || echo $f can be written; done; echo checked`, "checked"},
		{"devices", "ls /dev | tr '\\n' ' '", "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"},
		{"devices work", "head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; echo x > /dev/null; echo x 2>/dev/null > /dev/full || echo full", "3\n3\nfull"},
		{"a disk's node may be made and not opened", "mknod /disk b 8 0 && ls -l /disk | cut -c1; dd if=/disk of=/dev/null count=1 2>&1 | grep -o 'Operation not permitted'; mknod /mem c 1 1; cat /mem 2>&1 | grep -o 'Operation not permitted'",
			"b\nOperation not permitted\nOperation not permitted"},
		{"the root of the cgroup", "cat /proc/self/cgroup | grep -v ':/$' | grep ^0:", ""},
		{"no way into a host directory", "ls /proc/1/cwd/../../../bin/busybox /proc/1/root/../bin/busybox", "/proc/1/cwd/../../../bin/busybox\n/proc/1/root/../bin/busybox"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := h.Run("run", "--rm", "busybox", "sh", "-c", c.script)
			if c.want == "" {
				wantOutput(t, r, "", "")
				return
			}
			wantOut(t, r, c.want)
		})
	}
}

// TestSignalsAreAsFresh: nothing of the monitor's signals is handed down.
func TestSignalsAreAsFresh(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	h.MustRun("run", "-d", "--net", "none", "--name", "box", "busybox", "sleep", "1000")
	const want = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000"
	grep := []string{"grep", "-hE", "SigBlk|SigIgn", "/proc/self/status"}
	wantOut(t, h.Run(append([]string{"run", "--rm", "--net", "none", "busybox"}, grep...)...), want)
	wantOut(t, h.Run(append([]string{"run", "--rm", "--net", "none", "-t", "busybox"}, grep...)...), strings.ReplaceAll(want, "\n", "\r\n"))
	wantOut(t, h.Run(append([]string{"exec", "box"}, grep...)...), want)
}

func TestNamespacesAreOwn(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	kinds := []string{"pid", "ipc", "uts", "mnt", "net", "cgroup"}
	read := func(prefix ...string) []string {
		script := "cd /proc/self/ns; for n in " + strings.Join(kinds, " ") + "; do readlink $n; done"
		args := append(prefix, "sh", "-c", script)
		if prefix == nil {
			return strings.Split(h.MustExec(args...), "\n")
		}
		return strings.Split(h.MustRun(args...), "\n")
	}
	own := read()
	first, second := read("run", "--rm", "busybox"), read("run", "--rm", "busybox")
	hostNet := read("run", "--rm", "--net", "host", "busybox")
	for i, kind := range kinds {
		if first[i] == own[i] || second[i] == own[i] {
			t.Errorf("the %s namespace is the host's: %s", kind, own[i])
		}
		if (hostNet[i] == own[i]) != (kind == "net") {
			t.Errorf("with --net host, the %s namespace is %s, the host's %s", kind, hostNet[i], own[i])
		}
	}
}

// TestMountsAreApart: the container sees its own mounts alone, and the host
// none of the container's.
func TestMountsAreApart(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	dir := h.MustExec("mktemp", "-d", h.Dir+"/bindXXXXXX")
	before, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	h.MustRun("run", "-d", "--name", "box", "-v", dir+":/data", "-v", "/anon", "--tmpfs", "/t", "busybox", "sleep", "1000")
	h.MustRun("exec", "box", "true")
	during, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range before.Diff(during) {
		if change.Section == host.SecMounts || change.Section == host.SecMachine {
			t.Errorf("while a container runs: %v", change)
		}
	}
	defer h.MustRun("rm", "-f", "-v", "box")
	var points []string
	for line := range strings.Lines(h.MustRun("exec", "box", "cat", "/proc/1/mounts") + "\n") {
		points = append(points, strings.Fields(line)[1])
	}
	slices.Sort(points)
	points = slices.DeleteFunc(slices.Compact(points), func(p string) bool { // masked and read-only, as far as this kernel has them
		return strings.HasPrefix(p, "/proc/") || strings.HasPrefix(p, "/sys/firmware") || strings.HasPrefix(p, "/sys/devices/")
	})
	want := "/ /anon /data /dev /dev/mqueue /dev/pts /dev/shm /etc/hostname /etc/hosts /etc/resolv.conf /proc /sys /sys/fs/cgroup /t"
	if got := strings.Join(points, " "); got != want {
		t.Errorf("mounts in the container:\n%s\nwant\n%s", got, want)
	}
}

// TestOwnBinaryIsOutOfReach tries what CVE-2019-5736 did: get hold of the
// program that sets the container up, and write to it.
func TestOwnBinaryIsOutOfReach(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	binary := miniBinary(h)
	sum := func() string {
		b, err := os.ReadFile(binary)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%x", sha256.Sum256(b))
	}
	before := sum()
	t.Log("a container that executes what set it up")
	script := writeFile(t, h, "script", "#!/proc/self/exe\n", 0o755)
	for _, args := range [][]string{
		{"busybox", "/proc/self/exe", "version"},
		{"-v", script + ":/script", "busybox", "/script"},
		{"--init", "busybox", "/proc/self/exe", "version"},
	} {
		r := h.Run(append([]string{"run", "--rm", "--net", "none"}, args...)...)
		if r.Code != 126 && r.Code != 127 {
			t.Errorf("it could be executed: %v", r)
		}
	}
	t.Log("a container that waits for one to come by")
	h.MustRun("run", "-d", "--net", "none", "--name", "box", "-v", script+":/script", "busybox", "sh", "-c", `
		echo watching; while :; do for p in /proc/[0-9]*; do
			exe=$(readlink $p/exe) || continue
			case $exe in /bin/busybox) continue;; esac
			echo "held $p $exe $(tr '\\0' ' ' < $p/cmdline)"
			(exec 9<$p/exe; echo evil > /proc/self/fd/9 && echo WRITTEN; echo evil > $p/exe && echo WRITTEN) 2>&1
		done; done`)
	victim := h.Mini("exec", "-i", "box", "/proc/self/exe", "import", "-", "x")
	for range 10 {
		victim.Stdin = strings.Repeat("x", 1<<20)
		h.Do(victim)
		h.Run("exec", "box", "/script", "version")
		h.Run("exec", "box", "true")
	}
	if log := h.MustRun("logs", "box"); log != "watching" {
		t.Errorf("the container got hold of the binary:\n%s", log)
	}
	if after := sum(); after != before {
		t.Fatalf("the binary changed: %s, %s", before, after)
	}
	t.Log("the small init is a copy of the monitor's memory, not a way to its file")
	r := h.Run("run", "--rm", "--net", "none", "--init", "busybox", "sh", "-c", "(echo evil > /proc/1/exe) 2>&1; cat /proc/1/maps /proc/1/environ /proc/1/mem 2>/dev/null | head -c 10")
	if strings.Contains(r.Stdout, "=") || sum() != before {
		t.Errorf("%v", r)
	}
	wantOut(t, h.Run("run", "--rm", "--net", "none", "busybox", "echo", "fine"), "fine")
}

// TestNoFilesLeakIntoTheContainer: what the command had open stays its own.
func TestNoFilesLeakIntoTheContainer(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	mini := strings.Join(h.Mini().Args, " ")
	script := fmt.Sprintf("exec 7</etc/passwd 8</ 9>/dev/null; %s run --rm --net none busybox sh -c 'exec ls /proc/1/fd' | xargs; %s run -d --net none --name box busybox sleep 1000 > /dev/null; %s exec box sh -c 'ls /proc/$$/fd; ls /proc/1/fd; true'", mini, mini, mini)
	r := h.Exec("bash", "-c", script)
	// ls itself has the directory open, once.
	wantOut(t, r, "0 1 2 3\n0\n1\n2\n0\n1\n2")
}

// TestNoFilesLeakIntoTheMonitor: a lock or a pipe that the user's shell has
// open is free when the command has ended, and not when the container has.
func TestNoFilesLeakIntoTheMonitor(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	lock := writeFile(t, h, "lock", "", 0o644)
	mini := strings.Join(h.Mini().Args, " ")
	script := fmt.Sprintf("exec 9<%s; flock 9; %s run -d --net none --name box busybox sleep 1000; exec 9<&-; flock -n %s echo free", lock, mini, lock)
	r := h.Exec("bash", "-c", script)
	if r.Code != 0 || !strings.HasSuffix(r.Stdout, "\nfree\n") {
		t.Errorf("%v", r)
	}
	files := h.MustExec("ls", "-l", fmt.Sprintf("/proc/%d/fd", monitorPid(t, h, "box")))
	if strings.Contains(files, lock) {
		t.Errorf("the monitor has it open:\n%s", files)
	}
}
