package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minirt/mini/integration/host"
)

// TestBridgeGivesTheContainerItsNetwork looks at all that a container on the
// default network finds in its namespace and in /etc.
func TestBridgeGivesTheContainerItsNetwork(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.File("/etc/resolv.conf", "nameserver 192.0.2.2\nsearch example.test\n"))
	h.MustExec("ip", "link", "set", "uplink0", "mtu", "1400")
	defer h.MustExec("ip", "link", "set", "uplink0", "mtu", "1500")
	runIdle(t, h, "web", "--hostname", "box")

	for _, c := range []struct{ script, want string }{
		{"ls /sys/class/net", "eth0\nlo"},
		{"ip -o -4 addr show eth0 | sed 's/.*inet //; s/ scope.*//'", "172.17.0.2/24 brd 172.17.0.255"},
		{"ip -o -4 addr show lo | sed 's/.*inet //; s/ scope.*//'", "127.0.0.1/8"},
		{"ip -6 addr show eth0", ""},
		{"ip route", "default via 172.17.0.1 dev eth0 \n172.17.0.0/24 dev eth0 scope link  src 172.17.0.2"},
		{"cat /sys/class/net/eth0/address", "02:42:ac:11:00:02"},
		{"cat /sys/class/net/eth0/mtu", "1400"},
		{"cat /sys/class/net/eth0/operstate", "up"},
		{"hostname", "box"},
		{"cat /etc/hostname", "box"},
		{"tail -n 1 /etc/hosts", "172.17.0.2\tbox"},
		{"grep localhost /etc/hosts | head -n 1", "127.0.0.1\tlocalhost"},
		{"grep -v '^#' /etc/resolv.conf", "nameserver 192.0.2.2\nsearch example.test"},
	} {
		wantOut(t, h.Run("exec", "web", "sh", "-c", c.script), c.want)
	}
	// The other side.
	wantOut(t, h.Exec("sh", "-c", "ip -o -4 addr show mini0 | sed 's/.*inet //; s/ scope.*//'"), "172.17.0.1/24 brd 172.17.0.255")
	wantOut(t, h.Exec("cat", "/sys/class/net/mini0/mtu"), "1400")
	wantOut(t, h.Exec("cat", "/sys/class/net/mini0/address"), "02:42:ac:11:00:01")
	wantOut(t, h.Exec("cat", "/proc/sys/net/ipv4/ip_forward"), "1")
	alias := h.MustExec("sh", "-c", "cat /sys/class/net/mini0/lower_*/ifalias")
	if id := h.MustRun("inspect", "-f", "{{.Id}}", "web"); alias != "mini:"+id[:12]+":web:eth0" {
		t.Errorf("the cable's alias is %q", alias)
	}
	wantOut(t, h.Run("inspect", "-f", "{{.NetworkSettings.IPAddress}} {{.NetworkSettings.Gateway}} {{.NetworkSettings.MacAddress}} {{.HostConfig.NetworkMode}}", "web"),
		"172.17.0.2 172.17.0.1 02:42:ac:11:00:02 bridge")
}

// TestBridgeNeighbours: host and containers reach each other in all directions.
func TestBridgeNeighbours(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	if err := h.ServeAddr(host.Inside, "0.0.0.0:8000"); err != nil {
		t.Fatal(err)
	}
	runWeb(t, h, "one")
	runWeb(t, h, "two")
	wantAddr(t, h, host.Inside, "http://172.17.0.2"+addrPage, gateway)
	for _, c := range []struct{ from, url, want string }{
		{"one", "http://172.17.0.3" + addrPage, "172.17.0.2"},
		{"two", "http://172.17.0.2" + addrPage, "172.17.0.3"},
		{"one", "http://172.17.0.1:8000/", "172.17.0.2"}, // the host sees it as it is
		{"one", "http://192.0.2.1:8000/", "172.17.0.2"},
	} {
		r := h.Run("exec", c.from, "wget", "-q", "-O", "-", c.url)
		if got := plainAddr(r.Out()); r.Code != 0 || got != c.want {
			t.Errorf("want %s, got %s: %v", c.want, got, r)
		}
	}
}

// TestContainerGoesOutAsTheHost: the world sees the host's address, with -p
// and without.
func TestContainerGoesOutAsTheHost(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	if err := h.ServeAddr(host.Outside, "192.0.2.2:8000"); err != nil {
		t.Fatal(err)
	}
	for _, flags := range [][]string{{}, {"-p", "8080:80"}} {
		args := append(append([]string{"run", "--rm"}, flags...), "busybox", "wget", "-q", "-O", "-", "http://192.0.2.2:8000/")
		wantOut(t, h.Run(args...), hostIP)
	}
}

