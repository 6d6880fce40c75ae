package integration

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func TestEnvironment(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.Env("FROM_HOST=host value", "SECRET=not for the container"))
	env := func(t *testing.T, args ...string) []string {
		t.Helper()
		out := h.MustRun(append(append([]string{"run", "--rm", "--net", "none", "--hostname", "box"}, args...), "busybox", "env")...)
		lines := strings.Split(strings.ReplaceAll(out, "\r", ""), "\n")
		slices.Sort(lines)
		return lines
	}
	base := []string{"HOME=/root", "HOSTNAME=box", "PATH=" + defaultPath}
	file := writeFile(t, h, "env", "# comment\n\nA=1\nB=with = sign \nFROM_HOST\nABSENT\nC=\n", 0o644)
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"alone", nil, base},
		{"-t", []string{"-t"}, append(base, "TERM=xterm")},
		{"-e", []string{"-e", "A=b c", "--env=D=e=f", "-eX="}, append(base, "A=b c", "D=e=f", "X=")},
		{"-e of a name", []string{"-e", "FROM_HOST", "-e", "ABSENT"}, append(base, "FROM_HOST=host value")},
		{"-e over the defaults", []string{"-e", "PATH=/usr/bin", "-e", "HOME=/tmp", "-e", "HOSTNAME=x"}, []string{"HOME=/tmp", "HOSTNAME=x", "PATH=/usr/bin"}},
		{"--env-file", []string{"--env-file", file}, append(base, "A=1", "B=with = sign ", "C=", "FROM_HOST=host value")},
		{"-e over --env-file", []string{"-e", "A=2", "--env-file", file}, append(base, "A=2", "B=with = sign ", "C=", "FROM_HOST=host value")},
		{"a comma", []string{"-e", "A=1,2,B=3"}, append(base, "A=1,2,B=3")},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := slices.Sorted(slices.Values(c.want))
			if got := env(t, c.args...); strings.TrimSpace(strings.Join(got, "\n")) != strings.TrimSpace(strings.Join(want, "\n")) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
	t.Run("bad files", func(t *testing.T) {
		bad := writeFile(t, h, "bad", "with space=1\n", 0o644)
		for _, f := range []string{bad, "/no/such"} {
			r := h.Run("run", "--rm", "--env-file", f, "busybox", "env")
			wantCode(t, r, 125)
			if !strings.Contains(r.Stderr, f) {
				t.Errorf("the file is not named: %v", r)
			}
		}
	})
	t.Run("hostname", func(t *testing.T) {
		wantOut(t, h.Run("run", "--rm", "--hostname", "box", "busybox", "sh", "-c", "hostname; cat /etc/hostname; grep -c box /etc/hosts"), "box\nbox\n1")
		out := h.MustRun("run", "--net", "none", "--name", "box", "busybox", "sh", "-c", "echo $(hostname) $HOSTNAME $(cat /etc/hostname)")
		short := h.MustRun("ps", "-aq")
		if out != strings.Join([]string{short, short, short}, " ") {
			t.Errorf("got %q, want the id %s", out, short)
		}
	})
}

func TestWorkingDirectory(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	run := func(args ...string) host.Result {
		return h.Run(append([]string{"run", "--rm", "--net", "none"}, args...)...)
	}
	wantOut(t, run("busybox", "pwd"), "/")
	wantOut(t, run("-w", "/www", "busybox", "pwd"), "/www")
	wantOut(t, run("-w", "/made/for/this", "busybox", "sh", "-c", "pwd; stat -c '%a %u' ."), "/made/for/this\n755 0")
	wantOut(t, run("-w", "/made/for/this", "-u", "app", "busybox", "pwd"), "/made/for/this")
	r := run("-w", "relative", "busybox", "pwd")
	wantError(t, r, 125, "mini: the working directory 'relative' is invalid, it needs to be an absolute path")
	r = run("-w", "/etc/passwd", "busybox", "pwd")
	if r.Code < 125 || r.Code > 127 || !strings.Contains(strings.ToLower(r.Stderr), "not a directory") {
		t.Errorf("%v", r)
	}
}

