package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// ptpSix makes a ptp network with IPv6, of IPv6 only unless it is dual.
func ptpSix(t testing.TB, dual bool, flags []string, opts ...host.Option) *host.Host {
	t.Helper()
	h := busyboxHost(t, append(opts, host.IPv6())...)
	args := []string{"network", "create", "-d", "ptp", "--ipv6", "--subnet", redSix}
	if dual {
		args = append(args, "--subnet", "10.61.0.0/24")
	} else {
		args = append(args, "--ipv4=false")
	}
	must(t, h.Run(append(append(args, flags...), "red")...))
	return h
}

func eachPtpSix(t *testing.T, test func(t *testing.T, h *host.Host, dual bool)) {
	for _, dual := range []bool{true, false} {
		t.Run(map[bool]string{true: "dual-stack", false: "IPv6 only"}[dual], func(t *testing.T) {
			t.Parallel()
			test(t, ptpSix(t, dual, nil), dual)
		})
	}
}

// TestPtp6GivesTheContainerItsNetwork looks at both ends of the cable, and from there
// at neighbours, the host and the world.
func TestPtp6GivesTheContainerItsNetwork(t *testing.T) {
	t.Parallel()
	eachPtpSix(t, func(t *testing.T, h *host.Host, dual bool) {
		one := runWeb(t, h, "one", "--net", "red")
		two := runIdle(t, h, "two", "--net", "red")
		cable := cableOf(t, h, "red", "one")
		wantOut(t, inNet(h, one, "sh", "-c", "ip -6 -o addr show dev eth0 scope global | tr -s ' ' | cut -d' ' -f2-4; ip -6 route | grep -v fe80 | sed 's/ metric.*//'"),
			"eth0 inet6 fd00:1::2/128\nfd00:1::1 dev eth0\nfd00:1::/64 via fd00:1::1 dev eth0\ndefault via fd00:1::1 dev eth0")
		wantOut(t, h.Exec("sh", "-c", "ip -6 route show root fd00:1::/32 | sed 's/ metric.*//; s/ dev lo//' | grep -v "+cableOf(t, h, "red", "two")),
			"fd00:1::2 dev "+cable+" src fd00:1::1\nunreachable fd00:1::/64")
		wantOut(t, h.Exec("sh", "-c", "ip -6 -o addr show dev "+cable+" scope global | tr -s ' ' | cut -d' ' -f4"), "fd00:1::1/128")
		page := "http://[fd00:1::2]" + addrPage
		if got, err := getIn(h, two, page, patience); err != nil || got != "fd00:1::3" {
			t.Errorf("two sees itself as %q, %v", got, err)
		}
		wantAddr(t, h, host.Inside, page, "fd00:1::1")
		for _, to := range []string{"one", "fd00:1::1", "host.mini.internal", hostSix, worldSix} {
			wantPing(t, h, "two", to)
		}
		if got := must(t, h.Run("exec", "two", "sh", "-c", "ip -4 route show default | wc -l")); (got == "1") != dual {
			t.Errorf("%s IPv4 default routes", got)
		}
		if _, err := getIn(h, two, "http://[fd00:1::99]/", patience); err == nil || !strings.Contains(err.Error(), "unreachable") {
			t.Errorf("an address that nobody has: %v", err)
		}
		wantOut(t, h.Run("doctor"), "all is well")
		must(t, h.Run("rm", "-f", "one", "two"))
		must(t, h.Run("network", "rm", "red"))
		wantOut(t, h.Exec("ip", "-6", "route", "show", "root", "fd00:1::/32"), "")
	})
}

