package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// TestPortAddAndRm6: ports of IPv6 come and go while the container runs; what was
// connected goes on, at [::1] too, and ends with the container.
func TestPortAddAndRm6(t *testing.T) {
	t.Parallel()
	h := ipv6Host(t)
	must(t, h.Run("run", "-d", "--name", "echo", "--net", "both", "busybox", "nc", "-ll", "-p", "80", "-e", "cat"))
	wantOut(t, h.Run("port", "add", "echo", "8080:80", "[::1]:8081:80", "["+host6+"]:8082:80"),
		"80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n80/tcp -> [::1]:8081\n80/tcp -> ["+host6+"]:8082")
	local, far := dialTalk(t, h, host.Inside, "[::1]:8080"), dialTalk(t, h, host.Outside, "["+host6+"]:8080")
	only := dialTalk(t, h, host.Inside, "[::1]:8081")
	dialTalk(t, h, host.Outside, "["+host6+"]:8082")
	fails(t, h.Run("port", "rm", "echo", "[::]:8080:80"), 1, "does not publish [::]:8080:80/tcp", "a port of both families is withdrawn as 8080:80/tcp")
	must(t, h.Run("port", "rm", "echo", "8080:80"))
	wantOut(t, h.Run("port", "echo"), "80/tcp -> [::1]:8081\n80/tcp -> ["+host6+"]:8082")
	for what, c := range map[string]talk{"at [::1]": local, "from outside": far, "at another port": only} {
		if err := c.say("still there?"); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for addr, from := range map[string]host.Place{"[::1]:8080": host.Inside, "[" + host6 + "]:8080": host.Outside} {
		if _, err := getFrom(h, from, "http://"+addr, patience); !isRefused(err) {
			t.Errorf("%s: want a refusal, got %v", addr, err)
		}
	}
	must(t, h.Run("restart", "-t", "0", "echo"))
	if _, err := only.Read(make([]byte, 1)); err == nil || unanswered(err) {
		t.Errorf("the connection outlived its container: %v", err)
	}
	dialTalk(t, h, host.Inside, "[::1]:8081")
	dialTalk(t, h, host.Outside, "["+host6+"]:8082")
	must(t, h.Run("port", "add", "echo", "8080:80"))
	must(t, h.Run("restart", "-t", "0", "echo"))
	wantOut(t, h.Run("port", "echo"), "80/tcp -> [::1]:8081\n80/tcp -> ["+host6+"]:8082\n80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080")
}

// TestLastWordsAtLoopback6: what a container says just before it ends is heard.
func TestLastWordsAtLoopback6(t *testing.T) {
	t.Parallel()
	h := ipv6Host(t)
	for range 10 {
		must(t, h.Run("run", "-d", "--rm", "--net", "both", "-p", "[::1]:8080:80", "busybox", "nc", "-l", "-p", "80", "-e", "echo", "goodbye"))
		// Before nc listens, the connection is reset.
		host.Eventually(t, patience, func() error { return readsFrom(h, host.Inside, "[::1]:8080", "goodbye") })
		host.Eventually(t, patience, func() error {
			if left := must(t, h.Run("ps", "-aq")); left != "" {
				return errors.New("it has not ended: " + left)
			}
			return nil
		})
	}
}

// TestPortsGainAFamily: when a network of both families takes over, ports without a
// host address are for both; and again for one when it goes.
func TestPortsGainAFamily(t *testing.T) {
	t.Parallel()
	h := ipv6Host(t)
	pid := runWeb(t, h, "web", "-p", "8080:80", "-p", "5353:53/udp")
	echoUDP(t, h, pid, "[::]:53")
	if _, err := getFrom(h, host.Inside, "http://[::1]:8080", patience); !isRefused(err) {
		t.Errorf("[::1] of a network without IPv6: %v", err)
	}
	for range 2 {
		must(t, h.Run("network", "connect", "--gw-priority", "1", "both", "web"))
		if column := portsOf(t, h, "web"); column != "0.0.0.0:5353->53/udp, [::]:5353->53/udp, "+bothPorts {
			t.Errorf("PORTS is %s", column)
		}
		wantAddr(t, h, host.Outside, host6Port("8080"), outside6)
		wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
		wantAddr(t, h, host.Inside, "http://[::1]:8080"+addrPage, gateway6)
		if got, err := askUDP(h, host.Inside, "[::1]:5353"); err != nil || got != gateway6 {
			t.Errorf("UDP at [::1]: sees %q, %v", got, err)
		}
		must(t, h.Run("network", "disconnect", "both", "web"))
		if column := portsOf(t, h, "web"); column != "0.0.0.0:5353->53/udp, 0.0.0.0:8080->80/tcp" {
			t.Errorf("PORTS is %s", column)
		}
		wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
		if _, err := getFrom(h, host.Outside, host6Port("8080"), silence); err == nil {
			t.Error("IPv6 leads to a container that has none")
		}
	}
	runIdle(t, h, "other", "--net", "both", "-p", "["+host6+"]:9090:80")
	must(t, h.Run("run", "-d", "--name", "more", "-p", "9089:80", "-p", "9090:80", "busybox", "sleep", "1000"))
	fails(t, h.Run("network", "connect", "--gw-priority", "1", "both", "more"), 1, "Bind for [::]:9090 failed: port is already allocated (held by container other)")
	if column := portsOf(t, h, "more"); column != "0.0.0.0:9089->80/tcp, 0.0.0.0:9090->80/tcp" {
		t.Errorf("after a refusal, PORTS is %s", column)
	}
	if err := h.InHost(func() error { return tryBind("tcp6", "[::]:9089") }); err != nil {
		t.Errorf("after a refusal: %v", err)
	}
}

// TestExplainLoopback6: the step has a reason and what one would do by hand; port
// --explain says who reaches what.
func TestExplainLoopback6(t *testing.T) {
	t.Parallel()
	h := ipv6Host(t)
	script := must(t, h.Run("run", "--dry-run", "--net", "both", "-p", "8080:80", "busybox", "true"))
	if want := "# socat TCP6-LISTEN:8080,bind=[::1],reuseaddr,fork TCP6:[fd00:9::2]:80"; !strings.Contains(script, want) {
		t.Errorf("the script has no %q:\n%s", want, script)
	}
	r := h.Run("run", "-d", "--name", "web", "--explain", "--net", "both", "-p", "8080:80", "-p", "[::1]:8081:80", "-p", "["+host6+"]:8082:80", "busybox", "sleep", "1000")
	if want := "pass [::1]:8080->80/tcp and 1 more on to the container"; must(t, r) == "" || !strings.Contains(r.Stderr, want) {
		t.Errorf("it does not say %q:\n%s", want, r.Stderr)
	}
	wantOut(t, h.Run("port", "--explain", "web"), strings.Join([]string{
		"80/tcp -> 0.0.0.0:8080: everybody who reaches this host", "80/tcp -> [::]:8080: everybody who reaches this host",
		"80/tcp -> [::1]:8081: this host only", "80/tcp -> [" + host6 + "]:8082: everybody who reaches [" + host6 + "]",
		"Rules of the administrator in the chain DOCKER-USER may narrow this."}, "\n"))
	var bound []netip.AddrPort
	text := must(t, h.Run("inspect", "-f", `{{range index .NetworkSettings.Ports "80/tcp"}}["{{.HostIp}}","{{.HostPort}}"]`+"\n{{end}}", "web"))
	for line := range strings.Lines(text) {
		var at [2]string
		if err := json.Unmarshal([]byte(line), &at); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		bound = append(bound, netip.MustParseAddrPort(net.JoinHostPort(at[0], at[1])))
	}
	if fmt.Sprint(bound) != "[0.0.0.0:8080 [::]:8080 [::1]:8081 ["+host6+"]:8082]" {
		t.Errorf("inspect shows %v", bound)
	}
}

// TestMonitorKilledWhilePublishing6 is TestMonitorKilledWhilePublishing for ports of
// both families, which the monitor also serves at [::1].
func TestMonitorKilledWhilePublishing6(t *testing.T) {
	t.Parallel()
	needStrace(t)
	h := ipv6Host(t)
	must(t, h.Run("run", "--rm", "--net", "both", "busybox", "true"))
	c := calmAfter(t, h)
	kinds := append(c.ruleCalls(), "epoll_ctl,epoll_create1", "bind,listen", "renameat,renameat2,rename")
	c.killAtEachCall("--net both", "port add box 8081:81 [::1]:8082:82", kinds...)
	c.killAtEachCall("--net both", "port rm box 8080:80", "epoll_ctl", "setsockopt")
	c.killAtEachCall("-p 9000:90 -p 9053:53/udp", "network connect --gw-priority 1 both box", "epoll_ctl,bind", "setsockopt")
	c.works()
}

// TestPortsWithIPv6SwitchedOff: what was switched off is named; IPv4 works.
func TestPortsWithIPv6SwitchedOff(t *testing.T) {
	t.Parallel()
	h := ipv6Host(t)
	must(t, h.Exec("sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=1"))
	fails(t, h.Run("run", "--rm", "--net", "both", "-p", "[::1]:8080:80", "busybox", "true"), 125,
		"Bind for [::1]:8080 failed: the host has no such address (is net.ipv6.conf.lo.disable_ipv6 1?)")
	runWeb(t, h, "web", "--net", "both", "-p", "8080:80")
	wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
	wantAddr(t, h, host.Outside, host6Port("8080"), outside6)
	must(t, h.Exec("sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=0"))
}

// TestPortsWhereIPv6IsRouted: IPv4 is published on the host, IPv6 open on the
// container's own address, each for itself.
func TestPortsWhereIPv6IsRouted(t *testing.T) {
	t.Parallel()
	h := ipv6Host(t)
	must(t, h.Run("network", "create", "--ipv6", "--subnet", "10.8.0.0/24", "--subnet", "fd00:8::/64", "-o", "com.docker.network.bridge.gateway_mode_ipv6=routed", "mixed"))
	must(t, h.Outside("ip", "route", "add", "fd00:8::/64", "via", host6))
	runWeb(t, h, "web", "--net", "mixed", "-p", "8080:80")
	own := ip6Of(t, h, "web", "mixed")
	wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
	wantAddr(t, h, host.Outside, "http://["+own+"]:80"+addrPage, outside6)
	for addr, from := range map[string]host.Place{"[" + host6 + "]:8080": host.Outside, "[::1]:8080": host.Inside} {
		if _, err := getFrom(h, from, "http://"+addr, patience); !isRefused(err) {
			t.Errorf("%s: want a refusal, got %v", addr, err)
		}
	}
	if _, err := getFrom(h, host.Outside, "http://["+own+"]:81", silence); !unanswered(err) {
		t.Errorf("another port of the container: want silence, got %v", err)
	}
	wantOut(t, h.Run("port", "web"), "80/tcp -> 0.0.0.0:8080")
	wantOut(t, h.Run("port", "--explain", "web"), "80/tcp -> 0.0.0.0:8080: everybody who reaches this host\n"+
		"80/tcp -> ["+own+"]:80: everybody who has a route to it\nRules of the administrator in the chain DOCKER-USER may narrow this.")
	fails(t, h.Run("port", "add", "web", "8081:81"), 1, "network mixed is routed")
	fails(t, h.Run("port", "rm", "web", "8080:80"), 1, "network mixed is routed")
	wantOut(t, h.Run("port", "add", "web", "0.0.0.0:8081:80"), "80/tcp -> 0.0.0.0:8081")
	wantAddr(t, h, host.Outside, "http://192.0.2.1:8081"+addrPage, outside)
	must(t, h.Outside("ip", "route", "del", "fd00:8::/64"))
}

// TestPortsChangeFamily with the network that has them, and stay where they cannot.
func TestPortsChangeFamily(t *testing.T) {
	t.Parallel()
	h := ipv6Host(t)
	runWeb(t, h, "web", "--net", "bridge", "--net", "six", "-p", "8080:80", "-p", "127.0.0.1:9000:80")
	if column := portsOf(t, h, "web"); column != "0.0.0.0:8080->80/tcp, 127.0.0.1:9000->80/tcp" {
		t.Errorf("PORTS is %s", column)
	}
	fails(t, h.Run("network", "disconnect", "bridge", "web"), 1, "cannot publish 127.0.0.1:9000->80/tcp on network six: it has no IPv4")
	wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
	must(t, h.Run("port", "rm", "web", "127.0.0.1:9000:80"))
	for range 2 {
		must(t, h.Run("network", "disconnect", "bridge", "web"))
		wantOut(t, h.Run("port", "web"), "80/tcp -> [::]:8080")
		wantAddr(t, h, host.Outside, host6Port("8080"), outside6)
		wantAddr(t, h, host.Inside, "http://[::1]:8080"+addrPage, "fd00:6::1")
		must(t, h.Run("network", "connect", "bridge", "web"))
		wantOut(t, h.Run("port", "web"), "80/tcp -> 0.0.0.0:8080")
		wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
	}
	must(t, h.Run("restart", "-t", "0", "web"))
	wantOut(t, h.Run("port", "web"), "80/tcp -> 0.0.0.0:8080")
}