// TestUserNetwork: the ports of a namespace of its own are free to all.
func TestUserNetwork(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	for _, net := range []string{"bridge", "none"} {
		wantOut(t, h.Run("run", "--rm", "--net", net, "-u", "12:34", "busybox", "sh", "-c",
			"httpd -p 80 -h /www && wget -qO- 127.0.0.1/cgi-bin/addr ; cat /proc/sys/net/ipv4/ping_group_range"), "[::ffff:127.0.0.1]\n0\t2147483647")
	}
	r := h.Run("run", "--rm", "--net", "host", "-u", "12:34", "busybox", "httpd", "-p", "80")
	if r.Code != 1 || !strings.Contains(r.Stderr, "Permission denied") {
		t.Errorf("the host's port: %v", r)
	}
}

func TestUser(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	for _, c := range []struct{ user, want string }{
		{"", "uid=0 gid=0 groups=0 home=/root"},
		{"root", "uid=0 gid=0 groups=0 home=/root"},
		{"app", "uid=1000 gid=1000 groups=1000 50 home=/home/app"},
		{"1000", "uid=1000 gid=1000 groups=1000 50 home=/home/app"},
		{"app:staff", "uid=1000 gid=50 groups=50 home=/home/app"},
		{"4711", "uid=4711 gid=0 groups=0 home=/"},
		{"4711:4712", "uid=4711 gid=4712 groups=4712 home=/"},
		{"nobody:50", "uid=65534 gid=50 groups=50 home=/"},
	} {
		t.Run(c.user, func(t *testing.T) {
			script := "echo uid=$(id -u) gid=$(id -g) groups=$(id -G) home=$HOME"
			wantOut(t, h.Run("run", "--rm", "--net", "none", "-u", c.user, "busybox", "sh", "-c", script), c.want)
		})
	}
	for user, message := range map[string]string{
		"nosuch":      "unable to find user nosuch: no matching entries in passwd file",
		"app:nosuch":  "unable to find group nosuch: no matching entries in group file",
		"99999999999": "uids and gids must be in range 0-2147483647",
	} {
		r := h.Run("run", "--rm", "--net", "none", "-u", user, "busybox", "true")
		if r.Code != 125 && r.Code != 126 || !strings.Contains(r.Stderr, message) {
			t.Errorf("want %q: %v", message, r)
		}
	}
	t.Run("writes where it may", func(t *testing.T) {
		wantOut(t, h.Run("run", "--rm", "--net", "none", "-u", "app", "busybox", "sh", "-c",
			"echo a > /tmp/a && echo b > ~/b && echo c > /dev/null && echo d > /dev/stdout; echo e 2>/dev/null > /etc/e || echo refused"), "d\nrefused")
	})
}

func TestNamesAndResolver(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.File("/etc/resolv.conf", "nameserver 192.0.2.53\nsearch example.org\noptions ndots:2\n"))
	cat := func(file string, args ...string) string {
		t.Helper()
		return h.MustRun(append(append([]string{"run", "--rm", "--hostname", "box"}, args...), "busybox", "cat", file)...)
	}
	hosts := cat("/etc/hosts", "--add-host", "db:10.1.2.3", "--add-host", "six:2001:db8::1", "--add-host", "gw:host-gateway")
	for _, want := range []string{
		`(?m)^127\.0\.0\.1\s+localhost$`, `(?m)^::1\s+localhost ip6-localhost ip6-loopback$`, `(?m)^10\.1\.2\.3\s+db$`,
		`(?m)^2001:db8::1\s+six$`, `(?m)^172\.17\.0\.1\s+gw$`, `(?m)^172\.17\.0\.\d+\s+box$`,
	} {
		if !regexp.MustCompile(want).MatchString(hosts) {
			t.Errorf("no %s in /etc/hosts:\n%s", want, hosts)
		}
	}
	wantLines(t, cat("/etc/resolv.conf"), "nameserver 192.0.2.53", "search example.org", "options ndots:2")
	wantLines(t, cat("/etc/resolv.conf", "--dns", "10.0.0.1", "--dns", "10.0.0.2", "--dns-search", "a.example", "--dns-search", "b.example", "--dns-option", "timeout:1"),
		"nameserver 10.0.0.1", "nameserver 10.0.0.2", "search a.example b.example", "options timeout:1")
	wantLines(t, cat("/etc/resolv.conf", "--dns-search", "."), "nameserver 192.0.2.53", "options ndots:2")
	for _, bad := range [][]string{{"--dns", "nosuch"}, {"--add-host", "db"}, {"--add-host", "db:nosuch"}} {
		r := h.Run(append(append([]string{"run", "--rm"}, bad...), "busybox", "true")...)
		wantCode(t, r, 125)
		if !strings.Contains(r.Stderr, strings.TrimPrefix(bad[1], "db:")) {
			t.Errorf("%s is not named: %v", bad[1], r)
		}
	}
}

