package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// Where IPv6 is in these tests.
const (
	redSix   = "fd00:1::/64"
	hostSix  = "fd6d:696e::1" // host.HostIPv6
	worldSix = "fd6d:696e::2" // host.OutsideIPv6
)

// sixKinds are the networks with IPv6, by the flags that make them.
var sixKinds = map[string][]string{
	"dual-stack": {"--ipv6", "--subnet", redSix, "--subnet", "10.61.0.0/24"},
	"IPv6 only":  {"--ipv6", "--ipv4=false", "--subnet", redSix},
}

// eachSix runs a test on a network red of each kind.
func eachSix(t *testing.T, test func(t *testing.T, h *host.Host, dual bool)) {
	for name, flags := range sixKinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := busyboxHost(t, host.IPv6())
			must(t, h.Run(append(append([]string{"network", "create"}, flags...), "red")...))
			test(t, h, name == "dual-stack")
		})
	}
}

func wantPing(t testing.TB, h *host.Host, name, to string) {
	t.Helper()
	if r := h.Run("exec", name, "ping", "-6", "-c", "1", "-W", "3", to); r.Code != 0 {
		t.Errorf("%s does not reach %s: %v", name, to, r)
	}
}

// TestIPv6GivesTheContainerItsNetwork: an address, a default route, neighbours, the
// host and the world, and names for all of it.
func TestIPv6GivesTheContainerItsNetwork(t *testing.T) {
	t.Parallel()
	eachSix(t, func(t *testing.T, h *host.Host, dual bool) {
		one := runWeb(t, h, "one", "--net", "red")
		two := runIdle(t, h, "two", "--net", "red", "--hostname", "second")
		wantOut(t, inNet(h, one, "sh", "-c", "ip -6 -o addr show dev eth0 scope global | tr -s ' ' | cut -d' ' -f2-4; ip -6 route show default"),
			"eth0 inet6 fd00:1::2/64\ndefault via fd00:1::1 dev eth0 metric 1024 pref medium")
		page := "http://[fd00:1::2]" + addrPage
		if got, err := getIn(h, two, page, patience); err != nil || got != "fd00:1::3" {
			t.Errorf("two sees itself as %q, %v", got, err)
		}
		wantAddr(t, h, host.Inside, page, "fd00:1::1")
		for _, to := range []string{"one", "one.red", "fd00:1::1", "host.mini.internal", hostSix, worldSix} {
			wantPing(t, h, "two", to)
		}
		if got := must(t, h.Run("exec", "two", "nslookup", "fd00:1::2")); !strings.Contains(got, "name = one.red") {
			t.Errorf("fd00:1::2 is %s", got)
		}
		hosts := must(t, h.Run("exec", "two", "cat", "/etc/hosts"))
		if want := "fd00:1::3\tsecond"; !strings.Contains(hosts, want) || strings.Contains(hosts, "10.61.0.3\tsecond") != dual {
			t.Errorf("/etc/hosts lacks %q, or an IPv4 address: %s", want, hosts)
		}
		if got := must(t, h.Run("exec", "two", "sh", "-c", "ip -4 route show default | wc -l")); (got == "1") != dual {
			t.Errorf("%s IPv4 default routes", got)
		}
	})
}

// TestIPv6Inspected: networks and containers show Docker's fields.
func TestIPv6Inspected(t *testing.T) {
	t.Parallel()
	eachSix(t, func(t *testing.T, h *host.Host, dual bool) {
		runIdle(t, h, "one", "--net", "red")
		wantOut(t, h.Run("network", "ls", "-f", "name=red", "--format", "{{.IPv4}} {{.IPv6}}"), fmt.Sprint(dual, " true"))
		want := "[{fd00:1::/64 fd00:1::1}]"
		counts := "fd00:1::/64 3 65533 "
		if dual {
			want = "[{10.61.0.0/24 10.61.0.1} {fd00:1::/64 fd00:1::1}]"
			counts = "10.61.0.0/24 4 252 " + counts
		}
		wantOut(t, h.Run("network", "inspect", "-f", "{{.EnableIPv4}} {{.EnableIPv6}} [{{range $i, $c := .IPAM.Config}}{{if $i}} {{end}}{ {{- $c.Subnet}} {{$c.Gateway}}}{{end}}]", "red"),
			fmt.Sprint(dual, " true ", want))
		wantOut(t, h.Run("network", "inspect", "-f", "{{range $s, $n := .Status.IPAM.Subnets}}{{$s}} {{$n.IPsInUse}} {{$n.DynamicIPsAvailable}} {{end}}", "red"), strings.TrimSpace(counts))
		wantOut(t, h.Run("network", "inspect", "-f", "{{range .Containers}}{{.IPv6Address}}{{end}}", "red"), "fd00:1::2/64")
		wantOut(t, h.Run("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}} {{.GlobalIPv6PrefixLen}} {{.IPv6Gateway}}{{end}}", "one"), "fd00:1::2 64 fd00:1::1")
	})
}

