package integration

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// TestEtcFollowsNetworks: hosts and resolv.conf of a running container change
// in place when it is connected and disconnected, and what the user wrote stays.
func TestEtcFollowsNetworks(t *testing.T) {
	t.Parallel()
	h := namesHost(t)
	in := func(script string) string {
		t.Helper()
		return must(t, h.Run("exec", "web", "sh", "-c", script))
	}
	const own = "grep box /etc/hosts | tr '\\t\\n' '  '"
	pid := runIdle(t, h, "web", "--hostname", "box.example", "--add-host", "gate:host-gateway")
	serveNames(t, h.InOutside, outside)
	files := in("stat -c %i /etc/hosts /etc/resolv.conf")
	in("echo 192.0.2.9 mine >> /etc/hosts")
	// As a program does that has the file open.
	open, err := os.Open(fmt.Sprintf("/proc/%d/root/etc/resolv.conf", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()

	must(t, h.Run("network", "connect", "red", "web"))
	want(t, in(own), "172.17.0.2 box.example box 10.1.0.2 box.example box")
	want(t, in("grep -e mine -e gate /etc/hosts"), "172.17.0.1\tgate\n192.0.2.9 mine")
	want(t, in("grep ^[no] /etc/resolv.conf"), "nameserver 127.0.0.11\noptions timeout:3 ndots:0")
	if text, err := io.ReadAll(open); err != nil || !strings.Contains(string(text), "127.0.0.11") {
		t.Errorf("who had resolv.conf open reads %q, error %v", text, err)
	}
	wantName(t, h, pid, "web", "10.1.0.2")
	wantName(t, h, pid, "www.example", outside)
	wantName(t, h, pid, "host.mini.internal", "172.17.0.1")

	in("echo '# edited' >> /etc/resolv.conf")
	must(t, h.Run("network", "connect", "blue", "web"))
	want(t, in(own), "172.17.0.2 box.example box 10.1.0.2 box.example box 10.2.0.2 box.example box")
	must(t, h.Run("network", "disconnect", "red", "web"))
	must(t, h.Run("network", "disconnect", "bridge", "web"))
	want(t, in(own), "10.2.0.2 box.example box")
	want(t, in("grep -e mine -e gate /etc/hosts"), "172.17.0.1\tgate\n192.0.2.9 mine")
	want(t, in("tail -n 1 /etc/resolv.conf"), "# edited")
	want(t, in("stat -c %i /etc/hosts /etc/resolv.conf"), files)
	wantName(t, h, pid, "web", "10.2.0.2")
	must(t, h.Run("network", "disconnect", "blue", "web"))
	want(t, in(own+"; grep -c 127.0.0.11 /etc/resolv.conf"), "1")

	// A start begins anew.
	must(t, h.Run("network", "connect", "red", "web"))
	must(t, h.Run("restart", "-t", "0", "web"))
	want(t, in("grep -c -e mine -e edited /etc/hosts /etc/resolv.conf || true"), "/etc/hosts:0\n/etc/resolv.conf:0")
	want(t, in(own), ipOf(t, h, "web", "red")+" box.example box")
}

func want(t testing.TB, got, want string) {
	t.Helper()
	if strings.TrimSpace(got) != want {
		t.Errorf("got %q, want %q", strings.TrimSpace(got), want)
	}
}

// TestHugeHosts: a container cannot make its monitor read without end.
func TestHugeHosts(t *testing.T) {
	t.Parallel()
	h := namesHost(t)
	pid := runIdle(t, h, "web", "--net", "red")
	must(t, h.Run("exec", "web", "sh", "-c", "head -c 2000000 /dev/zero >/etc/hosts"))
	fails(t, h.Run("network", "connect", "blue", "web"), 1, "/etc/hosts", "1048576 bytes")
	want(t, must(t, h.Run("exec", "web", "sh", "-c", "wc -c </etc/hosts; ls /sys/class/net")), "2000000\neth0\neth1\nlo")
	wantName(t, h, pid, "web", "10.1.0.2")
	must(t, h.Run("exec", "web", "sh", "-c", ": >/etc/hosts"))
	must(t, h.Run("network", "disconnect", "red", "web"))
}

// TestExplainNames: the steps that lead to the name server are explained, and
// those of the dry run are the same.
func TestExplainNames(t *testing.T) {
	t.Parallel()
	h := namesHost(t)
	r := h.Run("run", "-d", "--explain", "--name", "web", "--net", "red", "busybox", "sleep", "1000")
	wantCode(t, r, 0)
	explained(t, r.Stderr, "bring network red up", "attach web to network red", "answer the names that web asks for")
	for _, line := range []string{
		"$ ip netns exec mini-web nft add table ip mini\n",
		"$ ip netns exec mini-web nft 'add rule ip mini names ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:",
	} {
		if !strings.Contains(r.Stderr, line) {
			t.Errorf("%q is not explained:\n%v", line, r)
		}
	}
	script := must(t, h.Run("run", "--dry-run", "--name", "two", "--net", "red", "busybox", "true"))
	if n := strings.Count(script, "\nip netns exec mini-two nft "); n != 4 {
		t.Errorf("%d commands of nft, want 4:\n%s", n, script)
	}
}

// TestOnlyOneNameServer: a second network brings no second table.
func TestOnlyOneNameServer(t *testing.T) {
	t.Parallel()
	h := namesHost(t)
	pid := runIdle(t, h, "web", "--net", "red")
	before := must(t, inNet(h, pid, "sh", "-c", "nft list ruleset; ss -Hlntu"))
	if !strings.Contains(before, `comment "mini:`) {
		t.Errorf("the rules are not marked:\n%s", before)
	}
	must(t, h.Run("network", "connect", "blue", "web"))
	want(t, must(t, inNet(h, pid, "sh", "-c", "nft list ruleset; ss -Hlntu")), before)
}

// TestConnectExplainsNames: a container of the default network gets its name
// server when it joins another.
func TestConnectExplainsNames(t *testing.T) {
	t.Parallel()
	h := namesHost(t)
	pid := runIdle(t, h, "web")
	r := h.Run("network", "connect", "--explain", "red", "web")
	wantCode(t, r, 0)
	if text := r.Stdout + r.Stderr; !strings.Contains(text, "== answer the names that web asks for\n") {
		t.Errorf("the steps are not explained: %v", r)
	}
	wantName(t, h, pid, "web", "10.1.0.2")
	r = h.Run("network", "connect", "--explain", "blue", "web")
	if text := r.Stdout + r.Stderr; r.Code != 0 || strings.Contains(text, "answer the names") {
		t.Errorf("explained what was not done: %v", r)
	}
}

// TestFlushInsideAContainer: names survive what a program does to iptables.
func TestFlushInsideAContainer(t *testing.T) {
	t.Parallel()
	h := namesHost(t)
	pid := runIdle(t, h, "web", "--net", "red")
	for _, tool := range []string{"iptables-nft", "iptables-legacy"} {
		must(t, inNet(h, pid, "sh", "-ec", tool+" -t nat -A OUTPUT -d 10.9.9.9 -j ACCEPT; "+tool+" -t nat -F; "+tool+" -t nat -X"))
		wantName(t, h, pid, "web", "10.1.0.2")
	}
}

// TestContainersHaveNoNameServerSockets among their open files.
func TestContainersHaveNoNameServerSockets(t *testing.T) {
	t.Parallel()
	h := namesHost(t)
	runIdle(t, h, "web", "--net", "red")
	for _, r := range []host.Result{
		h.Run("exec", "web", "ls", "-l", "/proc/self/fd", "/proc/1/fd"),
		h.Run("run", "--rm", "--net", "red", "busybox", "ls", "-l", "/proc/self/fd"),
	} {
		if r.Code != 0 || strings.Contains(r.Stdout, "socket:") || strings.Contains(r.Stdout, "net:[") {
			t.Errorf("%v", r)
		}
	}
}