// TestHostMode: no namespace of its own, the host's links, ports and name.
func TestHostMode(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.Name("mars"))
	runWeb(t, h, "web", "--net", "host")
	here := h.MustExec("readlink", "/proc/self/ns/net")
	wantOut(t, h.Run("exec", "web", "readlink", "/proc/self/ns/net"), here)
	wantOut(t, h.Run("exec", "web", "ls", "/sys/class/net"), "lo\nuplink0")
	wantOut(t, h.Run("exec", "web", "hostname"), "mars")
	wantAddr(t, h, host.Outside, "http://192.0.2.1"+addrPage, outside)
	if r := h.Exec("ip", "link", "show", "mini0"); r.Code == 0 {
		t.Errorf("a bridge that nobody needs: %v", r)
	}
	wantOut(t, h.Run("inspect", "-f", "{{.HostConfig.NetworkMode}}{{.NetworkSettings.IPAddress}}", "web"), "host")
}

// TestDomainname: what --domainname says is the host name's domain.
func TestDomainname(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	runIdle(t, h, "web", "--hostname", "box", "--domainname", "example.test")
	wantOut(t, h.Run("exec", "web", "sh", "-c", "hostname; hostname -d; hostname -f; cat /proc/sys/kernel/domainname /etc/hostname; tail -n 1 /etc/hosts"),
		"box\nexample.test\nbox.example.test\nexample.test\nbox\n172.17.0.2\tbox.example.test box")
	wantOut(t, h.Run("inspect", "-f", "{{.Config.Hostname}} {{.Config.Domainname}}", "web"), "box example.test")
	must(t, h.Run("network", "create", "--subnet", "10.1.0.0/24", "red"))
	must(t, h.Run("network", "connect", "red", "web"))
	wantOut(t, h.Run("exec", "web", "tail", "-n", "1", "/etc/hosts"), "10.1.0.2\tbox.example.test box")
	must(t, h.Run("network", "disconnect", "red", "web"))
	wantOut(t, h.Run("exec", "web", "grep", "-c", "box.example.test", "/etc/hosts"), "1")
	for _, bad := range []string{"a b", "a..b", "a\nb", strings.Repeat("d", 65)} {
		fails(t, h.Run("run", "--rm", "--domainname", bad, "busybox", "true"), 125, "invalid domainname")
	}
	fails(t, h.Run("run", "--rm", "--net", "container:web", "--domainname", "x", "busybox", "true"), 125, "conflicting options: domainname and the network mode")
}

// TestBadNamesAtCreate: what could not be used later is refused at once.
func TestBadNamesAtCreate(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("network", "create", "red"))
	must(t, h.Run("create", "--name", "ready", "busybox", "true"))
	for _, bad := range [][]string{{"--network-alias", "a b"}, {"--network-alias", "a..b"}, {"--network-alias", "a,b"}, {"--mac-address", "00:00:00:00:00:00"}} {
		want := map[string]string{"--network-alias": "invalid network alias", "--mac-address": "invalid MAC address"}[bad[0]]
		fails(t, h.Run("create", "--net", "red", bad[0], bad[1], "busybox", "true"), 1, want)
		fails(t, h.Run("network", "connect", strings.Replace(bad[0], "network-", "", 1), bad[1], "red", "ready"), 1, want)
	}
	wantOut(t, h.Run("ps", "-a", "--format", "{{.Names}} {{.Networks}}"), "ready bridge")
	runIdle(t, h, "web", "--net", "red", "--network-alias", "_web._tcp.example", "--network-alias", "-x")
	wantName(t, h, initPid(t, h, "web"), "_web._tcp.example", must(t, h.Run("exec", "web", "hostname", "-i")))
	wantName(t, h, initPid(t, h, "web"), "-x", must(t, h.Run("exec", "web", "hostname", "-i")))
}

// TestNoneMode: a loopback that works, and nothing else.
func TestNoneMode(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	runWeb(t, h, "web", "--net", "none") // waits for 127.0.0.1
	wantOut(t, h.Run("exec", "web", "ls", "/sys/class/net"), "lo")
	wantOut(t, h.Run("exec", "web", "sh", "-c", "ip route; ip -o -4 addr | sed 's/.*inet //; s/ scope.*//'"), "127.0.0.1/8")
	if r := h.Run("exec", "web", "wget", "-q", "-O", "-", "http://192.0.2.1/"); r.Code == 0 || !strings.Contains(r.Stderr, "unreachable") {
		t.Errorf("want: Network unreachable, %v", r)
	}
	if ns := h.MustExec("readlink", "/proc/self/ns/net"); ns == h.MustRun("exec", "web", "readlink", "/proc/self/ns/net") {
		t.Error("it is the host's namespace")
	}
	if r := h.Exec("ip", "link", "show", "mini0"); r.Code == 0 {
		t.Errorf("a bridge that nobody needs: %v", r)
	}
}

