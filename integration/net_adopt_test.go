package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// TestAdoptedBridge: a network on a bridge that is there, by the command line. In
// the end the bridge is as it was.
func TestAdoptedBridge(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Exec("sh", "-c", `ip link add br0 type bridge; ip addr add 10.50.0.7/24 dev br0; ip link set br0 up
		ip link add lan0 master br0 up type veth peer name lan1; ip link set lan1 up`))
	host.Eventually(t, patience, func() error { // IPv6 has its address, and the carrier is there
		if now := must(t, h.Exec("ip", "-o", "addr", "show", "dev", "br0", "up")); !strings.Contains(now, "inet6") || strings.Contains(now, "tentative") {
			return fmt.Errorf("the bridge is not settled:\n%s", now)
		}
		return nil
	})
	before := must(t, h.Exec("sh", "-c", "ip -br link show br0; ip -br addr show br0"))
	must(t, h.Run("network", "create", "-o", "com.docker.network.bridge.name=br0", "office"))
	if got := networkField(t, h, "office", "{{(index .IPAM.Config 0).Subnet}} {{(index .IPAM.Config 0).Gateway}}"); got != "10.50.0.0/24 10.50.0.7" {
		t.Errorf("got %s, want the bridge's subnet and address", got)
	}
	fails(t, h.Run("network", "create", "-o", "bridge_name=br0", "second"), 1, "network office has the bridge br0 already")
	r := h.Run("network", "up", "--explain", "office")
	if r.Code != 0 || !strings.Contains(r.Stderr, "use bridge br0, which is there") || strings.Contains(r.Stderr, "ip link add") {
		t.Errorf("the explanation: %v", r)
	}
	runWeb(t, h, "web", "--net", "office", "-p", "8080:80")
	wantAddr(t, h, host.Outside, "http://"+hostIP+":8080"+addrPage, outside)
	must(t, h.Run("doctor"))
	must(t, h.Run("rm", "-f", "web"))
	must(t, h.Run("network", "rm", "office"))
	host.Eventually(t, patience, func() error { // the kernel notes a missing carrier a moment later
		if now := must(t, h.Exec("sh", "-c", "ip -br link show br0; ip -br addr show br0")); now != before {
			return fmt.Errorf("the bridge is\n%s\nwas\n%s", now, before)
		}
		return nil
	})
	must(t, h.Exec("sh", "-c", "ip link delete br0; ip link delete lan0"))
}
