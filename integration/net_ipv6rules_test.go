package integration

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/minirt/mini/integration/host"
)

// What the first of create6 has.
const (
	net1        = "fd17:1::/64"
	net1Gateway = "fd17:1::1"
)

// create6 makes a network with both families, 10.N.0.0/24 and fd17:N::/64.
func create6(t testing.TB, h *host.Host, name string, n int, flags ...string) {
	t.Helper()
	args := []string{"network", "create", "--ipv6", "--subnet", fmt.Sprintf("10.%d.0.0/24", n), "--subnet", fmt.Sprintf("fd17:%d::/64", n)}
	must(t, h.Run(append(append(args, flags...), name)...))
}

// ownIP6 gives a container's IPv6 address on its only network.
func ownIP6(t testing.TB, h *host.Host, name string) string {
	t.Helper()
	ip := must(t, h.Run("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}}{{end}}", name))
	if net.ParseIP(ip) == nil {
		t.Fatalf("container %s has the IPv6 address %q", name, ip)
	}
	return ip
}

// page6 is the page that says who the client is, at an IPv6 address.
func page6(ip string, port int) string { return fmt.Sprintf("http://[%s]:%d%s", ip, port, addrPage) }

// reaches wants an answer from an address, and the client's own address in it.
func reaches(t testing.TB, what string, get func(time.Duration) (string, error), client string) {
	t.Helper()
	if got, err := get(patience); err != nil || got != client {
		t.Errorf("%s: it sees %q, error %v, want %s", what, got, err, client)
	}
}

// silent wants no answer.
func silent(t testing.TB, what string, get func(time.Duration) (string, error)) {
	t.Helper()
	if got, err := get(silence); !unanswered(err) {
		t.Errorf("%s: got %q, error %v, want no answer at all", what, got, err)
	}
}

// from asks for a page: from a place, or with a pid from a container.
func from(h *host.Host, at any, url string) func(time.Duration) (string, error) {
	return func(d time.Duration) (string, error) {
		if pid, ok := at.(int); ok {
			return getIn(h, pid, url, d)
		}
		return getFrom(h, at.(host.Place), url, d)
	}
}

// bothBridgeNF runs a test with bridge-nf-call-ip6tables at 0 and at 1.
func bothBridgeNF(t *testing.T, test func(t *testing.T, h *host.Host)) {
	t.Parallel()
	for _, nf := range []bool{false, true} {
		t.Run(fmt.Sprintf("bridge-nf-call=%t", nf), func(t *testing.T) {
			t.Parallel()
			h := busyboxHost(t, host.IPv6(), host.BridgeNF(nf))
			wantOut(t, h.Run("info", "-f", "{{.BridgeNfIp6tables}}"), fmt.Sprint(nf))
			test(t, h)
		})
	}
}

// table6 is a shell expression for the table of IPv6 that the nftables driver made.
const table6 = `$(nft list tables ip6 | sed -n 's/^table \(ip6 mini.*\)/\1/p')`

// eachBackend6 runs a test with each firewall back end.
func eachBackend6(t *testing.T, test func(t *testing.T, h *host.Host, b host.Backend)) {
	t.Parallel()
	for _, b := range host.Backends {
		t.Run(string(b), func(t *testing.T) {
			t.Parallel()
			test(t, busyboxHost(t, host.IPv6(), host.Iptables(b)), b)
		})
	}
}

// TestGuardOfIPv6Addresses: a neighbour of the host that routes to a container's
// address does not reach it. Without the rule that guards it, and with what any host
// that is a router accepts, it does.
func TestGuardOfIPv6Addresses(t *testing.T) {
	eachBackend6(t, checkGuard6)
}

func checkGuard6(t *testing.T, h *host.Host, b host.Backend) {
	create6(t, h, "red", 1)
	pid := runWeb(t, h, "web", "--net", "red")
	must(t, h.Outside("ip", "-6", "route", "add", net1, "via", host6))
	direct := from(h, host.Outside, page6(ownIP6(t, h, "web"), 80))
	silent(t, "outside to the container's address", direct)
	reaches(t, "host to the container's address", from(h, host.Inside, page6(ownIP6(t, h, "web"), 80)), net1Gateway)
	reaches(t, "the container to itself", from(h, pid, page6(ownIP6(t, h, "web"), 80)), ownIP6(t, h, "web"))
	open := "ip6tables -t raw -F DOCKER-RAW; ip6tables -F DOCKER-BRIDGE"
	if b == host.Native {
		open = "t=" + table6 + "; nft flush chain $t raw-DOCKER-RAW; nft flush chain $t filter-DOCKER-BRIDGE"
	}
	must(t, h.Exec("sh", "-ec", open))
	reaches(t, "outside, without the guards", direct, outside6)
	must(t, h.Run("network", "reload"))
	silent(t, "outside, with the guards put back", direct)
}