// TestPtp6AccessMatrix is TestPtpAccessMatrix for IPv6, with c on a bridge.
func TestPtp6AccessMatrix(t *testing.T) {
	for _, backend := range host.Backends {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			const gw = "fd00:1::1"
			h := ptpSix(t, true, nil, host.Iptables(backend))
			must(t, h.Run("network", "create", "--ipv6", "--ipv4=false", "--subnet", "fd00:6::/64", "six"))
			m := &matrix{h: h, pids: map[string]int{
				"a": runWeb(t, h, "aa", "--net", "red", "-p", "8080:80"), "b": runIdle(t, h, "bb", "--net", "red"), "c": runIdle(t, h, "cc", "--net", "six"),
			}, addr: map[string]string{
				"host-ip:8080": "[" + hostSix + "]:8080", "[::1]:8080": "[::1]:8080", "gateway:8080": "[" + gw + "]:8080",
				"a:80": "[fd00:1::2]:80", "127.0.0.1:8080": "127.0.0.1:8080",
			}}
			must(t, h.Outside("ip", "route", "add", "fd00::/16", "via", hostSix))
			m.checkCells(t, []cell{
				{"a", "host-ip:8080", gw}, {"b", "host-ip:8080", gw}, {"c", "host-ip:8080", "fd00:6::2"},
				{"host", "host-ip:8080", hostSix}, {"host", "[::1]:8080", gw}, {"outside", "host-ip:8080", worldSix},
				{"b", "gateway:8080", gw}, {"host", "gateway:8080", gw}, {"b", "a:80", "fd00:1::3"},
				{"c", "a:80", dropped}, {"outside", "a:80", dropped},
				{"a", "[::1]:8080", refused}, {"outside", "[::1]:8080", refused}, {"host", "127.0.0.1:8080", "10.61.0.1"},
			})
			wantOut(t, h.Run("doctor"), "all is well")
		})
	}
}

// TestPtp6Internal: no way out, no way in, nothing of the host's.
func TestPtp6Internal(t *testing.T) {
	t.Parallel()
	h := ptpSix(t, true, []string{"--internal"})
	for _, at := range []host.Place{host.Inside, host.Outside} {
		if err := h.ServeAddr(at, "[::]:8000"); err != nil {
			t.Fatal(err)
		}
	}
	a := runIdle(t, h, "one", "--net", "red")
	runWeb(t, h, "two", "--net", "red")
	if got, err := getIn(h, a, "http://[fd00:1::3]"+addrPage, patience); err != nil || got != "fd00:1::2" {
		t.Errorf("one to two: sees %q, error %v", got, err)
	}
	must(t, inNet(h, a, "ip", "-6", "route", "add", "default", "via", "fd00:1::1"))
	for _, addr := range []string{"fd00:1::1", hostSix, worldSix} {
		if _, err := getIn(h, a, "http://["+addr+"]:8000/", silence); !unanswered(err) {
			t.Errorf("it reaches %s: %v", addr, err)
		}
	}
	must(t, h.Outside("ip", "route", "add", "fd00:1::/64", "via", hostSix))
	if _, err := getFrom(h, host.Outside, "http://[fd00:1::3]"+addrPage, silence); !unanswered(err) {
		t.Errorf("there is a way in: %v", err)
	}
	wantAddr(t, h, host.Inside, "http://[fd00:1::3]"+addrPage, "fd00:1::1")
	wantOut(t, h.Run("doctor"), "all is well")
}

// TestPtp6BesideABridge: the default routes of both families move together.
func TestPtp6BesideABridge(t *testing.T) {
	t.Parallel()
	h := ptpSix(t, true, nil)
	must(t, h.Run("network", "create", "--ipv6", "--subnet", "fd00:6::/64", "--subnet", "10.1.0.0/24", "blue"))
	pid := runWeb(t, h, "web", "--net", "blue", "-p", "8080:80")
	way := func(want string) {
		t.Helper()
		wantOut(t, inNet(h, pid, "sh", "-c", "ip route show default; ip -6 route show default | sed 's/ metric.*//'"), want)
		wantAddr(t, h, host.Outside, "http://["+hostSix+"]:8080"+addrPage, worldSix)
		wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
	}
	must(t, h.Run("network", "connect", "--gw-priority", "1", "red", "web"))
	way("default via 10.61.0.1 dev eth1 \ndefault via fd00:1::1 dev eth1")
	must(t, h.Run("network", "disconnect", "red", "web"))
	way("default via 10.1.0.1 dev eth0 \ndefault via fd00:6::1 dev eth0")
}

