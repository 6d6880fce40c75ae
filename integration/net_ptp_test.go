package integration

import (
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// ptpHost has a network red of the driver ptp.
func ptpHost(t testing.TB, opts ...host.Option) *host.Host {
	h := busyboxHost(t, opts...)
	must(t, h.Run("network", "create", "-d", "ptp", "--subnet", "10.66.0.0/24", "red"))
	return h
}

// cableOf gives the host's end of a container's cable.
func cableOf(t testing.TB, h *host.Host, network, container string) string {
	t.Helper()
	id := must(t, h.Run("inspect", "-f", "{{.Id}}", container))
	return networkField(t, h, network, `{{(index .Containers "`+id+`").HostLink}}`)
}

// TestPtpGivesTheContainerItsNetwork looks at both ends of the cable.
func TestPtpGivesTheContainerItsNetwork(t *testing.T) {
	t.Parallel()
	h := ptpHost(t)
	wantOut(t, h.Run("network", "ls", "--filter", "driver=ptp", "--format", "{{.Name}} {{.Driver}}"), "red ptp")
	runIdle(t, h, "web", "--net", "red")
	cable, id := cableOf(t, h, "red", "web"), networkField(t, h, "red", "{{.Id}}")
	if !strings.HasPrefix(cable, "pt"+id[:5]) {
		t.Errorf("the cable of network %s is called %s", id[:12], cable)
	}
	for _, c := range []struct{ script, want string }{
		{"ls /sys/class/net", "eth0\nlo"},
		{"ip -o -4 addr show eth0 | sed 's/.*inet //; s/ scope.*//'", "10.66.0.2/32"},
		{"ip -6 addr show eth0", ""},
		{"ip route", "default via 10.66.0.1 dev eth0 \n10.66.0.0/24 via 10.66.0.1 dev eth0 \n10.66.0.1 dev eth0 scope link"},
		{"cat /sys/class/net/eth0/operstate", "up"},
	} {
		wantOut(t, h.Run("exec", "web", "sh", "-c", c.script), c.want)
	}
	for _, c := range []struct{ script, want string }{
		{"ip -o addr show dev " + cable + " | sed 's/.*inet //; s/ scope.*//'", "10.66.0.1/32"},
		{"ip route show 10.66.0.0/16", ""},
		{"ip route show root 10.66.0.0/16 | sed 's/ metric.*//'", "unreachable 10.66.0.0/24\n10.66.0.2 dev " + cable + " scope link src 10.66.0.1"},
		{"ls -d /sys/class/net/*/bridge 2>/dev/null || true", ""},
		{"cat /sys/class/net/" + cable + "/operstate", "up"},
		{"cat /proc/sys/net/ipv4/conf/" + cable + "/route_localnet", "1"},
	} {
		wantOut(t, h.Exec("sh", "-c", c.script), c.want)
	}
	wantOut(t, h.Run("inspect", "-f", "{{.NetworkSettings.Networks.red.IPAddress}} {{.NetworkSettings.Networks.red.Gateway}}", "web"), "10.66.0.2 10.66.0.1")
	wantOut(t, h.Run("doctor"), "all is well")
	// An address that nobody has is nowhere, and not in the outside world.
	if _, err := getIn(h, initPid(t, h, "web"), "http://10.66.0.99/", patience); err == nil || !strings.Contains(err.Error(), "no route to host") {
		t.Errorf("an address that nobody has: %v", err)
	}
	fails(t, h.Run("network", "rm", "red"), 1, "active endpoints")
	must(t, h.Run("rm", "-f", "web"))
	must(t, h.Run("network", "rm", "red"))
	wantOut(t, h.Exec("ip", "route", "show", "root", "10.66.0.0/16"), "")
}

// TestPtpAccessMatrix is TestAccessMatrix for a and b on a ptp network, and c on
// the default bridge.
func TestPtpAccessMatrix(t *testing.T) {
	for _, backend := range host.Backends {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			const gw = "10.66.0.1"
			h := ptpHost(t, host.Iptables(backend))
			m := &matrix{h: h, pids: map[string]int{
				"a": runWeb(t, h, "aa", "--net", "red", "-p", "8080:80"),
				"b": runIdle(t, h, "bb", "--net", "red"), "c": runWeb(t, h, "cc"),
			}, addr: map[string]string{
				"host-ip:8080": "192.0.2.1:8080", "127.0.0.1:8080": "127.0.0.1:8080", "gateway:8080": gw + ":8080",
				"bridge:8080": gateway + ":8080", "a:80": "10.66.0.2:80", "c:80": firstIP + ":80",
			}}
			must(t, h.Outside("ip", "route", "add", "10.66.0.0/24", "via", hostIP))
			m.checkCells(t, []cell{
				{"a", "host-ip:8080", gw}, {"b", "host-ip:8080", gw}, {"c", "host-ip:8080", firstIP},
				{"host", "host-ip:8080", hostIP}, {"host", "127.0.0.1:8080", gw}, {"outside", "host-ip:8080", outside},
				{"a", "gateway:8080", gw}, {"b", "gateway:8080", gw}, {"host", "gateway:8080", gw},
				{"c", "gateway:8080", firstIP}, {"c", "bridge:8080", firstIP},
				{"a", "a:80", "10.66.0.2"}, {"b", "a:80", "10.66.0.3"}, {"host", "a:80", gw},
				{"c", "a:80", dropped}, {"outside", "a:80", dropped}, {"a", "c:80", dropped},
				{"a", "127.0.0.1:8080", refused}, {"b", "127.0.0.1:8080", refused}, {"outside", "127.0.0.1:8080", refused},
			})
			wantOut(t, h.Run("doctor"), "all is well")
		})
	}
}