// TestContainerMode: the second container lives in the first one's namespace.
func TestContainerMode(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	runWeb(t, h, "web", "--hostname", "box", "-p", "8080:80")
	id := h.MustRun("inspect", "-f", "{{.Id}}", "web")
	for _, ref := range []string{"web", id, id[:12]} {
		script := "readlink /proc/self/ns/net; hostname; ip -o -4 addr show eth0 | sed 's/.*inet //; s/ .*//'; tail -n 1 /etc/hosts; wget -q -O - http://127.0.0.1/ | grep -c works"
		want := h.MustRun("exec", "web", "readlink", "/proc/self/ns/net") + "\nbox\n172.17.0.2/24\n172.17.0.2\tbox\n1"
		wantOut(t, h.Run("run", "--rm", "--net", "container:"+ref, "busybox", "sh", "-c", script), want)
	}
	// The other way round: a server in the joining container is reached in the
	// first one, and through the first one's published port.
	must(t, h.Run("run", "-d", "--name", "side", "--net", "container:web", "busybox", "httpd", "-f", "-p", "81", "-h", "/www"))
	host.Eventually(t, patience, func() error {
		if r := h.Run("exec", "web", "wget", "-q", "-O", "-", "http://127.0.0.1:81/"); r.Code != 0 {
			return fmt.Errorf("%v", r)
		}
		return nil
	})
	// Only the namespace is shared: the files and the processes are its own.
	if a, b := h.MustRun("exec", "web", "readlink", "/proc/self/ns/pid"), h.MustRun("exec", "side", "readlink", "/proc/self/ns/pid"); a == b {
		t.Error("the PID namespace is shared too")
	}
}

// TestContainerModeNeedsARunningContainer: a clear error, and nothing is left.
func TestContainerModeNeedsARunningContainer(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("run", "--name", "done", "busybox", "true"))
	must(t, h.Run("create", "--name", "new", "busybox", "true"))
	for _, name := range []string{"done", "new"} {
		id := h.MustRun("inspect", "-f", "{{.Id}}", name)
		fails(t, h.Run("run", "--name", "xx", "--net", "container:"+name, "busybox", "true"), 125,
			"cannot join network of a non running container: "+id)
	}
	fails(t, h.Run("run", "--name", "xx", "--net", "container:nobody", "busybox", "true"), 125, "No such container: nobody")
	fails(t, h.Run("run", "--name", "xx", "--net", "container:", "busybox", "true"), 125, "container")
	wantOut(t, h.Run("ps", "-a", "--filter", "name=x", "-q"), "")
}

// TestNamespacesOfModesDiffer: bridge containers each have their own.
func TestNamespacesOfModesDiffer(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	seen := map[string]string{h.MustExec("readlink", "/proc/self/ns/net"): "the host"}
	for _, c := range []struct{ name, mode string }{{"one", "bridge"}, {"two", "bridge"}, {"three", "none"}, {"four", "default"}} {
		pid := runIdle(t, h, c.name, "--net", c.mode)
		ns, err := os.Readlink(filepath.Join("/proc", fmt.Sprint(pid), "ns/net"))
		if err != nil {
			t.Fatal(err)
		}
		if other, taken := seen[ns]; taken {
			t.Errorf("container %s shares the namespace of %s", c.name, other)
		}
		seen[ns] = "container " + c.name
	}
}

// TestAddressIsAnnounced: a neighbour that remembers the former owner of an
// address hears of the new one at once.
func TestAddressIsAnnounced(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	pid := runIdle(t, h, "peer")
	runWeb(t, h, "first", "--ip", "172.17.0.77", "--mac-address", "02:00:00:00:00:01")
	page := "http://172.17.0.77" + addrPage
	if _, err := getIn(h, pid, page, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	must(t, h.Run("rm", "-f", "first"))
	runWeb(t, h, "second", "--ip", "172.17.0.77", "--mac-address", "02:00:00:00:00:02")
	// A stale entry would cost seconds until the kernel probes again.
	if _, err := getIn(h, pid, page, 900*time.Millisecond); err != nil {
		t.Errorf("the neighbour still sends to the old MAC address: %v", err)
	}
	if r := inNet(h, pid, "ip", "neigh"); !strings.Contains(r.Stdout, "172.17.0.77 dev eth0 lladdr 02:00:00:00:00:02") {
		t.Errorf("%v", r)
	}
}
