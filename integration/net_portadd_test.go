package integration

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minirt/mini/integration/host"
)

// TestPortAddAndRm on a running container: ports come and go, are shown by ps,
// inspect and port, and survive a restart.
func TestPortAddAndRm(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	runWeb(t, h, "web", "-p", "8080:80")
	wantOut(t, h.Run("port", "add", "web", "127.0.0.1:8081:80", "published=7000-7002,target=7000-7002,protocol=udp"),
		"80/tcp -> 127.0.0.1:8081\n7000/udp -> 0.0.0.0:7000\n7001/udp -> 0.0.0.0:7001\n7002/udp -> 0.0.0.0:7002")
	check := func(when string) {
		t.Helper()
		wantAddr(t, h, host.Inside, "http://127.0.0.1:8081"+addrPage, gateway)
		wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
		if column := portsOf(t, h, "web"); column != "0.0.0.0:8080->80/tcp, 127.0.0.1:8081->80/tcp, 0.0.0.0:7000-7002->7000-7002/udp" {
			t.Errorf("%s, PORTS is %s", when, column)
		}
		wantOut(t, h.Run("inspect", "-f", `{{json (index .HostConfig.PortBindings "80/tcp")}}`, "web"),
			`[{"HostIp":"","HostPort":"8080"},{"HostIp":"127.0.0.1","HostPort":"8081"}]`)
		if n := publishedRules(t, h); n != 3 {
			t.Errorf("%s, there are %d DNAT rules, want 3", when, n)
		}
	}
	check("added")
	must(t, h.Run("restart", "-t", "0", "web"))
	waitForWeb(t, h, initPid(t, h, "web"))
	check("after a restart")

	wantOut(t, h.Run("port", "rm", "web", "80", "7001/udp"), "")
	wantOut(t, h.Run("port", "web"), "7000/udp -> 0.0.0.0:7000\n7002/udp -> 0.0.0.0:7002")
	wantClosed(t, h, "0.0.0.0:8080")
	wantClosed(t, h, "127.0.0.1:8081")
	must(t, h.Run("restart", "-t", "0", "web"))
	wantOut(t, h.Run("port", "web"), "7000/udp -> 0.0.0.0:7000\n7002/udp -> 0.0.0.0:7002")
	must(t, h.Run("rm", "-f", "web"))
	if n := publishedRules(t, h); n != 0 {
		t.Errorf("%d DNAT rules are left", n)
	}
}

// TestPortAddRepairsTheRules: somebody flushed the firewall, and the next change
// of a port puts back all that was there before.
func TestPortAddRepairsTheRules(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	runWeb(t, h, "web", "-p", "8080:80")
	if h.Backend() == host.Native {
		must(t, h.Exec("nft", "flush ruleset"))
	} else {
		must(t, h.Exec("sh", "-c", "for t in raw nat filter; do iptables -t $t -F; iptables -t $t -X; done"))
	}
	if r := h.Run("port", "add", "web", "8081:80"); r.Code != 0 || !strings.Contains(r.Stderr, "mini's rules are put back") {
		t.Errorf("want the repair, and a word of it:\n%s", r)
	}
	wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
	wantAddr(t, h, host.Outside, "http://192.0.2.1:8081"+addrPage, outside)
	if n := publishedRules(t, h); n != 2 {
		t.Errorf("there are %d DNAT rules, want 2", n)
	}
}

// TestPortRmOfPublishAll: what was withdrawn stays so after a restart.
func TestPortRmOfPublishAll(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	runIdle(t, h, "web", "-P", "--expose", "80-82")
	must(t, h.Run("port", "rm", "web", "81"))
	must(t, h.Run("restart", "-t", "0", "web"))
	fails(t, h.Run("port", "web", "81"), 1, "no public port '81/tcp' published for web")
	if n := len(strings.Split(must(t, h.Run("port", "web")), "\n")); n != 2 {
		t.Errorf("%d ports are published, want 2", n)
	}
	must(t, h.Run("port", "add", "web", "81"))
	must(t, h.Run("port", "web", "81"))
}

