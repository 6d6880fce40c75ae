package network

import (
	"strings"
	"testing"
)

// without deletes the rules of a table that have these words, and gives a
// function that puts them back.
func (w *world) without(table, words string) (restore func()) {
	w.t.Helper()
	iptables := w.m.opt.IPTables + " -t " + table + " "
	var found []string
	for _, line := range strings.Split(w.sh(iptables+"-S"), "\n") {
		if strings.HasPrefix(line, "-A ") && strings.Contains(line, words) {
			found = append(found, strings.TrimPrefix(line, "-A "))
		}
	}
	if len(found) == 0 {
		w.t.Fatalf("table %s has no rule with %q", table, words)
	}
	for _, r := range found {
		w.sh(iptables + "-D " + r)
	}
	return func() {
		for _, r := range found {
			w.sh(iptables + "-A " + r)
		}
	}
}

// TestGuardOfLoopbackPorts: a port that is published on 127.0.0.1 is not reached
// from outside, also where somebody, as kube-proxy does, has set route_localnet
// on the host's link.
func TestGuardOfLoopbackPorts(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			a := w.start(w.find(Bridge), "a", "127.0.0.1:8081:80")
			w.serveIn(a)
			w.sh("sysctl -qw net.ipv4.conf.uplink0.route_localnet=1")
			w.in(w.outside, func() error {
				w.sh("sysctl -qw net.ipv4.conf.up0.route_localnet=1; ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.1 via " + hostAddr + " src " + outsideAddr)
				return nil
			})
			restore := w.without("raw", "-d 127.0.0.0/8 ! -i lo")
			w.answers("outside, without the guard", w.outside, "127.0.0.1:8081", outsideAddr)
			restore()
			w.blocked("outside, with the guard", w.outside, "127.0.0.1:8081")
		})
	}
}

// TestGuardOfContainerAddresses: who has a route to a container's address does
// not reach it, thanks to either of two rules.
func TestGuardOfContainerAddresses(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			a := w.start(w.find(Bridge), "a", "8080:80")
			w.serveIn(a)
			w.in(w.outside, func() error { w.sh("ip route add 172.17.0.0/24 via " + hostAddr); return nil })
			attack := w.addr(a) + ":80"
			early := w.without("raw", "-d 172.17.0.0/24 ! -i mini0")
			late := w.without("filter", "! -i mini0 -o mini0")
			w.answers("outside, without both guards", w.outside, attack, outsideAddr)
			early()
			w.blocked("outside, with the rule in raw", w.outside, attack)
			w.without("raw", "-d 172.17.0.0/24 ! -i mini0")
			late()
			w.blocked("outside, with the rule in filter", w.outside, attack)
			w.answers("outside, by the published port", w.outside, hostAddr+":8080", outsideAddr)
		})
	}
}

// TestGuardOfForgedLoopback: a neighbour that claims to be 127.0.0.1 is not heard.
func TestGuardOfForgedLoopback(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			a := w.start(w.find(Bridge), "a")
			// The host counts what comes from 127.0.0.1 through the bridge.
			w.sh("sysctl -qw net.ipv4.conf.mini0.route_localnet=1")
			count := func() string {
				return w.sh(backend + " -t mangle -L PREROUTING -v -x -n | awk '/127.0.0.0/ {print $1}'")
			}
			w.sh(backend + " -t mangle -A PREROUTING -i mini0 -s 127.0.0.0/8")
			shoot := func() {
				w.in(a.ns, func() error {
					w.sh("ip addr add 127.9.9.9/32 dev eth0 2>/dev/null || true; ip addr show eth0 >/dev/null; sysctl -qw net.ipv4.conf.all.route_localnet=1; busybox timeout 1 busybox ping -c1 -W1 -I 127.9.9.9 172.17.0.1 || true")
					return nil
				})
			}
			restore := w.without("raw", "-s 127.0.0.0/8 ! -i lo")
			if shoot(); strings.TrimSpace(count()) == "0" {
				t.Error("without the guard no forged packet arrives: this shows nothing")
			}
			restore()
			w.sh(backend + " -t mangle -Z PREROUTING")
			if shoot(); strings.TrimSpace(count()) != "0" {
				t.Errorf("with the guard %s forged packets pass", strings.TrimSpace(count()))
			}
		})
	}
}
