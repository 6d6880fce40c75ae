package integration

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

func TestBinds(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	dir := filepath.Dir(writeFile(t, h, "data/file", "hello\n", 0o644))
	run := func(args ...string) host.Result {
		return h.Run(append([]string{"run", "--rm", "--net", "none"}, args...)...)
	}
	wantOut(t, run("-v", dir+":/data", "busybox", "sh", "-c", "cat /data/file; echo new > /data/new"), "hello")
	if text, err := os.ReadFile(dir + "/new"); err != nil || string(text) != "new\n" {
		t.Errorf("%q, %v", text, err)
	}
	for _, ro := range []string{":ro", ":ro,z"} {
		r := run("-v", dir+":/data"+ro, "busybox", "sh", "-c", "cat /data/file; echo new > /data/other")
		if r.Code != 1 || r.Out() != "hello" || !strings.Contains(r.Stderr, "Read-only file system") {
			t.Errorf("%v", r)
		}
	}
	t.Run("a file", func(t *testing.T) {
		wantOut(t, run("-v", dir+"/file:/etc/some/where", "busybox", "sh", "-c", "cat /etc/some/where; echo more >> /etc/some/where"), "hello")
		if text, err := os.ReadFile(dir + "/file"); err != nil || string(text) != "hello\nmore\n" {
			t.Errorf("%q, %v", text, err)
		}
		wantOut(t, run("-v", dir+"/file:/etc/passwd:ro", "busybox", "cat", "/etc/passwd"), "hello\nmore")
	})
	t.Run("one below another", func(t *testing.T) {
		wantOut(t, run("-v", dir+":/data/below", "-v", filepath.Dir(dir)+":/data", "busybox", "sh", "-c", "ls -d /data/data /data/below/file"), "/data/below/file\n/data/data")
		if err := os.Remove(filepath.Dir(dir) + "/below"); err != nil { // its mount point
			t.Error(err)
		}
	})
	t.Run("a source that is not there is made", func(t *testing.T) {
		wantOut(t, run("-v", dir+"/made/here:/data", "busybox", "touch", "/data/x"), "")
		if _, err := os.Stat(dir + "/made/here/x"); err != nil {
			t.Error(err)
		}
	})
	t.Run("mounts in the container stay there", func(t *testing.T) {
		if r := h.Exec("grep", dir, "/proc/mounts"); r.Code != 1 {
			t.Errorf("on the host: %v", r)
		}
	})
	t.Run("bad", func(t *testing.T) {
		for _, v := range []string{"relative:", ":/x", "a:b:c:d", dir + ":relative", dir + ":/x:nosuch", dir + ":/", "a/b:/x", ""} {
			r := run("-v", v, "busybox", "true")
			wantCode(t, r, 125)
			if !strings.HasPrefix(r.Stderr, "mini: ") {
				t.Errorf("-v %q: %v", v, r)
			}
		}
		wantOut(t, h.Run("ps", "-aq"), "")
	})
}

func TestVolumes(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	h.Allow(host.SecRoot, `/root/volumes/`, "volumes with a name stay until volume rm, which this test checks by itself")
	tarball, err := host.Busybox()
	if err != nil {
		t.Fatal(err)
	}
	h.MustRun("import", "-c", "VOLUME /www", tarball, "voluminous")
	volumes := func() string { return strings.Join(dirNames(t, h.Root+"/volumes"), " ") }
	run := func(args ...string) host.Result {
		return h.Run(append([]string{"run", "--net", "none"}, args...)...)
	}
	t.Log("a named one starts with what the image has there, and stays")
	wantOut(t, run("--rm", "-v", "data:/www", "busybox", "sh", "-c", "ls /www; echo 1 > /www/one; rm /www/index.html"), "cgi-bin\nindex.html")
	wantOut(t, run("--rm", "-v", "data:/www", "busybox", "ls", "/www"), "cgi-bin\none")
	wantOut(t, run("--rm", "-v", "data:/elsewhere:ro", "busybox", "sh", "-c", "ls /elsewhere; touch /elsewhere/x 2>/dev/null || echo refused"), "cgi-bin\none\nrefused")
	t.Log("owners and modes come along")
	wantOut(t, run("--rm", "-v", "home:/home/app", "busybox", "stat", "-c", "%U %a", "/home/app"), "app 755")
	wantOut(t, run("--rm", "-u", "app", "-v", "tmp:/tmp", "busybox", "sh", "-c", "touch /tmp/x && stat -c %a /tmp"), "1777")
	if got := volumes(); got != "data home tmp" {
		t.Errorf("volumes: %s", got)
	}
	t.Log("an anonymous one goes with --rm and with rm -v, and stays with rm")
	wantOut(t, run("--rm", "-v", "/www", "busybox", "ls", "/www"), "cgi-bin\nindex.html")
	wantOut(t, run("--rm", "voluminous", "ls", "/www"), "cgi-bin\nindex.html")
	if got := volumes(); got != "data home tmp" {
		t.Errorf("volumes after --rm: %s", got)
	}
	wantCode(t, run("--name", "box", "voluminous", "touch", "/www/x"), 0)
	if got := dirNames(t, h.Root+"/volumes"); len(got) != 4 {
		t.Errorf("volumes: %q", got)
	}
	wantOut(t, h.Run("rm", "-v", "box"), "box")
	if got := volumes(); got != "data home tmp" {
		t.Errorf("volumes after rm -v: %s", got)
	}
	wantCode(t, run("--name", "box", "voluminous", "true"), 0)
	name := h.MustRun("inspect", "-f", "{{(index .Mounts 0).Name}}", "box")
	wantOut(t, h.Run("rm", "box"), "box")
	if got := dirNames(t, h.Root+"/volumes"); len(got) != 4 {
		t.Errorf("volumes after rm: %q", got)
	}
	wantOut(t, h.Run("volume", "rm", name, "data", "home", "tmp"), name+"\ndata\nhome\ntmp")
	if got := volumes(); got != "" {
		t.Errorf("volumes after volume rm: %s", got)
	}
}