// TestPtpGoesOutAsTheHost, unless it is not masqueraded.
func TestPtpGoesOutAsTheHost(t *testing.T) {
	t.Parallel()
	h := ptpHost(t)
	must(t, h.Run("network", "create", "-d", "ptp", "--ip-masq=false", "--subnet", "10.67.0.0/24", "plain"))
	if err := h.ServeAddr(host.Outside, "192.0.2.2:8000"); err != nil {
		t.Fatal(err)
	}
	must(t, h.Outside("ip", "route", "add", "10.67.0.0/24", "via", hostIP))
	for network, seen := range map[string]string{"red": hostIP, "plain": "10.67.0.2"} {
		wantOut(t, h.Run("run", "--rm", "--net", network, "busybox", "wget", "-qO-", "http://192.0.2.2:8000/"), seen)
	}
}

// TestPtpLoopbackOfTheHostStaysClosed, to a container that tries.
func TestPtpLoopbackOfTheHostStaysClosed(t *testing.T) {
	t.Parallel()
	h := ptpHost(t)
	if err := h.ServeAddr(host.Inside, "127.0.0.1:6379"); err != nil {
		t.Fatal(err)
	}
	pid := runWeb(t, h, "web", "--net", "red", "-p", "8080:80")
	must(t, inNet(h, pid, "sh", "-ec", `echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet
		ip rule add pref 100 lookup local; ip rule del pref 0
		ip route add table 99 default via 10.66.0.1 dev eth0; ip rule add pref 10 to 127.0.0.1 dport 6379 lookup 99`))
	before := droppedLoopback(t, h)
	if _, err := getIn(h, pid, "http://127.0.0.1:6379/", silence); !unanswered(err) {
		t.Errorf("a container gets to the host's loopback: %v", err)
	}
	if after := droppedLoopback(t, h); after <= before {
		t.Errorf("no packet was dropped: the attack is not one")
	}
}