// TestIPv6Isolation: two networks do not reach each other by IPv6, neighbours do,
// and the world is seen and sees the host's address.
func TestIPv6Isolation(t *testing.T) {
	bothBridgeNF(t, func(t *testing.T, h *host.Host) {
		if err := h.ServeAddr(host.Outside, "["+outside6+"]:8000"); err != nil {
			t.Fatal(err)
		}
		create6(t, h, "red", 1)
		must(t, h.Run("network", "create", "--ipv6", "--ipv4=false", "--subnet", "fd17:2::/64", "blue"))
		pids, ips := map[string]int{}, map[string]string{}
		for _, c := range []string{"red1", "red2", "blue1", "blue2"} {
			pids[c] = runWeb(t, h, c, "--net", c[:len(c)-1])
			ips[c] = ownIP6(t, h, c)
		}
		for _, c := range []struct {
			from, to string
			ok       bool
		}{{"red1", "red2", true}, {"blue2", "blue1", true}, {"red1", "blue1", false}, {"blue2", "red2", false}} {
			what, get := c.from+" to "+c.to, from(h, pids[c.from], page6(ips[c.to], 80))
			if c.ok {
				reaches(t, what, get, ips[c.from])
			} else {
				silent(t, what, get)
			}
		}
		for _, c := range []string{"red1", "blue1"} {
			reaches(t, c+" to the outside", from(h, pids[c], page6(outside6, 8000)), host6)
		}
	})
}

// TestInternalIPv6Network: no way in, no way out, and nothing of the host's, by any
// of its addresses. Neighbours, and the host, find the containers.
func TestInternalIPv6Network(t *testing.T) {
	bothBridgeNF(t, func(t *testing.T, h *host.Host) {
		for _, at := range []host.Place{host.Inside, host.Outside} {
			if err := h.ServeAddr(at, "[::]:8000"); err != nil {
				t.Fatal(err)
			}
		}
		create6(t, h, "closed", 1, "--internal")
		create6(t, h, "open", 2)
		one, two := runWeb(t, h, "one", "--net", "closed"), runWeb(t, h, "two", "--net", "closed")
		other := runIdle(t, h, "other", "--net", "open")
		must(t, h.Outside("ip", "-6", "route", "add", net1, "via", host6))
		// It has no default route. With one of its own it gets no further.
		for _, pid := range []int{one, two} {
			must(t, inNet(h, pid, "ip", "-6", "route", "add", "default", "via", net1Gateway))
		}
		ip := ownIP6(t, h, "one")
		reaches(t, "a neighbour", from(h, two, page6(ip, 80)), ownIP6(t, h, "two"))
		reaches(t, "the host", from(h, host.Inside, page6(ip, 80)), net1Gateway)
		silent(t, "outside to the container", from(h, host.Outside, page6(ip, 80)))
		silent(t, "another network to the container", from(h, other, page6(ip, 80)))
		for what, addr := range map[string]string{
			"the host's address on the bridge": net1Gateway, "the host's address on the uplink": host6,
			"its address on another bridge": "fd17:2::1", "the outside": outside6,
		} {
			silent(t, "the container to "+what, from(h, one, page6(addr, 8000)))
		}
		bridge := "br-" + networkField(t, h, "closed", "{{.Id}}")[:12]
		local := must(t, h.Exec("sh", "-c", "ip -6 -o address show dev "+bridge+" scope link | awk '{ print $4 }' | cut -d/ -f1"))
		silent(t, "the container to the bridge's link-local address", from(h, one, page6(local+"%25eth0", 8000)))
		// The host asks who has the address when it has forgotten it, and is answered.
		must(t, h.Exec("ip", "-6", "neigh", "flush", "dev", bridge))
		must(t, inNet(h, one, "ip", "-6", "neigh", "flush", "dev", "eth0"))
		reaches(t, "the host, once more", from(h, host.Inside, page6(ip, 80)), net1Gateway)
	})
}

