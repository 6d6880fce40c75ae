package integration

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// TestOverlapsAreRefused and the error names what is in the way.
func TestOverlapsAreRefused(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.File("/etc/resolv.conf", "nameserver 10.7.0.53\n"))
	must(t, h.Run("network", "create", "--subnet", "10.1.0.0/24", "red"))
	create := func(subnet string) host.Result { return h.Run("network", "create", "--subnet", subnet, "blue") }
	fails(t, create("10.1.0.0/24"), 1, "10.1.0.0/24", "network red")
	fails(t, create("10.1.0.128/25"), 1, "10.1.0.128/25", "10.1.0.0/24", "network red")
	fails(t, create("10.0.0.0/8"), 1, "10.0.0.0/8", "network red")
	fails(t, create("192.0.2.0/28"), 1, "192.0.2.0/24", "uplink0")
	fails(t, create("10.7.0.0/24"), 1, "10.7.0.0/24", "nameserver 10.7.0.53")
	wantOut(t, h.Run("network", "ls", "--format", "{{.Name}}", "--filter", "type=custom"), "red")
	// What mini chooses itself keeps clear of all of them.
	var seen []netip.Prefix
	for i := range 5 {
		name := fmt.Sprint("n", i)
		must(t, h.Run("network", "create", name))
		p := netip.MustParsePrefix(networkField(t, h, name, "{{(index .IPAM.Config 0).Subnet}}"))
		for _, other := range append(seen, netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("10.1.0.0/24")) {
			if p.Overlaps(other) {
				t.Errorf("%s overlaps %s", p, other)
			}
		}
		seen = append(seen, p)
	}
}

// TestNullRoutes: routes that lead nowhere, for all private addresses, leave room for
// networks. Those for a network's own subnet, or a part of it, do not.
func TestNullRoutes(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.IPv6())
	must(t, h.Exec("sh", "-ec", `
		ip route add blackhole 10.0.0.0/8; ip route add prohibit 172.16.0.0/12
		ip route add unreachable 192.168.0.0/16 metric 4278198272; ip -6 route add unreachable fd00::/8`))
	for name, args := range map[string]string{
		"any": "--ipv6", "red": "--ipv6 --subnet 10.9.0.0/24 --subnet fd00:9::/64", "blue": "--subnet 192.168.7.0/24", "cables": "-d ptp --ipv6",
	} {
		must(t, h.Run(append(append([]string{"network", "create"}, strings.Fields(args)...), name)...))
		runIdle(t, h, "on-"+name, "--net", name)
		must(t, h.Run("exec", "on-"+name, "ping", "-c", "1", "-W", "3", "192.0.2.2"))
		if name != "blue" {
			wantPing(t, h, "on-"+name, worldSix)
		}
	}
	if subnet := networkField(t, h, "any", "{{(index .IPAM.Config 0).Subnet}}"); !strings.HasPrefix(subnet, "172.") {
		t.Errorf("the network moved away to %s", subnet)
	}
	wantOut(t, h.Run("doctor"), "all is well")
	must(t, h.Exec("sh", "-ec", "ip route add blackhole 10.4.0.0/24; ip route add prohibit 10.5.0.0/25; ip -6 route add unreachable fd00:4::/64"))
	create := func(subnet ...string) host.Result {
		return h.Run(append([]string{"network", "create", "--ipv6", "bad", "--subnet"}, subnet...)...)
	}
	fails(t, create("10.4.0.0/24"), 1, "subnet 10.4.0.0/24 overlaps 10.4.0.0/24 (blackhole route)")
	fails(t, create("10.5.0.0/24"), 1, "subnet 10.5.0.0/24 overlaps 10.5.0.0/25 (prohibit route)")
	fails(t, create("fd00:4::/64"), 1, "subnet fd00:4::/64 overlaps fd00:4::/64 (unreachable route)")
	must(t, h.Exec("ip", "route", "add", "blackhole", "10.9.0.128/25"))
	r := h.Run("doctor")
	if want := "WRONG     network red: subnet 10.9.0.0/24 overlaps 10.9.0.128/25 (blackhole route): the host drops what is for the containers"; r.Code != 1 || r.Out() != want {
		t.Errorf("want %q\n%v", want, r)
	}
	must(t, h.Exec("sh", "-ec", `
		for r in 10.0.0.0/8 10.4.0.0/24 10.9.0.128/25; do ip route del blackhole $r; done
		for r in 172.16.0.0/12 10.5.0.0/25; do ip route del prohibit $r; done
		ip route del unreachable 192.168.0.0/16; ip -6 route del unreachable fd00::/8; ip -6 route del unreachable fd00:4::/64`))
}