// TestPtpInternal: its containers reach each other and nothing else.
func TestPtpInternal(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("network", "create", "-d", "ptp", "--internal", "--subnet", "10.66.0.0/24", "shut"))
	for _, at := range []host.Place{host.Inside, host.Outside} {
		if err := h.ServeAddr(at, "0.0.0.0:8000"); err != nil {
			t.Fatal(err)
		}
	}
	a := runIdle(t, h, "one", "--net", "shut")
	runWeb(t, h, "two", "--net", "shut")
	wantOut(t, h.Run("exec", "one", "sh", "-c", "ip route | grep -c default || true"), "0")
	if got, err := getIn(h, a, "http://10.66.0.3"+addrPage, patience); err != nil || got != "10.66.0.2" {
		t.Errorf("one to two: sees %q, error %v", got, err)
	}
	must(t, inNet(h, a, "ip", "route", "add", "default", "via", "10.66.0.1"))
	for _, addr := range []string{"10.66.0.1", hostIP, outside} {
		if _, err := getIn(h, a, "http://"+addr+":8000/", silence); !unanswered(err) {
			t.Errorf("it reaches %s: %v", addr, err)
		}
	}
	must(t, h.Outside("ip", "route", "add", "10.66.0.0/24", "via", hostIP))
	if _, err := getFrom(h, host.Outside, "http://10.66.0.3"+addrPage, silence); !unanswered(err) {
		t.Errorf("there is a way in: %v", err)
	}
	wantAddr(t, h, host.Inside, "http://10.66.0.3"+addrPage, "10.66.0.1")
	wantOut(t, h.Run("doctor"), "all is well")
}

// TestPtpNoICC: containers reach each other's published ports only.
func TestPtpNoICC(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("network", "create", "-d", "ptp", "-o", "icc=false", "--subnet", "10.66.0.0/24", "red"))
	runWeb(t, h, "web", "--net", "red", "-p", "8080:80")
	b := runIdle(t, h, "peer", "--net", "red")
	if _, err := getIn(h, b, "http://10.66.0.2"+addrPage, silence); !unanswered(err) {
		t.Errorf("a neighbour reaches it: %v", err)
	}
	for _, addr := range []string{hostIP, "10.66.0.1"} {
		if got, err := getIn(h, b, "http://"+addr+":8080"+addrPage, patience); err != nil || got != "10.66.0.1" {
			t.Errorf("a neighbour through %s:8080: sees %q, error %v", addr, got, err)
		}
	}
	wantOut(t, h.Run("doctor"), "all is well")
}

// TestPtpRouted: nothing is translated, published ports are the container's own.
func TestPtpRouted(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("network", "create", "-d", "ptp", "-o", "gateway_mode=routed", "--subnet", "10.66.0.0/24", "red"))
	runWeb(t, h, "open", "--net", "red", "-p", "80")
	runWeb(t, h, "closed", "--net", "red")
	must(t, h.Outside("ip", "route", "add", "10.66.0.0/24", "via", hostIP))
	wantAddr(t, h, host.Outside, "http://10.66.0.2"+addrPage, outside)
	if _, err := getFrom(h, host.Outside, "http://10.66.0.3"+addrPage, silence); !unanswered(err) {
		t.Errorf("what is not published answers: %v", err)
	}
	wantOut(t, h.Run("doctor"), "all is well")
}

// TestPtpNames: containers find each other, and their host.
func TestPtpNames(t *testing.T) {
	t.Parallel()
	h := ptpHost(t)
	runWeb(t, h, "web", "--net", "name=red,alias=www")
	peer := runIdle(t, h, "peer", "--net", "red")
	for _, name := range []string{"web", "web.red", "www"} {
		wantName(t, h, peer, name, "10.66.0.2")
	}
	wantName(t, h, peer, "host.mini.internal", "10.66.0.1")
	if got := plainAddr(must(t, h.Run("exec", "peer", "wget", "-qO-", "http://web"+addrPage))); got != "10.66.0.3" {
		t.Errorf("the peer is seen as %s", got)
	}
}