// TestNoICCOnIPv6: containers that are kept apart do not reach each other, not
// through the host either, but the host and the world.
func TestNoICCOnIPv6(t *testing.T) {
	bothBridgeNF(t, func(t *testing.T, h *host.Host) {
		for _, at := range []host.Place{host.Inside, host.Outside} {
			if err := h.ServeAddr(at, "[::]:8000"); err != nil {
				t.Fatal(err)
			}
		}
		create6(t, h, "red", 1, "-o", "icc=false")
		must(t, h.Run("network", "create", "--ipv6", "--ipv4=false", "--subnet", "fd17:2::/64", "-o", "icc=false", "six"))
		for _, n := range []string{"red", "six"} {
			port := map[string]int{"red": 8080, "six": 8081}[n]
			one, two := runWeb(t, h, n+"1", "--net", n), runWeb(t, h, n+"2", "--net", n, "-p", fmt.Sprint(port, ":80"))
			gateway6, ip := map[string]string{"red": net1Gateway, "six": "fd17:2::1"}[n], ownIP6(t, h, n+"2")
			reaches(t, n+" to the host", from(h, one, page6(gateway6, 8000)), ownIP6(t, h, n+"1"))
			reaches(t, n+" to the outside", from(h, one, page6(outside6, 8000)), host6)
			reaches(t, "the host to "+n, from(h, host.Inside, page6(ip, 80)), gateway6)
			for what, pid := range map[string]int{"a neighbour": one, "itself": two} {
				reaches(t, n+": "+what+" through the published port", from(h, pid, page6(host6, port)), gateway6)
				reaches(t, n+": "+what+" through the port at the gateway", from(h, pid, page6(gateway6, port)), gateway6)
			}
			reaches(t, n+": outside through the published port", from(h, host.Outside, page6(host6, port)), outside6)
			// The bridge lets no question for the neighbour's address pass.
			if got, err := getIn(h, one, page6(ip, 80), silence); err == nil {
				t.Errorf("%s: a neighbour answers: %q", n, got)
			}
			// And the host sends on nothing.
			for _, pid := range []int{one, two} {
				must(t, inNet(h, pid, "ip", "-6", "route", "replace", ownIP6(t, h, n+"1")+"/128", "via", gateway6))
				must(t, inNet(h, pid, "ip", "-6", "route", "replace", ip+"/128", "via", gateway6))
			}
			silent(t, n+": a neighbour through the host", from(h, one, page6(ip, 80)))
		}
	})
}

// TestIPv6GatewayModes: who has a route reaches published ports of a routed network,
// and all ports of an unprotected one. Other networks reach neither directly.
func TestIPv6GatewayModes(t *testing.T) {
	bothBridgeNF(t, func(t *testing.T, h *host.Host) {
		if err := h.ServeAddr(host.Outside, "["+outside6+"]:8000"); err != nil {
			t.Fatal(err)
		}
		create6(t, h, "other", 3)
		create6(t, h, "routed", 1, "-o", "gateway_mode_ipv6=routed")
		create6(t, h, "bare", 2, "-o", "gateway_mode_ipv6=nat-unprotected")
		other := runIdle(t, h, "other1", "--net", "other")
		routed, bare := runWeb(t, h, "routed1", "--net", "routed"), runWeb(t, h, "bare1", "--net", "bare")
		must(t, h.Outside("ip", "-6", "route", "add", "fd17::/16", "via", host6))
		ip, bareIP := ownIP6(t, h, "routed1"), ownIP6(t, h, "bare1")
		silent(t, "outside to a port of the routed network that is not published", from(h, host.Outside, page6(ip, 80)))
		must(t, h.Outside("sh", "-c", "busybox ping6 -c 1 -W 2 "+ip+" || ping -6 -c 1 -W 2 "+ip))
		reaches(t, "the routed network to the outside", from(h, routed, page6(outside6, 8000)), ip)
		reaches(t, "outside to the unprotected network", from(h, host.Outside, page6(bareIP, 80)), outside6)
		reaches(t, "the unprotected network to the outside", from(h, bare, page6(outside6, 8000)), host6)
		for what, addr := range map[string]string{"routed": ip, "unprotected": bareIP} {
			silent(t, "another network to the "+what+" one", from(h, other, page6(addr, 80)))
		}
		// Whichever network comes first.
		create6(t, h, "late", 4)
		late := runWeb(t, h, "late1", "--net", "late")
		silent(t, "a later network to the unprotected one", from(h, late, page6(bareIP, 80)))
		reaches(t, "the unprotected network, once more", from(h, host.Outside, page6(bareIP, 80)), outside6)
		silent(t, "outside to a protected network", from(h, host.Outside, page6(ownIP6(t, h, "other1"), 80)))
	})
}

