package integration

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

func TestImages(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	tarball, err := host.Busybox()
	if err != nil {
		t.Fatal(err)
	}
	id := h.MustRun("images", "-q", "--no-trunc")
	if !regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(id) {
		t.Errorf("id %q", id)
	}
	lines := strings.Split(h.MustRun("images"), "\n")
	if strings.Join(strings.Fields(lines[0]), " ") != "REPOSITORY TAG IMAGE ID CREATED SIZE" ||
		!regexp.MustCompile(`^busybox +latest +`+id[7:19]+` +.* ago +[\d.]+MB$`).MatchString(lines[1]) || len(lines) != 2 {
		t.Errorf("%q", lines)
	}
	h.MustRun("tag", "busybox", "example.com:5000/team/tool:v1")
	wantOut(t, h.Run("images", "--format", "{{.Repository}}:{{.Tag}}", "example.com:5000/team/tool"), "example.com:5000/team/tool:v1")
	wantOut(t, h.Run("run", "--rm", "--net", "none", "example.com:5000/team/tool:v1", "echo", "hi"), "hi")
	wantOut(t, h.Run("run", "--rm", "--net", "none", id[7:15], "echo", "hi"), "hi")
	t.Log("import from the standard input, with changes")
	data, err := os.ReadFile(tarball)
	if err != nil {
		t.Fatal(err)
	}
	c := h.Mini("import", "-c", `CMD ["echo","from cmd"]`, "--change", "ENV A=1 B=two", "-c", "WORKDIR /www", "-c", "LABEL k=v", "-c", "USER app",
		"-c", "EXPOSE 80", "-c", "STOPSIGNAL SIGUSR1", "-m", "hello", "-", "changed:v2")
	c.Stdin = string(data)
	r := h.Do(c)
	if r.Code != 0 || !regexp.MustCompile(`^sha256:[0-9a-f]{64}\n$`).MatchString(r.Stdout) {
		t.Fatalf("%v", r)
	}
	wantOut(t, h.Run("run", "--rm", "--net", "none", "changed:v2"), "from cmd")
	wantOut(t, h.Run("run", "--rm", "--net", "none", "changed:v2", "sh", "-c", "echo $A $B; pwd; id -un"), "1 two\n/www\napp")
	h.MustRun("create", "--name", "user", "--net", "none", "changed:v2")
	wantOut(t, h.Run("inspect", "-f", "{{.Config.StopSignal}} {{.Config.Labels.k}}", "user"), "SIGUSR1 v")
	t.Log("removing")
	r = h.Run("rmi", "changed:v2")
	if r.Code != 1 || !strings.Contains(r.Stderr, "conflict: unable to remove repository reference \"changed:v2\" (must force) - container "+h.MustRun("ps", "-aq")+" is using its referenced image") {
		t.Errorf("%v", r)
	}
	h.MustRun("rm", "user")
	r = h.Run("rmi", "changed:v2")
	if !regexp.MustCompile(`^Untagged: changed:v2\nDeleted: sha256:[0-9a-f]{64}\n`).MatchString(r.Stdout) {
		t.Errorf("%v", r)
	}
	wantOut(t, h.Run("rmi", "example.com:5000/team/tool:v1"), "Untagged: example.com:5000/team/tool:v1")
	r = h.Run("rmi", "nosuch")
	if r.Code != 1 || !strings.Contains(r.Stderr, "No such image: nosuch:latest") {
		t.Errorf("%v", r)
	}
	for _, bad := range []string{"Upper", "a b", "x:", ":y", "a//b"} {
		if r := h.Run("tag", "busybox", bad); r.Code != 1 || !strings.Contains(r.Stderr, "invalid reference format") {
			t.Errorf("%v", r)
		}
	}
	for _, args := range [][]string{{"import", "/no/such.tar", "x"}, {"import", "-c", "FROM x", tarball, "x"}, {"import", "/etc/passwd", "x"}} {
		if r := h.Run(args...); r.Code != 1 || r.Stderr == "" {
			t.Errorf("%v", r)
		}
	}
	wantOut(t, h.Run("images", "-q", "--no-trunc"), id)
}

func TestVersionAndInfo(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	if v := h.MustRun("version"); !strings.Contains(strings.ToLower(v), "version") {
		t.Errorf("version: %s", v)
	}
	h.MustRun("run", "-d", "--net", "none", "busybox", "sleep", "1000")
	h.MustRun("create", "--net", "none", "busybox", "true")
	info := h.MustRun("info")
	for _, want := range []string{"Containers: 2", "Running: 1", "Images: 1", h.Root} {
		if !strings.Contains(info, want) {
			t.Errorf("no %q in:\n%s", want, info)
		}
	}
	wantOut(t, h.Run("info", "-f", "{{.ContainersRunning}} {{.Images}}"), "1 1")
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if text := h.MustRun("completion", shell); len(text) < 100 || !strings.Contains(text, "mini") {
			t.Errorf("completion %s: %q", shell, text)
		}
	}
	r := h.Do(host.Command{Args: []string{"bash", "-nc", h.MustRun("completion", "bash")}})
	wantCode(t, r, 0)
}
