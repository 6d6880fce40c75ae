package integration

import (
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// TestPortReach: port --explain and inspect say who can reach a port; port
// itself prints what Docker does.
func TestPortReach(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	runIdle(t, h, "web", "-p", "8080:80", "-p", "127.0.0.1:8081:80", "-p", "192.0.2.1:5353:53/udp")
	wantOut(t, h.Run("port", "web"), "53/udp -> 192.0.2.1:5353\n80/tcp -> 0.0.0.0:8080\n80/tcp -> 127.0.0.1:8081")
	const narrow = "\nRules of the administrator in the chain DOCKER-USER may narrow this."
	wantOut(t, h.Run("port", "--explain", "web"), "53/udp -> 192.0.2.1:5353: everybody who reaches 192.0.2.1\n"+
		"80/tcp -> 0.0.0.0:8080: everybody who reaches this host\n80/tcp -> 127.0.0.1:8081: this host only"+narrow)
	wantOut(t, h.Run("port", "--explain", "web", "53/udp"), "53/udp -> 192.0.2.1:5353: everybody who reaches 192.0.2.1"+narrow)
	wantOut(t, h.Run("inspect", "-f", "{{range .NetworkSettings.PortReach}}{{.Port}} {{.At}} {{.Reach}}, {{end}}", "web"),
		"80/tcp 0.0.0.0:8080 everybody who reaches this host, 80/tcp 127.0.0.1:8081 this host only, 53/udp 192.0.2.1:5353 everybody who reaches 192.0.2.1,")
	must(t, h.Run("network", "create", "--subnet", "10.1.0.0/24", "-o", "gateway_mode=routed", "routed"))
	must(t, h.Run("run", "-d", "--name", "db", "--net", "routed", "-p", "80", "busybox", "sleep", "1000"))
	wantOut(t, h.Run("port", "--explain", "db"), "80/tcp -> 10.1.0.2:80: everybody who has a route to it"+narrow)
	wantOut(t, h.Run("port", "--explain", "web", "81"), "")
}

// TestNoteBesideUfw is for people, on standard error, and once. With the nftables
// driver there is none: what ufw drops is dropped there, whatever mini accepts.
func TestNoteBesideUfw(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.Iptables(host.NFT))
	runIdle(t, h, "other") // brings the network up
	must(t, h.Exec("sh", "-c", "iptables -N ufw-before-forward && iptables -A FORWARD -j ufw-before-forward"))
	note := "note: ufw is active, but does not filter published ports: 0.0.0.0:8080->80/tcp is open to everybody who reaches this host."
	r := h.Run("run", "--rm", "-p", "8080:80", "busybox", "echo", "hello")
	if r.Code != 0 || r.Stdout != "hello\n" || strings.Count(r.Stderr, "ufw") != 1 || !strings.HasPrefix(r.Stderr, note) {
		t.Errorf("%v", r)
	}
	for _, args := range [][]string{
		{"run", "--rm", "busybox", "true"},
		{"run", "--rm", "-p", "127.0.0.1:8080:80", "busybox", "true"},
		{"--log-level", "warn", "run", "--rm", "-p", "8080:80", "busybox", "true"},
		{"port", "add", "other", "127.0.0.1:8081:80"},
	} {
		if r := h.Run(args...); r.Code != 0 || r.Stderr != "" {
			t.Errorf("%v", r)
		}
	}
	if r := h.Run("port", "add", "other", "8080:80"); r.Code != 0 || r.Out() != "80/tcp -> 0.0.0.0:8080" || !strings.HasPrefix(r.Stderr, note) {
		t.Errorf("%v", r)
	}
	must(t, h.Exec("sh", "-c", "iptables -D FORWARD -j ufw-before-forward && iptables -X ufw-before-forward"))
}