// TestBadNetworks: bad input gets a clear error and changes nothing.
func TestBadNetworks(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("network", "create", "taken"))
	long := strings.Repeat("x", 200)
	before, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"taken"}, []string{"network with name taken already exists"}},
		{[]string{"bridge"}, []string{"operation is not permitted on predefined bridge network"}},
		{[]string{"default"}, []string{"operation is not permitted on predefined default network"}},
		{[]string{"a/b"}, []string{"a/b"}},
		{[]string{"../../etc"}, []string{"../../etc"}},
		{[]string{".."}, []string{".."}},
		{[]string{""}, []string{"name"}},
		{[]string{"-"}, []string{`"-"`}},
		{[]string{long}, []string{"200", "128"}},
		{[]string{"--subnet", "10.0.0.0", "xx"}, []string{"10.0.0.0"}},
		{[]string{"--subnet", "10.0.0.5/24", "xx"}, []string{"10.0.0.5/24", "10.0.0.0/24"}},
		{[]string{"--subnet", "10.0.0.0/31", "xx"}, []string{"10.0.0.0/31"}},
		{[]string{"--ipv4=false", "xx"}, []string{"IPv4 or IPv6 must be enabled"}},
		{[]string{"--ipv6", "--subnet", "fd00::5/64", "xx"}, []string{"fd00::5/64", "fd00::/64"}},
		{[]string{"--ipv6", "--subnet", "fd00::/127", "xx"}, []string{"fd00::/127", "/126"}},
		{[]string{"--ipv6", "--subnet", "fe80::/64", "xx"}, []string{"fe80::/64"}},
		{[]string{"--ipv6", "--subnet", "ff05::/64", "xx"}, []string{"ff05::/64"}},
		{[]string{"--ipv6", "--subnet", "::ffff:10.0.0.0/120", "xx"}, []string{"::ffff:10.0.0.0/120"}},
		{[]string{"--ipv6", "--subnet", "fd00::/64", "--subnet", "fd01::/64", "xx"}, []string{"fd01::/64", "one of each family"}},
		{[]string{"--ipv6", "--gateway", "fd00::1", "xx"}, []string{"needs a subnet"}},
		{[]string{"--ipv6", "--subnet", "fd00::/64", "--gateway", "fd01::1", "xx"}, []string{"fd01::1", "fd00::/64"}},
		{[]string{"--ipv6", "--subnet", "fd00::/64", "--gateway", "fd00::", "xx"}, []string{"anycast"}},
		{[]string{"--ipv6", "--subnet", "fd00::/64", "--ip-range", "fd01::/80", "xx"}, []string{"fd01::/80", "fd00::/64"}},
		{[]string{"--ipv6", "--subnet", "fd00::/64", "--aux-address", "router=fd01::2", "xx"}, []string{"fd01::2", "fd00::/64"}},
		{[]string{"--ipv6", "--mtu", "1279", "xx"}, []string{"1279", "1280"}},
		{[]string{"--ipv6", "-o", "gateway_mode_ipv6=fast", "xx"}, []string{"gateway_mode_ipv6", "fast"}},
		{[]string{"--ipv6", "-o", "gateway_mode_ipv6=isolated", "xx"}, []string{"--internal"}},
		{[]string{"-o", "gateway_mode_ipv6=routed", "xx"}, []string{"--ipv6"}},
		{[]string{"--ipv6", "--ipv4=false", "-o", "gateway_mode=routed", "xx"}, []string{"no IPv4"}},
		{[]string{"--subnet", "127.0.0.0/24", "xx"}, []string{"127.0.0.0/24"}},
		{[]string{"--subnet", "224.0.0.0/24", "xx"}, []string{"224.0.0.0/24"}},
		{[]string{"--gateway", "10.0.0.1", "xx"}, []string{"subnet"}},
		{[]string{"--subnet", "10.0.0.0/24", "--gateway", "10.0.1.1", "xx"}, []string{"10.0.1.1", "10.0.0.0/24"}},
		{[]string{"--subnet", "10.0.0.0/24", "--gateway", "10.0.0.255", "xx"}, []string{"10.0.0.255"}},
		{[]string{"--subnet", "10.0.0.0/24", "--ip-range", "10.0.1.0/25", "xx"}, []string{"10.0.1.0/25", "10.0.0.0/24"}},
		{[]string{"--mtu", "10", "xx"}, []string{"mtu 10"}},
		{[]string{"--mtu", "70000", "xx"}, []string{"mtu 70000"}},
		{[]string{"--mtu", "big", "xx"}, []string{"big"}},
		{[]string{"--scope", "swarm", "xx"}, []string{"--scope", "swarm", "local"}},
		{[]string{"--mtu", "1400", "-o", "mtu=1300", "xx"}, []string{"1300", "1400", "contradict each other"}},
		{[]string{"-o", "host_binding_ipv4=::1", "xx"}, []string{"no IPv6", "default host address ::1", "--ipv6"}},
		{[]string{"--ipv6", "--ipv4=false", "-o", "host_binding_ipv4=127.0.0.1", "xx"}, []string{"no IPv4", "default host address 127.0.0.1"}},
		{[]string{"--ipv6", "-o", "host_binding_ipv4=fe80::1", "xx"}, []string{"link-local"}},
		{[]string{"--driver", "overlay", "xx"}, []string{"overlay"}},
		{[]string{"--driver", "null", "xx"}, []string{"only one instance of \"null\" network is allowed"}},
		{[]string{"--ipam-driver", "dhcp", "xx"}, []string{"dhcp", "default"}},
		{[]string{"-o", "colour=red", "xx"}, []string{"unknown option \"colour\"", "com.docker.network.driver.mtu (mtu)"}},
		{[]string{"-o", "masquerade=maybe", "xx"}, []string{"option masquerade", "maybe"}},
		{[]string{"-o", "mtu=big", "xx"}, []string{"option mtu", "big"}},
		{[]string{"-o", "isolate=false", "xx"}, []string{"isolated"}},
		{[]string{"--aux-address", "router=10.0.0.2", "xx"}, []string{"needs a subnet"}},
		{[]string{"--subnet", "10.0.0.0/24", "--aux-address", "10.0.0.2", "xx"}, []string{"router=10.9.0.2"}},
		{[]string{"--subnet", "10.0.0.0/24", "--aux-address", "router=10.0.1.2", "xx"}, []string{"10.0.1.2", "10.0.0.0/24"}},
	} {
		r := h.Run(append([]string{"network", "create"}, c.args...)...)
		if r.Code == 0 {
			t.Errorf("it was accepted: %v", r)
			continue
		}
		fails(t, r, r.Code, c.want...)
	}
	fails(t, h.Run("network", "rm", "nowhere"), 1, "network nowhere not found")
	fails(t, h.Run("network", "rm", "../bridge"), 1, "network ../bridge not found")
	r := h.Run("network", "inspect", "nowhere") // prints [] as Docker does
	if r.Code != 1 || !strings.Contains(r.Stderr, "network nowhere not found") {
		t.Errorf("%v", r)
	}
	fails(t, h.Run("run", "--rm", "--net", "nowhere", "busybox", "true"), 125, "network nowhere not found")
	fails(t, h.Run("run", "--rm", "--net", "../../etc", "busybox", "true"), 125, "network ../../etc not found")
	fails(t, h.Run("run", "--rm", "--net", long, "busybox", "true"), 125, "not found")
	after, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if diff := before.Diff(after); len(diff) > 0 {
		t.Errorf("bad input changed something:\n%s", diff)
	}
}