// TestPortAddErrors: each says what is wrong, and changes nothing.
func TestPortAddErrors(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("network", "create", "--internal", "closed"))
	runIdle(t, h, "web", "-p", "8080:80")
	runIdle(t, h, "other", "-p", "9090:80")
	runIdle(t, h, "lonely", "--net", "none")
	runIdle(t, h, "hosted", "--net", "host")
	runIdle(t, h, "shut", "--net", "closed")
	runIdle(t, h, "left")
	must(t, h.Run("network", "disconnect", "bridge", "left"))
	wantOut(t, h.Run("inspect", "-f", "{{.NetworkSettings.Networks}}", "left"), "map[]")
	wantOut(t, h.Run("ps", "--filter", "name=left", "--filter", "name=hosted", "--format", "{{.Names}}:{{.Networks}}"), "left:\nhosted:host")
	must(t, h.Run("create", "--name", "idle", "busybox", "true"))
	nc := h.Start(host.Command{Args: []string{"busybox", "nc", "-l", "-p", "7070"}})
	host.Eventually(t, patience, func() error {
		if r := h.Exec("ss", "-Hltn", "sport = 7070"); r.Out() == "" {
			return fmt.Errorf("nc does not listen: %s", nc.Stderr())
		}
		return nil
	})
	before, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ line, want string }{
		{"add idle 80", "is not running"},
		{"add nobody 80", "No such container: nobody"},
		{"add web 8081:80 8080:81", "Bind for 0.0.0.0:8080 failed: port is already allocated (held by container web)"},
		{"add web 8081:80 9090:81", "(held by container other)"},
		{"add web 8081:80 7070:81", fmt.Sprintf("(held by busybox (pid %d))", nc.Pid())},
		{"add web x", `invalid port mapping "x"`},
		{"add web 198.51.100.1:80:80", "the host has no such address"},
		{"add lonely 80", "container lonely is on no network (network mode none)"},
		{"add left 80", "container left is on no network: connect it with 'mini network connect'"},
		{"add hosted 80", "container hosted shares a network namespace (network mode host)"},
		{"add shut 80", "container shut has internal networks only"},
		{"rm web 8080:80 8080:81", "container web does not publish 8080:81/tcp: it publishes 0.0.0.0:8080->80/tcp"},
		{"rm web 127.0.0.1::80", "does not publish 127.0.0.1::80/tcp"},
		{"rm idle 80", "is not running"},
		{"add web", "requires at least 2 arguments"},
	} {
		fails(t, h.Run(append([]string{"port"}, strings.Fields(c.line)...)...), 1, c.want)
	}
	after, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if diff := withoutLate(before.Diff(after)); len(diff) > 0 {
		t.Errorf("a refusal changed something:\n%s", diff)
	}
	wantOut(t, h.Run("port", "web"), "80/tcp -> 0.0.0.0:8080")
	wantClosed(t, h, "0.0.0.0:8081")
}

// TestPortOfAContainerNamedAdd: its id and /add name it.
func TestPortOfAContainerNamedAdd(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	runIdle(t, h, "add", "-p", "8080:80")
	id := must(t, h.Run("inspect", "-f", "{{.Id}}", "add"))
	for _, ref := range []string{"/add", id[:12]} {
		wantOut(t, h.Run("port", ref), "80/tcp -> 0.0.0.0:8080")
	}
	must(t, h.Run("port", "add", "add", "8081:81"))
	wantOut(t, h.Run("port", "/add", "81"), "0.0.0.0:8081")
}

// TestPortAddExplains each step with its command.
func TestPortAddExplains(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.Iptables(host.NFT))
	runIdle(t, h, "web", "-p", "8000:8000")
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"add", "--explain", "web", "5353:53/udp"}, []string{"== publish 0.0.0.0:5353->53/udp of web", "iptables -t nat -A DOCKER -p udp", "conntrack -D -p udp --orig-port-dst 5353"}},
		{[]string{"rm", "--explain", "web", "5353:53/udp"}, []string{"== stop publishing 0.0.0.0:5353->53/udp of web", "iptables -t nat -D DOCKER -p udp", "conntrack -D"}},
		{[]string{"add", "--explain", "web", "8001:8001"}, []string{"iptables -t nat -D DOCKER -p tcp -m tcp --dport 8000 ", "--dport 8000:8001 "}},
	} {
		r := h.Run(append([]string{"port"}, c.args...)...)
		must(t, r)
		for _, want := range c.want {
			if !strings.Contains(r.Stderr, want) {
				t.Errorf("%v does not say %q:\n%s", c.args, want, r.Stderr)
			}
		}
	}
}

// TestPortAddTakesOverUDP: a client that never pauses reaches the container as
// soon as its port is published, and no longer than it is.
func TestPortAddTakesOverUDP(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	pid := runIdle(t, h, "web")
	echoUDP(t, h, pid, ":53")
	conn, err := h.Dial(t.Context(), host.Outside, "udp4", "192.0.2.1:5353")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got, err := exchange(conn, 2); err == nil {
		t.Fatalf("an answer from %s before the port is published", got)
	}
	must(t, h.Run("port", "add", "web", "5353:53/udp"))
	if got, err := exchange(conn, 5); err != nil || got != outside {
		t.Errorf("published: sees %q, %v", got, err)
	}
	must(t, h.Run("port", "rm", "web", "5353:53/udp"))
	if got, err := exchange(conn, 2); err == nil {
		t.Errorf("an answer from %s after the port was withdrawn", got)
	}
}

