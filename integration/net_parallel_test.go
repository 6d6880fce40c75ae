package integration

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// TestThirtyAtOnce: 30 containers started at once have 30 addresses and ports,
// all serve, and removing them at once leaves nothing.
func TestThirtyAtOnce(t *testing.T) {
	for _, backend := range host.Backends {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			thirty(t, busyboxHost(t, host.Iptables(backend)))
		})
	}
}

// atOnce does n things side by side.
func atOnce(n int, do func(i int) host.Result) []host.Result {
	var wg sync.WaitGroup
	results := make([]host.Result, n)
	for i := range n {
		wg.Go(func() { results[i] = do(i) })
	}
	wg.Wait()
	return results
}

func thirty(t *testing.T, h *host.Host) {
	const n = 30
	all := func(f func(name string) host.Result) {
		t.Helper()
		for _, r := range atOnce(n, func(i int) host.Result { return f(fmt.Sprint("c", i)) }) {
			wantCode(t, r, 0)
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	// The network is not up: all of them want to be the one that brings it up.
	serve := "echo I am $NAME >/www/index.html; exec httpd -f -p 80 -h /www"
	all(func(name string) host.Result {
		return h.Run("run", "-d", "--name", name, "-e", "NAME="+name, "-p", "80", "busybox", "sh", "-c", serve)
	})
	ips, ports := map[string]string{}, map[string]string{}
	for i := range n {
		name := fmt.Sprint("c", i)
		ip := must(t, h.Run("inspect", "-f", "{{.NetworkSettings.IPAddress}}", name))
		if other, taken := ips[ip]; taken || ip == "" {
			t.Errorf("%s and %s have the address %q", name, other, ip)
		}
		ips[ip] = name
		port := strings.TrimPrefix(must(t, h.Run("port", name, "80")), "0.0.0.0:")
		if other, taken := ports[port]; taken || port == "" {
			t.Errorf("%s and %s have the port %q", name, other, port)
		}
		ports[port] = name
	}
	for port, name := range ports {
		for from, addr := range map[host.Place]string{host.Inside: "127.0.0.1", host.Outside: hostIP} {
			host.Eventually(t, patience, func() error {
				got, err := getFrom(h, from, "http://"+addr+":"+port+"/", patience)
				if err == nil && got != "I am "+name {
					err = fmt.Errorf("port %s from %v is answered with %q, want %s", port, from, got, name)
				}
				return err
			})
		}
	}
	if got := publishedRules(t, h); got != n {
		t.Errorf("there are %d DNAT rules, want %d", got, n)
	}
	all(func(name string) host.Result { return h.Run("rm", "-f", name) })
	wantOut(t, h.Run("ps", "-a", "-q"), "")
	if got := publishedRules(t, h); got != 0 {
		t.Errorf("%d DNAT rules are left", got)
	}
	if got := networkField(t, h, "bridge", "{{len .Containers}}"); got != "0" {
		t.Errorf("the network still has %s containers", got)
	}
}

// TestNetworksAtOnce: networks created, used and removed at once do not
// disturb each other, and no two overlap.
func TestNetworksAtOnce(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	results := atOnce(8, func(i int) (routes host.Result) {
		name := fmt.Sprint("net", i)
		for _, args := range [][]string{
			{"network", "create", name},
			{"run", "--rm", "--net", name, "-p", "80", "busybox", "ip", "route"},
			{"network", "rm", name},
		} {
			r := h.Run(args...)
			if r.Code != 0 {
				return r
			}
			if args[0] == "run" {
				routes = r
			}
		}
		return routes
	})
	seen := map[string]bool{}
	for _, r := range results {
		wantCode(t, r, 0)
		if seen[r.Stdout] {
			t.Errorf("two networks have these routes: %s", r.Stdout)
		}
		seen[r.Stdout] = true
	}
	if rules := must(t, h.Exec("iptables-save")); strings.Contains(rules, "mini:") {
		t.Errorf("rules are left:\n%s", rules)
	}
}

// TestOnlyOneGetsThePort when several ask for the same.
func TestOnlyOneGetsThePort(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	results := atOnce(6, func(i int) host.Result {
		return h.Run("run", "-d", "--rm", "--name", fmt.Sprint("c", i), "-p", "8080:80", "busybox", "sleep", "1000")
	})
	won := 0
	for _, r := range results {
		if r.Code == 0 {
			won++
			continue
		}
		fails(t, r, 125, "Bind for 0.0.0.0:8080 failed: port is already allocated")
	}
	if won != 1 {
		t.Errorf("%d containers got the port, want 1", won)
	}
	if n := publishedRules(t, h); n != 1 {
		t.Errorf("%d rules publish the port, want 1", n)
	}
}