var ptp6Damages = []damage{
	{"ip link set $CABLE mtu 1000", "container web: its cable $CABLE has the MTU 1000, not 1500"},
	{"nsenter -n -t $PID ip link set eth0 mtu 1000; nsenter -n -t $PID ip link set lo down", "container web: its eth0 has the MTU 1000, not 1500 and is without IPv6"},
	{"ip -6 route del fd00:1::2", "container web: its cable $CABLE has lost the route to fd00:1::2: nobody reaches the container"},
	{"ip -6 route del unreachable fd00:1::/64", "network red: the host has lost the route that keeps fd00:1::/64"},
	{"ip link del $CABLE", "container web: its cable $CABLE is gone"},
	{"ip link set $CABLE down", "container web: its cable $CABLE is down"},
	{"ip -6 addr del fd00:1::1/128 dev $CABLE", "container web: its cable $CABLE has lost the gateway's address fd00:1::1"},
	{"sysctl -q -w net.ipv6.conf.$CABLE.disable_ipv6=1", "container web: its cable $CABLE is without net.ipv6.conf.$CABLE.disable_ipv6=0"},
	{"sysctl -q -w net.ipv6.conf.$CABLE.accept_ra=2", "container web: its cable $CABLE is without net.ipv6.conf.$CABLE.accept_ra=0"},
	{"sysctl -q -w net.ipv6.conf.$CABLE.forwarding=0", "container web: its cable $CABLE is without net.ipv6.conf.$CABLE.forwarding=1: the host says on this link that it is no router; packets pass all the same"},
	{"nsenter -n -t $PID ip -6 addr del fd00:1::2/128 dev eth0", "container web: its eth0 has lost the address fd00:1::2"},
	{"nsenter -n -t $PID ip link set eth0 down", "container web: its eth0 "},
	{"nsenter -n -t $PID ip -6 route del fd00:1::/64", "container web: its eth0 has no route to fd00:1::/64"},
	{"nsenter -n -t $PID ip -6 route del default", "container web: its eth0 has no default route by fd00:1::1"},
}

// TestPtp6Doctor is TestPtpDoctor for IPv6.
func TestPtp6Doctor(t *testing.T) {
	for _, byHand := range []bool{false, true} {
		t.Run(map[bool]string{true: "by hand", false: "by itself"}[byHand], func(t *testing.T) {
			t.Parallel()
			h := ptpSix(t, byHand, nil)
			h.Allow(host.SecMounts, "/run/netns ", "ip netns attach, in the scripts, keeps its names there")
			h.Allow(host.SecRun, "/run/netns/$", "ip netns attach, in the scripts, keeps its names there")
			pid := runWeb(t, h, "web", "--net", "red", "-p", "8080:80")
			vars := strings.NewReplacer("$CABLE", cableOf(t, h, "red", "web"), "$PID", fmt.Sprint(pid))
			for _, d := range ptp6Damages {
				script, says := vars.Replace(d.script), vars.Replace(d.says)
				must(t, h.Exec("sh", "-ec", script))
				if r := h.Run("doctor"); r.Code != 1 || r.Err != nil || !strings.Contains(r.Stdout, says) {
					t.Errorf("after %s: want %q\n%v", script, says, r)
				}
				if byHand {
					must(t, h.Exec("sh", "-c", must(t, h.Run("doctor", "--fix", "--dry-run"))))
				} else {
					must(t, h.Run("doctor", "--fix"))
				}
				wantOut(t, h.Run("doctor"), "all is well")
				wantAddr(t, h, host.Outside, "http://["+hostSix+"]:8080"+addrPage, worldSix)
				wantAddr(t, h, host.Inside, "http://[fd00:1::2]"+addrPage, "fd00:1::1")
				wantPing(t, h, "web", worldSix)
				if t.Failed() {
					t.FailNow()
				}
			}
		})
	}
}
