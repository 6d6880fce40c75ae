package integration

import (
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// TestOneFirewallDriverAtATime: the driver of the networks that are up is used,
// and another one is refused, until they are down.
func TestOneFirewallDriverAtATime(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.Iptables(host.NFT))
	must(t, h.Run("network", "create", "red"))
	runWeb(t, h, "web", "-p", "8080:80")
	for _, network := range []string{"red", "bridge"} {
		fails(t, h.Run("--firewall-driver", "nftables", "run", "--rm", "--net", network, "busybox", "true"), 125,
			"networks are up with the firewall driver iptables")
	}
	wantOut(t, h.Run("--firewall-driver", "nftables", "info", "-f", "{{.FirewallBackend.Driver}}"), "iptables")
	fails(t, h.Run("--firewall-driver", "ipfw", "network", "ls"), 1, `invalid firewall driver "ipfw": want iptables or nftables`)
	must(t, h.Run("rm", "-f", "web"))
	must(t, h.Run("network", "prune", "-f"))
	must(t, h.Run("network", "create", "red"))
	must(t, h.Run("--firewall-driver", "nftables", "run", "-d", "--name", "idle", "--net", "red", "busybox", "sleep", "1000"))
	// Without the flag, what is in use.
	wantOut(t, h.Run("info", "-f", "{{.FirewallBackend.Driver}}"), "nftables")
	runWeb(t, h, "web", "-p", "8080:80")
	wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
	if rules := must(t, h.Exec("iptables-save")); strings.Contains(rules, "mini:") {
		t.Errorf("two drivers at a time:\n%s", rules)
	}
	must(t, h.Run("rm", "-f", "web", "idle"))
	must(t, h.Run("network", "prune", "-f"))
	if tables := must(t, h.Exec("nft", "list", "tables")); strings.Contains(tables, "mini") {
		t.Errorf("left behind:\n%s", tables)
	}
}