// TestIPv6RulesComeBack: after somebody flushed the rules of IPv6, the next start on
// a network with IPv6, reload and doctor put all of them back.
func TestIPv6RulesComeBack(t *testing.T) {
	eachBackend6(t, checkComeBack6)
}

func checkComeBack6(t *testing.T, h *host.Host, b host.Backend) {
	if err := h.ServeAddr(host.Outside, "["+outside6+"]:8000"); err != nil {
		t.Fatal(err)
	}
	create6(t, h, "red", 1)
	create6(t, h, "closed", 2, "--internal")
	pid := runWeb(t, h, "web", "--net", "red")
	runIdle(t, h, "shut", "--net", "closed")
	// The networks' rules come in the order of their ids, whichever came up first;
	// doctor says whether the order is right.
	save := "ip6tables-save | grep ^-A | sort"
	flush := "for t in raw nat filter; do ip6tables -t $t -F; ip6tables -t $t -X; done"
	if b == host.Native {
		save, flush = "nft -s list table "+table6+" | sort", "nft delete table "+table6
	}
	look := func() string { return must(t, h.Exec("sh", "-c", save)) }
	whole := look()
	if strings.Count(whole, "mini:") < 10 {
		t.Fatalf("the rules of IPv6 are\n%s", whole)
	}
	for what, repair := range map[string][]string{
		"start": {"run", "--rm", "--net", "red", "busybox", "true"}, "reload": {"network", "reload"}, "doctor": {"doctor", "--fix"},
	} {
		must(t, h.Exec("sh", "-ec", flush))
		if r := h.Run("doctor"); r.Code != 1 || !strings.Contains(r.Stdout, "chain DOCKER-RAW of table raw of IPv6") {
			t.Errorf("doctor after a flush: %v", r)
		}
		if r := h.Run(repair...); r.Code != 0 {
			t.Errorf("%s: %v", what, r)
		}
		if now := look(); now != whole {
			t.Errorf("after %s the rules are\n%s\nwant\n%s", what, now, whole)
		}
		reaches(t, "the outside, after "+what, from(h, pid, page6(outside6, 8000)), host6)
		if r := h.Run("doctor"); r.Code != 0 {
			t.Errorf("doctor after %s: %v", what, r)
		}
	}
}

// TestIPv6RulesGo: with the last network all rules and chains of IPv6 go; those of
// others, and a policy, stay.
func TestIPv6RulesGo(t *testing.T) {
	eachBackend6(t, func(t *testing.T, h *host.Host, b host.Backend) {
		const theirs = "ip6tables -P FORWARD DROP; ip6tables -A FORWARD -s 2001:db8::/32 -j ACCEPT; ip6tables -t nat -A POSTROUTING -o other0 -j MASQUERADE"
		must(t, h.Exec("sh", "-ec", theirs))
		look := func() string {
			return must(t, h.Exec("sh", "-c", "ip6tables-save | grep -e ^-A -e ^:FORWARD -e ^:DOCKER | sed 's/\\[.*//'"))
		}
		before := look()
		if err := h.ServeAddr(host.Outside, "["+outside6+"]:8000"); err != nil {
			t.Fatal(err)
		}
		must(t, h.Run("network", "create", "plain"))
		runIdle(t, h, "four", "--net", "plain")
		if now := look(); now != before {
			t.Errorf("a network without IPv6 changed the rules of IPv6:\n%s", now)
		}
		create6(t, h, "red", 1)
		pid := runWeb(t, h, "web", "--net", "red")
		if b != host.Native { // what another table drops stays dropped
			reaches(t, "the outside, though FORWARD drops by default", from(h, pid, page6(outside6, 8000)), host6)
		}
		must(t, h.Run("rm", "-f", "web", "four"))
		must(t, h.Run("network", "prune", "-f"))
		if now := look(); now != before {
			t.Errorf("left:\n%s\nbefore:\n%s", now, before)
		}
		if r := h.Exec("sh", "-c", "nft list tables | grep mini"); r.Out() != "" {
			t.Errorf("left: %v", r)
		}
		must(t, h.Exec("sh", "-ec", "ip6tables -P FORWARD ACCEPT; ip6tables -F FORWARD; ip6tables -t nat -F POSTROUTING"))
	})
}