// TestIPv6FixedAddresses: those with a bit and those kept by name are taken once, the
// error names the owner, and they come back.
func TestIPv6FixedAddresses(t *testing.T) {
	t.Parallel()
	eachSix(t, func(t *testing.T, h *host.Host, _ bool) {
		for i, ip := range []string{"fd00:1::77", "fd00:1::dead:beef:0:1"} {
			name := fmt.Sprint("owner", i)
			pid := runIdle(t, h, name, "--net", "red", "--ip6", ip)
			if got := must(t, inNet(h, pid, "ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "global")); !strings.Contains(got, " "+ip+"/64 ") {
				t.Errorf("the container has %s", got)
			}
			for _, flag := range []string{"--ip6=" + ip, "--net=name=red,ip6=" + ip} {
				args := []string{"run", "--rm", flag}
				if !strings.HasPrefix(flag, "--net") {
					args = append(args, "--net", "red")
				}
				fails(t, h.Run(append(args, "busybox", "true")...), 125, "address "+ip+" is already in use by container "+name)
			}
			must(t, h.Run("restart", "-t", "0", name))
			wantOut(t, h.Run("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}}{{end}}", name), ip)
			must(t, h.Run("rm", "-f", name))
			must(t, h.Run("run", "--rm", "--net", "red", "--ip6", ip, "busybox", "true"))
		}
		for _, c := range []struct{ ip, want string }{
			{"fd00:2::5", "fd00:1::/64"}, {"fd00:1::", "the subnet-router anycast address"}, {"fd00:1::1", "the gateway"},
			{"10.61.0.9", "invalid IPv6 address"}, {"fe80::1%eth0", "invalid IPv6 address"}, {"::ffff:10.61.0.9", "invalid IPv6 address"},
		} {
			fails(t, h.Run("run", "--rm", "--net", "red", "--ip6", c.ip, "busybox", "true"), 125, c.ip, c.want)
		}
		wantOut(t, h.Run("network", "inspect", "-f", `{{(index .Status.IPAM.Subnets "fd00:1::/64").IPsInUse}}`, "red"), "2")
	})
}

// TestIPv6OfAnotherFamily: what a network lacks is refused, and what Docker passes
// over is said.
func TestIPv6OfAnotherFamily(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.IPv6())
	must(t, h.Run("network", "create", "--ipv6", "--ipv4=false", "six"))
	must(t, h.Run("network", "create", "four"))
	fails(t, h.Run("run", "--rm", "--net", "six", "--ip", "10.0.0.5", "busybox", "true"), 125, "network six has no IPv4")
	fails(t, h.Run("run", "--rm", "--net", "four", "--ip6", "fd00::5", "busybox", "true"), 125, "network four has no IPv6")
	runIdle(t, h, "one")
	fails(t, h.Run("network", "connect", "--ip", "10.0.0.5", "six", "one"), 1, "network six has no IPv4")
	fails(t, h.Run("network", "connect", "--ip6", "fd00::5", "four", "one"), 1, "network four has no IPv6")
	r := h.Run("network", "create", "--subnet", "fd00:9::/64", "plain")
	if must(t, r); !strings.Contains(r.Stderr, "subnet fd00:9::/64 is not used") {
		t.Errorf("nothing is said: %v", r)
	}
	wantOut(t, h.Run("network", "inspect", "-f", "{{.EnableIPv6}} {{len .IPAM.Config}}", "plain"), "false 1")
	// Values may be separated by commas, as with Docker.
	must(t, h.Run("network", "create", "--ipv6", "--subnet", "fd00:8::/64,10.8.0.0/24", "--gateway", "10.8.0.9,fd00:8::9", "both"))
	wantOut(t, h.Run("network", "inspect", "-f", "{{range .IPAM.Config}}{{.Gateway}} {{end}}", "both"), "10.8.0.9 fd00:8::9")
}