// wantLines compares a file's lines, comments and order aside.
func wantLines(t *testing.T, text string, want ...string) {
	t.Helper()
	var have []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			have = append(have, line)
		}
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("got  %q\nwant %q", have, want)
	}
}

func TestEntrypointAndImageConfig(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	tarball, err := host.Busybox()
	if err != nil {
		t.Fatal(err)
	}
	h.MustRun("import", "-c", `ENTRYPOINT ["echo","entry"]`, "-c", `CMD ["cmd"]`, "-c", "ENV A=image", "-c", "LABEL from=image both=image", tarball, "both")
	run := func(args ...string) host.Result {
		return h.Run(append([]string{"run", "--rm", "--net", "none"}, args...)...)
	}
	wantOut(t, run("both"), "entry cmd")
	wantOut(t, run("both", "x", "y"), "entry x y")
	wantOut(t, run("--entrypoint", "printf", "both", "%s-", "a", "b"), "a-b-")
	wantOut(t, run("--entrypoint", "hostname", "--hostname", "box", "both"), "box")
	wantOut(t, run("--entrypoint", "", "both", "echo", "plain"), "plain")
	wantOut(t, run("--entrypoint", "sh", "-e", "B=flag", "both", "-c", "echo $A $B"), "image flag")
	wantOut(t, run("--entrypoint", "sh", "-e", "A=flag", "both", "-c", "echo $A"), "flag")
	h.MustRun("create", "--name", "box", "--net", "none", "-l", "both=flag", "--label", "own=", "both")
	wantOut(t, h.Run("inspect", "-f", "{{json .Config.Labels}}", "box"), `{"both":"flag","from":"image","own":""}`)
	t.Log("a command that is empty in one way or another")
	for _, args := range [][]string{{"busybox"}, {"--entrypoint", "", "both"}, {"busybox", ""}} {
		r := run(args...)
		if r.Code != 125 && r.Code != 127 || strings.TrimSpace(r.Stderr) == "" {
			t.Errorf("%v", r)
		}
	}
	wantError(t, run("busybox"), 125, "mini: no command specified")
	wantOut(t, h.Run("ps", "-a", "--format", "{{.Names}}"), "box")
}

func TestFlagsAsPeopleTypeThem(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	for i, line := range []string{
		"run --rm --net=none busybox echo -n -rm --rm",
		"run --rm=true --network none busybox echo -n -rm --rm",
		"run -ieA=b --rm --net none busybox echo -n -rm --rm",
		"run --net none --rm -w/tmp -eB=-x busybox echo -n -rm --rm",
		"container run --rm --net none busybox echo -n -rm --rm",
		"run --rm --net none -- busybox echo -n -rm --rm",
	} {
		r := h.Run(strings.Fields(line)...)
		if r.Stdout != "-rm --rm" || r.Code != 0 {
			t.Errorf("%d: %v", i, r)
		}
	}
	id := h.MustRun("run", "-dp8081:80", "--name=box", "busybox", "sleep", "1000")
	wantOut(t, h.Run("port", id[:12], "80/tcp"), "0.0.0.0:8081")
	wantOut(t, h.Run("ps", "-aqf", "name=box"), id[:12])
	wantOut(t, h.Run("rm", "-fv", "box"), "box")
	for _, cmd := range []string{
		"run", "create", "start", "exec", "attach", "ps", "logs", "inspect", "port", "top", "stop", "kill", "restart", "wait", "rm", "rename",
		"images", "rmi", "import", "tag", "version", "info", "network create", "network ls", "network inspect", "network rm", "network prune",
		"network connect", "network disconnect",
	} {
		r := h.Run(append(strings.Fields(cmd), "--help")...)
		if r.Code != 0 || !strings.Contains(r.Stdout, "mini "+cmd) || !strings.Contains(strings.ToLower(r.Stdout), "example") {
			t.Errorf("no help with an example: %v", r)
		}
		r = h.Run(append(strings.Fields(cmd), "--nosuchflag")...)
		wantError(t, r, 125, "unknown flag: --nosuchflag")
		if !strings.Contains(r.Stderr, fmt.Sprintf("Run 'mini %s --help' for more information", cmd)) {
			t.Errorf("%v", r)
		}
	}
	wantError(t, h.Run("nosuch"), 1, "mini: unknown command: mini nosuch")
}
