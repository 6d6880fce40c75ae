package integration

import (
	"strings"
	"syscall"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// TestMacvlan: a container on the host's own link, with an address of its network.
func TestMacvlan(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("network", "create", "-d", "macvlan", "-o", "parent=uplink0", "--subnet", "192.0.2.0/24", "--gateway", outside,
		"--ip-range", "192.0.2.64/26", "--aux-address", "host="+hostIP, "lan"))
	wantOut(t, h.Run("network", "ls", "--filter", "driver=macvlan", "--format", "{{.Name}} {{.Driver}}"), "lan macvlan")
	runWeb(t, h, "web", "--net", "lan")
	runIdle(t, h, "peer", "--net", "lan")
	wantOut(t, h.Run("inspect", "-f", "{{.NetworkSettings.Networks.lan.IPAddress}} {{.NetworkSettings.Networks.lan.Gateway}}", "web"), "192.0.2.64 "+outside)
	wantAddr(t, h, host.Outside, "http://192.0.2.64"+addrPage, outside)
	wantOut(t, h.Run("exec", "peer", "wget", "-qO-", "http://web"+addrPage), "[::ffff:192.0.2.65]")
	wantName(t, h, initPid(t, h, "peer"), "web.lan", "192.0.2.64")
	wantNoName(t, h, initPid(t, h, "peer"), "host.mini.internal") // its gateway is not the host
	if _, err := getFrom(h, host.Inside, "http://192.0.2.64/", silence); !unanswered(err) {
		t.Errorf("the host reaches its macvlan child: %v", err)
	}
	if rules := must(t, h.Exec("iptables-save")); strings.Contains(rules, "mini:") {
		t.Errorf("a macvlan has rules:\n%s", rules)
	}
	wantOut(t, h.Run("doctor"), "all is well")

	// It comes and goes while the container runs, also beside a bridge.
	runIdle(t, h, "both", "-p", "8080:80")
	must(t, h.Run("network", "connect", "--ip", "192.0.2.99", "lan", "both"))
	wantOut(t, h.Run("exec", "both", "sh", "-c", "ip -o -4 addr show eth1 | sed 's/.*inet //; s/ .*//'"), "192.0.2.99/24")
	must(t, h.Run("network", "disconnect", "lan", "both"))
	wantOut(t, h.Run("exec", "both", "ls", "/sys/class/net"), "eth0\nlo")
	fails(t, h.Run("network", "rm", "lan"), 1, "active endpoints")

	// A dead monitor's address is free again.
	if err := syscall.Kill(monitorPid(t, h, "web"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, h, "web", "exited")
	must(t, h.Run("run", "--rm", "--net", "lan", "--ip", "192.0.2.64", "busybox", "true"))
	must(t, h.Run("restart", "-t", "0", "peer"))
	must(t, h.Run("rm", "-f", "web", "peer", "both"))
	must(t, h.Run("network", "rm", "lan"))
}

// TestMACsOfIPv6Differ: networks of IPv6 alone on one parent number their
// containers alike, and these share a wire all the same.
func TestMACsOfIPv6Differ(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.IPv6())
	for _, net := range []string{"one", "two"} {
		must(t, h.Run("network", "create", "-d", "macvlan", "-o", "parent=uplink0", "--ipv6", "--ipv4=false",
			"--subnet", map[string]string{"one": "fd00:1::/64", "two": "fd00:2::/64"}[net], net))
		runIdle(t, h, "on-"+net, "--net", net)
		wantPing(t, h, "on-"+net, networkField(t, h, net, "{{range .Containers}}{{slice .IPv6Address 0 9}}{{end}}"))
	}
	macs := must(t, h.Run("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}} {{.MacAddress}}{{end}}", "on-one", "on-two"))
	if f := strings.Fields(macs); len(f) != 4 || f[0] != "fd00:1::2" || f[2] != "fd00:2::2" || f[1] == f[3] {
		t.Errorf("got %q, want two addresses with a MAC address each", macs)
	}
}