// TestIPv6SubnetIsChosen: without one, each network gets a /64 of the machine's own
// prefix, the same every time, and never one that the host has another use for.
func TestIPv6SubnetIsChosen(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	subnet := func(name string) string {
		must(t, h.Run("network", "create", "--ipv6", "--ipv4=false", name))
		return networkField(t, h, name, "{{(index .IPAM.Config 0).Subnet}}")
	}
	first, second := subnet("a"), subnet("b")
	prefix, ok := strings.CutSuffix(first, "::/64")
	if want := prefix + ":1::/64"; !ok || !strings.HasPrefix(first, "fd") || second != want {
		t.Fatalf("the subnets are %s and %s, want a unique local one and its neighbour", first, second)
	}
	must(t, h.Run("network", "rm", "a"))
	if again := subnet("a"); again != first {
		t.Errorf("the next one is %s, want %s again", again, first)
	}
	must(t, h.Exec("ip", "-6", "route", "add", prefix+":2::/63", "dev", "uplink0"))
	if third, want := subnet("c"), prefix+":4::/64"; third != want {
		t.Errorf("beside a route on the host it is %s, want %s", third, want)
	}
	defer h.Exec("ip", "-6", "route", "delete", prefix+":2::/63", "dev", "uplink0")
	fails(t, h.Run("network", "create", "--ipv6", "--subnet", prefix+":2:8000::/80", "d"), 1, "overlaps", "route on uplink0")
	fails(t, h.Run("network", "create", "--ipv6", "--subnet", first, "d"), 1, "overlaps", "network a")
}

// TestManyOnIPv6AtOnce: containers that start at once, on a host that has IPv6
// switched off, get addresses of their own and reach each other at once.
func TestManyOnIPv6AtOnce(t *testing.T) {
	t.Parallel()
	eachSix(t, func(t *testing.T, h *host.Host, _ bool) {
		h.Allow(host.SecSysctl, `^net/ipv6/conf/[^/]+/disable_ipv6 = `, "the test switches IPv6 off")
		h.Allow(host.SecAddrs, `fd6d:696e::1|::1/128`, "the test switches IPv6 off")
		h.Allow(host.SecRoutes, `fd6d:696e::|::1/128|dev lo `, "the test switches IPv6 off")
		must(t, h.Exec("sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"))
		const n = 12
		name := func(i int) string { return fmt.Sprint("box", i) }
		for _, r := range atOnce(n, func(i int) host.Result {
			return h.Run("run", "-d", "--name", name(i), "--net", "red", "busybox", "sleep", "1000")
		}) {
			must(t, r)
		}
		addrs := map[string]bool{}
		for i := range n {
			addrs[must(t, h.Run("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}}{{end}}", name(i)))] = true
			wantPing(t, h, name(i), name((i+1)%n))
		}
		if len(addrs) != n || addrs[""] {
			t.Errorf("%d containers have the addresses %v", n, addrs)
		}
		wantPing(t, h, name(0), "fd00:1::1")
		for _, r := range atOnce(n, func(i int) host.Result { return h.Run("rm", "-f", name(i)) }) {
			must(t, r)
		}
	})
}

// TestIPv6Range: addresses come from the range, and not those kept back.
func TestIPv6Range(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.IPv6())
	must(t, h.Run("network", "create", "--ipv6", "--ipv4=false", "--subnet", redSix, "--ip-range", "fd00:1::abc0/126", "--gateway", "fd00:1::ffff:1",
		"--aux-address", "router=fd00:1::abc1", "red"))
	for _, want := range []string{"fd00:1::abc0", "fd00:1::abc2", "fd00:1::abc3"} {
		runIdle(t, h, "at"+want[len(want)-1:], "--net", "red")
		wantOut(t, h.Run("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}}{{end}}", "at"+want[len(want)-1:]), want)
	}
	fails(t, h.Run("run", "--rm", "--net", "red", "busybox", "true"), 125, "range fd00:1::abc0/126 of subnet fd00:1::/64: no free address")
	wantPing(t, h, "at0", worldSix)
}

// TestIPv6AddressChangesHands: a peer and the host, which both have the former owner
// of an address in their neighbour caches, reach the new one within 100 ms.
func TestIPv6AddressChangesHands(t *testing.T) {
	t.Parallel()
	eachSix(t, func(t *testing.T, h *host.Host, _ bool) {
		peer := runIdle(t, h, "peer", "--net", "red")
		for i := range 6 {
			name := fmt.Sprint("owner", i)
			runIdle(t, h, name, "--net", "red", "--ip6", "fd00:1::9", "--mac-address", fmt.Sprintf("02:00:00:00:00:%02x", i))
			took, usual := timeToReach(t, h, peer, "fd00:1::9"), timeToReach(t, h, peer, "fd00:1::1")
			if took > within+usual {
				t.Errorf("owner %d was reached after %v; exchanges take %v", i, took, usual)
			}
			must(t, h.Run("rm", "-f", name))
		}
	})
}