// TestPtpBesideABridge: the default route and the ports go to the network with the
// higher priority, at the start and while the container runs.
func TestPtpBesideABridge(t *testing.T) {
	t.Parallel()
	h := ptpHost(t)
	must(t, h.Run("network", "create", "--subnet", "10.1.0.0/24", "blue"))
	must(t, h.Run("network", "create", "-d", "ptp", "--subnet", "10.67.0.0/24", "green"))
	runWeb(t, h, "web", "--net", "blue", "--net", "name=red,gw-priority=1", "-p", "8080:80")
	wantGateway(t, h, "web", "red", "10.66.0.1 dev eth1")
	peer := runIdle(t, h, "peer", "--net", "green")
	must(t, h.Run("network", "connect", "--gw-priority", "2", "--ip", "10.67.0.77", "green", "web"))
	wantGateway(t, h, "web", "green", "10.67.0.1 dev eth2")
	if got, err := getIn(h, peer, "http://10.67.0.77"+addrPage, patience); err != nil || got != "10.67.0.2" {
		t.Errorf("peer to web: sees %q, error %v", got, err)
	}
	wantOut(t, h.Run("doctor"), "all is well")
	cable := cableOf(t, h, "green", "web")
	must(t, h.Run("network", "disconnect", "green", "web"))
	wantGateway(t, h, "web", "red", "10.66.0.1 dev eth1")
	if r := h.Exec("ip", "link", "show", cable); r.Code == 0 {
		t.Errorf("the cable is still there: %v", r)
	}
	must(t, h.Run("network", "disconnect", "red", "web"))
	wantGateway(t, h, "web", "blue", "10.1.0.1 dev eth0")
	must(t, h.Run("restart", "-t", "0", "web"))
	waitForWeb(t, h, initPid(t, h, "web"))
	must(t, h.Run("network", "connect", "--gw-priority", "2", "red", "web"))
	wantGateway(t, h, "web", "red", "10.66.0.1 dev eth1")
	must(t, h.Run("port", "add", "web", "8081:80"))
	wantAddr(t, h, host.Outside, "http://192.0.2.1:8081"+addrPage, outside)
	must(t, h.Run("port", "rm", "web", "8081:80"))
}

// TestPtpRefused: bad input changes nothing, and says what would be right.
func TestPtpRefused(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	for _, c := range []struct{ flags, want string }{
		{"-o bridge_name=br0", "ptp has no bridge"}, {"-o inhibit_ipv4=true", "ptp has no bridge"},
		{"-o gateway_mode=isolated --internal", "ptp has no bridge"}, {"-o parent=uplink0", "need --driver macvlan"},
		{"--subnet 192.0.2.0/24", "overlaps 192.0.2.0/24"}, {"--driver ipvlan", "want bridge, macvlan or ptp"},
	} {
		fails(t, h.Run(strings.Fields("network create -d ptp "+c.flags+" red")...), 1, c.want)
	}
	fails(t, h.Run("network", "exists", "red"), 1)
	// The host's own route to an address is not taken away.
	must(t, h.Run("network", "create", "-d", "ptp", "--subnet", "10.66.0.0/24", "red"))
	must(t, h.Run("network", "up", "red"))
	must(t, h.Exec("ip", "route", "add", "10.66.0.2/32", "dev", "uplink0"))
	fails(t, h.Run("run", "--rm", "--net", "red", "busybox", "true"), 125, "the host has another route to 10.66.0.2/32")
	wantOut(t, h.Exec("ip", "route", "show", "10.66.0.2"), "10.66.0.2 dev uplink0 scope link")
	must(t, h.Exec("ip", "route", "delete", "10.66.0.2/32", "dev", "uplink0"))
	must(t, h.Run("run", "--rm", "--net", "red", "--ip", "10.66.0.2", "busybox", "true"))
}
