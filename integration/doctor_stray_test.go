package integration

import (
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// strays are things with a tag that is on nobody's record here.
var strays = []damage{
	{"ip link add vethfoo type veth peer name vethbar; ip link set vethfoo alias mini:0123456789ab:gone:eth0",
		"link vethfoo: a cable with the tag mini:0123456789ab:gone:eth0 is not on record here"},
	{"ip link add br-foo type bridge; ip link set br-foo alias mini:0123456789ab:gone",
		"link br-foo: a bridge with the tag mini:0123456789ab:gone is not on record here"},
	{"iptables -t nat -A DOCKER -p tcp --dport 9999 -m comment --comment mini:0123456789ab:gone -j DNAT --to 198.51.100.9:80",
		"chain DOCKER of table nat: a rule with the tag mini:0123456789ab:gone is not on record here"},
	{"ip6tables -A FORWARD -o gone0 -m comment --comment mini:0123456789ab:gone -j ACCEPT",
		"chain FORWARD of table filter of IPv6: a rule with the tag mini:0123456789ab:gone is not on record here"},
	{"iptables -A FORWARD -i pt01234+ -m comment --comment mini:0123456789ab:gone -j ACCEPT; ip route add unreachable 10.77.0.0/24 metric 4661",
		"the host: a route that keeps 10.77.0.0/24 for network 0123456789ab is not on record here"},
}

// TestDoctorOnStrays: what has mini's tag and is on nobody's record is named while a
// network is up. It may be another mini's, so that it stays until a person has done
// what doctor says.
func TestDoctorOnStrays(t *testing.T) {
	t.Parallel()
	for _, b := range []host.Backend{host.NFT, host.Legacy} {
		t.Run(string(b), func(t *testing.T) {
			t.Parallel()
			h := busyboxHost(t, host.Iptables(b), host.IPv6())
			runIdle(t, h, "web", "-p", "8080:80")
			wantOut(t, h.Run("doctor"), "all is well")
			for _, d := range strays {
				must(t, h.Exec("sh", "-ec", d.script))
				helps(t, h, d.says)
			}
			must(t, h.Run("rm", "-f", "web"))
		})
	}
}

// TestDoctorOnScripts: what is left of a container that was built by the script of
// --dry-run is mini's, as it leads to a network that is up, or is one's own network's.
func TestDoctorOnScripts(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.IPv6())
	const reason = "ip netns, in the scripts, keeps its names there"
	h.Allow(host.SecMounts, "/run/netns ", reason)
	h.Allow(host.SecRun, "/run/netns/$", reason)
	must(t, h.Run("network", "create", "--ipv6", "--subnet", "10.61.0.0/24", "--subnet", redSix, "red"))
	must(t, h.Run("network", "create", "-d", "ptp", "--subnet", "10.66.0.0/24", "wire"))
	for _, net := range []string{"red", "wire"} {
		for _, up := range []bool{false, true} {
			if up && h.Backend() == host.Native {
				continue // its own table is in the way of a network
			}
			must(t, h.Exec("sh", "-ec", must(t, h.Run("run", "--dry-run", "--name", "ghost", "--net", net, "-p", "8088:80", "busybox", "true"))))
			must(t, h.Exec("ip", "netns", "del", "mini-ghost"))
			if up {
				runIdle(t, h, "web")
			}
			wantCode(t, h.Run("doctor"), 1)
			must(t, h.Run("doctor", "--fix"))
			wantOut(t, h.Run("doctor"), "all is well")
			for _, command := range []string{"iptables-save", "ip6tables-save", "ip route; ip -6 route"} {
				if out := must(t, h.Exec("sh", "-c", command)); strings.Contains(out, ":ghost") || strings.Contains(out, "10.66.") || strings.Contains(out, "fd00:1") {
					t.Errorf("network %s: %s shows\n%s", net, command, out)
				}
			}
			if up {
				must(t, h.Run("rm", "-f", "web"))
				must(t, h.Run("network", "down", "bridge"))
			}
			// The empty chains bear no tag.
			must(t, h.Exec("sh", "-c", "for ipt in iptables ip6tables; do for t in raw nat filter; do $ipt -t $t -F; $ipt -t $t -X; done; done; nft flush ruleset"))
		}
	}
}

// TestDoctorBesideAnotherMini: what another mini has on record is no leftover.
func TestDoctorBesideAnotherMini(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.IPv6())
	tarball, err := host.Busybox()
	if err != nil {
		t.Fatal(err)
	}
	second := func(args ...string) host.Result { return secondMini(h, args...) }
	must(t, second("import", tarball, "busybox"))
	must(t, h.Exec("sh", "-ec", "ip link add br0 type bridge; ip addr add 10.50.0.7/24 dev br0; ip link set br0 up"))
	for _, create := range [][]string{{"-d", "ptp", "--ipv6", "wire"}, {"-o", "bridge_name=br0", "office"}, {"--ipv6", "red"}} {
		must(t, second(append([]string{"network", "create"}, create...)...))
		must(t, second("network", "up", create[len(create)-1])) // also without a container
	}
	runIdle(t, h, "web", "-p", "8080:80")
	wantOut(t, h.Run("doctor"), "all is well")
	wantOut(t, second("doctor"), "all is well")
	for i, net := range []string{"wire", "office", "red"} {
		must(t, second("run", "-d", "--name", "box"+net, "--net", net, "-p", []string{"8081:80", "8082:80", "8083:80"}[i], "busybox", "sleep", "1000"))
	}
	wantOut(t, h.Run("doctor"), "all is well")
	wantOut(t, second("doctor"), "all is well")
	must(t, h.Run("rm", "-f", "web"))
	must(t, h.Run("network", "down", "bridge")) // who made the chain of the administrator leaves last
	must(t, second("rm", "-f", "boxwire", "boxoffice", "boxred"))
	must(t, second("network", "rm", "wire", "office", "red"))
	must(t, h.Exec("ip", "link", "del", "br0"))
}