// dirNames lists directories that are not hidden.
func dirNames(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestTmpfsAndReadOnly(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	run := func(args ...string) host.Result {
		return h.Run(append([]string{"run", "--rm", "--net", "none"}, args...)...)
	}
	wantOut(t, run("--tmpfs", "/scratch:size=1m,mode=1770", "busybox", "sh", "-c",
		"stat -c %a /scratch; grep -c ' /scratch tmpfs .*nosuid,nodev,noexec.*size=1024k' /proc/mounts; dd if=/dev/zero of=/scratch/f bs=64k count=32 2>/dev/null || stat -c %s /scratch/f"),
		"1770\n1\n1048576")
	wantOut(t, run("--tmpfs", "/run", "-u", "app", "busybox", "sh", "-c", "touch /run/x && echo written"), "written")
	t.Run("--read-only", func(t *testing.T) {
		wantOut(t, run("--read-only", "busybox", "sh", "-c", `for d in / /etc /tmp /root /usr/bin; do touch $d/x 2>/dev/null && echo written to $d; done
			touch /dev/shm/x && echo shm; echo x > /dev/null && echo null; grep -c '^overlay / overlay ro' /proc/mounts`), "shm\nnull\n1")
		wantOut(t, run("--read-only", "--tmpfs", "/tmp", "-v", "/data", "busybox", "sh", "-c", "touch /tmp/x /data/x && echo written"), "written")
	})
	t.Run("writes stay in the container", func(t *testing.T) {
		wantOut(t, run("busybox", "sh", "-c", "echo x > /www/index.html; rm -r /etc; ls /etc 2>/dev/null | wc -l"), "3")
		wantOut(t, run("busybox", "sh", "-c", "test -s /etc/passwd && grep -c mini /www/index.html"), "2")
	})
}

func TestRootfsDirectory(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	tarball, err := host.Busybox()
	if err != nil {
		t.Fatal(err)
	}
	dir := h.Dir + "/rootfs"
	h.MustExec("mkdir", dir)
	h.MustExec("tar", "-xf", tarball, "-C", dir)
	wantOut(t, h.Run("run", "--rm", "--net", "none", "--rootfs", dir, "sh", "-c", "pwd; cat /proc/1/comm; echo kept > /kept"), "/\nsh")
	if text, err := os.ReadFile(dir + "/kept"); err != nil || string(text) != "kept\n" {
		t.Errorf("a directory is used as it is: %q, %v", text, err)
	}
	wantCode(t, h.Run("run", "--rm", "--net", "none", "--rootfs", dir, "--read-only", "touch", "/x"), 1)
	for _, bad := range []string{dir + "/kept", dir + "/nosuch"} {
		r := h.Run("run", "--rm", "--rootfs", bad, "true")
		wantCode(t, r, 125)
		if !strings.Contains(r.Stderr, bad) {
			t.Errorf("%v", r)
		}
	}
}

// TestRootfsOfTheHost runs the host's own programs over an overlay that is
// thrown away.
func TestRootfsOfTheHost(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	r := h.Run("run", "--rm", "--rootfs", "/", "bash", "-c", "echo $BASH_VERSION; touch /etc/mini-was-here /usr/mini-was-here; ls /etc/mini-was-here; rm /etc/passwd; id -u; ip -br link show eth0 >&2")
	if !regexp.MustCompile(`^\d+\.\d+.*\n/etc/mini-was-here\n0\n$`).MatchString(r.Stdout) || !strings.HasPrefix(r.Stderr, "eth0@") || r.Code != 0 {
		t.Errorf("%v", r)
	}
	for _, f := range []string{"/etc/mini-was-here", "/usr/mini-was-here"} {
		if _, err := os.Stat(f); err == nil {
			t.Errorf("%s is on the machine", f)
		}
	}
	if _, err := os.Stat("/etc/passwd"); err != nil {
		t.Error(err)
	}
}

// hostile makes an image with entries that try to lead outside.
func hostile(t *testing.T, h *host.Host, name string, replace map[string]tar.Header, changes ...string) {
	t.Helper()
	tarball, err := host.Busybox()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(h.Dir, "hostile-"+name)
	h.MustExec("mkdir", dir)
	h.MustExec("tar", "-xf", tarball, "-C", dir)
	for path, hdr := range replace {
		full := filepath.Join(dir, path)
		if err := os.RemoveAll(full); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(hdr.Linkname, full); err != nil {
			t.Fatal(err)
		}
	}
	h.MustExec("tar", "-cf", dir+".tar", "-C", dir, ".")
	args := []string{"import"}
	for _, c := range changes {
		args = append(args, "-c", c)
	}
	h.MustRun(append(args, dir+".tar", name)...)
}

func link(to string) tar.Header { return tar.Header{Linkname: to} }

func TestHostileImages(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	secret := filepath.Dir(writeFile(t, h, "secret/file", "secret\n", 0o644))
	data := filepath.Dir(writeFile(t, h, "data/given", "given\n", 0o644))
	before := tree(t, h, secret)
	run := func(args ...string) host.Result {
		return h.Run(append([]string{"run", "--rm", "--net", "none"}, args...)...)
	}
	t.Run("a mount point that is a link to the host", func(t *testing.T) {
		for i, to := range []string{secret, "../../../../../../../.." + secret, "/proc/self/cwd", "/proc/1/root" + secret} {
			name := fmt.Sprintf("link%d", i)
			hostile(t, h, name, map[string]tar.Header{"data": link(to), "www": link(to)}, "VOLUME /www")
			for _, v := range []string{data + ":/data", data + ":/data/sub", data + "/given:/data/file", "/data/anonymous"} {
				r := run("-v", v, name, "sh", "-c", "cat /data/file /data/sub/given 2>/dev/null; echo; ls / >/dev/null")
				if strings.Contains(r.Stdout, "secret") {
					t.Errorf("-v %s: the host's file is seen: %v", v, r)
				}
			}
			for _, args := range [][]string{{"--tmpfs", "/data/tmp"}, {"-w", "/data/work"}} {
				run(append(args, name, "touch", "/data/x")...) // may fail; must not touch the host
			}
		}
		if after := tree(t, h, secret); after != before {
			t.Errorf("the host's directory was\n%s\nand is\n%s", before, after)
		}
		// Only what a container with the directory could do itself.
		if got := tree(t, h, data); strings.Contains(got, "secret") {
			t.Errorf("%s", got)
		}
	})
	t.Run("/proc, /sys or /dev as a link", func(t *testing.T) {
		for _, dir := range []string{"proc", "sys", "dev"} {
			hostile(t, h, "with"+dir, map[string]tar.Header{dir: link(secret)})
			r := run("with"+dir, "true")
			if dir != "dev" || r.Code != 0 {
				wantCode(t, r, 125)
				if !strings.Contains(r.Stderr, "/"+dir) {
					t.Errorf("/%s is not named: %v", dir, r)
				}
			}
		}
		if after := tree(t, h, secret); after != before {
			t.Errorf("the host's directory was\n%s\nand is\n%s", before, after)
		}
	})
	t.Run("/etc files as links", func(t *testing.T) {
		hostile(t, h, "withetc", map[string]tar.Header{
			"etc/resolv.conf": link("/run/systemd/resolve/stub-resolv.conf"), "etc/hosts": link("../../../../../.." + secret + "/file"), "etc/hostname": link("/etc/name"),
		})
		wantOut(t, run("--hostname", "box", "withetc", "sh", "-c", "cat /etc/hostname; grep -c localhost /etc/hosts; test -e /etc/resolv.conf && echo there"), "box\n2\nthere")
		if after := tree(t, h, secret); after != before {
			t.Errorf("the host's directory was\n%s\nand is\n%s", before, after)
		}
	})
	t.Run("/etc/passwd as a link", func(t *testing.T) {
		passwd := writeFile(t, h, "passwd", "evil:x:0:0:evil:/:/bin/sh\n", 0o644)
		hostile(t, h, "withpasswd", map[string]tar.Header{"etc/passwd": link("/proc/self/root" + passwd)})
		r := run("-u", "evil", "withpasswd", "id", "-u")
		if r.Code == 0 {
			t.Errorf("the host's user is known: %v", r)
		}
		if r = run("withpasswd", "id", "-u"); r.Out() != "0" {
			t.Errorf("%v", r)
		}
	})
}

// tree lists a directory with the contents of its files.
func tree(t testing.TB, h *host.Host, dir string) string {
	t.Helper()
	return h.MustExec("sh", "-c", "cd "+dir+" && find . -type d; find . -type f -exec sh -c 'echo $0: $(cat $0)' {} ';'")
}