// withoutLate leaves out the routes of a bridge's own IPv6 addresses, which
// come a moment after it is up.
func withoutLate(cs host.Changes) host.Changes {
	return slices.DeleteFunc(cs, func(c host.Change) bool {
		return c.Section == host.SecRoutes && strings.Contains(c.Line, " fe80::")
	})
}

// ruleCalls are the system calls of a change of rules.
func (c calm) ruleCalls() []string {
	if c.Backend() == host.Native {
		return []string{"sendmsg"}
	}
	return []string{"clone3,clone,vfork", "wait4,waitid"}
}

// TestMonitorKilledWhilePublishing: the monitor, or an iptables that it runs, is
// killed at the nth system call of a kind. The next command finds all that is left.
func TestMonitorKilledWhilePublishing(t *testing.T) {
	t.Parallel()
	needStrace(t)
	c := newCalm(t)
	kinds := append(c.ruleCalls(), "renameat,renameat2,rename", "openat", "write")
	c.killAtEachCall("--net tiny", "port rm box 7001:7001", kinds...)
	c.killAtEachCall("--net tiny", "port add box 8081:81", append(kinds, "bind,listen")...)
	c.works()
}

// killAtEachCall kills the monitor, or an iptables that it runs, at the first
// few system calls of each kind that a command leads to, for a container that
// was run with these flags.
func (c calm) killAtEachCall(flags, command string, kinds ...string) {
	c.t.Helper()
	for _, calls := range kinds {
		fired := 0
		for n := 1; n <= 6; n++ {
			if !c.killWhile(flags, command, calls, n) {
				break
			}
			fired++
		}
		c.t.Logf("%s: %s: killed at %d moments", command, calls, fired)
		if fired == 0 {
			c.t.Errorf("%s makes none of the calls %s: this shows nothing", command, calls)
		}
	}
}

// killWhile tells whether the monitor came as far as its nth call.
func (c calm) killWhile(flags, command, calls string, n int) bool {
	c.t.Helper()
	args := slices.Concat([]string{"run", "-d", "--name", "box"}, strings.Fields(flags),
		[]string{"-p", "8080:80", "-p", "5300:53/udp", "-p", "7000-7003:7000-7003", "busybox", "sleep", "1000"})
	c.MustRun(args...)
	monitor := monitorPid(c.t, c.Host, "box")
	inject := fmt.Sprintf("inject=%s:signal=KILL:when=%d", calls, n)
	strace := c.Start(host.Command{Args: []string{"strace", "-f", "-o", "/dev/null", "-e", "trace=" + calls, "-e", inject, "-p", fmt.Sprint(monitor)}})
	host.Eventually(c.t, patience, func() error {
		if !strings.Contains(strace.Stderr(), "attached") {
			return errors.New("strace is not attached: " + strace.Stderr())
		}
		return nil
	})
	r := c.Run(strings.Fields(command)...)
	killed := r.Code != 0 || ended(monitor) == nil
	// What is not dead goes on without strace.
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		_ = strace.Signal(sig) // it has ended with the monitor
		if strace.Wait(2*time.Second).Err == nil {
			break
		}
	}
	c.check(command+": "+inject, "ps", "-a")
	return killed
}

// TestAddedPortGainsAFamily: a port that was added on an IPv4 network is as one of
// -p when a network with both families takes over. One with a host address stays.
func TestAddedPortGainsAFamily(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.IPv6())
	must(t, h.Run("network", "create", "--ipv6", "both"))
	runWeb(t, h, "web")
	must(t, h.Run("port", "add", "web", "8080:80"))
	must(t, h.Run("--publish-ip", "127.0.0.1", "port", "add", "web", "8081:80"))
	wantOut(t, h.Run("port", "web", "80"), "0.0.0.0:8080\n127.0.0.1:8081")
	must(t, h.Run("network", "connect", "--gw-priority", "1", "both", "web"))
	wantOut(t, h.Run("port", "web", "80"), "0.0.0.0:8080\n[::]:8080\n127.0.0.1:8081")
	must(t, h.Run("restart", "-t", "0", "web"))
	wantOut(t, h.Run("port", "web", "80"), "0.0.0.0:8080\n[::]:8080\n127.0.0.1:8081")
	must(t, h.Run("port", "rm", "web", "8080:80"))
	wantOut(t, h.Run("port", "web", "80"), "127.0.0.1:8081")
	// As a default, 0.0.0.0 means all addresses of both families, later too.
	must(t, h.Run("--publish-ip", "0.0.0.0", "port", "add", "web", "8082:82"))
	must(t, h.Run("restart", "-t", "0", "web"))
	wantOut(t, h.Run("port", "web", "82"), "0.0.0.0:8082\n[::]:8082")
}
