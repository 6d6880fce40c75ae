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

// TestMacvlanClashes: what the kernel calls an invalid argument is explained.
func TestMacvlanClashes(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	create := func(name, mode, subnet string) {
		must(t, h.Run("network", "create", "-d", "macvlan", "-o", "parent=uplink0", "-o", "macvlan_mode="+mode, "--subnet", subnet, name))
	}
	create("lan", "bridge", "10.1.0.0/24")
	create("alone", "passthru", "10.2.0.0/24")
	run := func(args ...string) host.Result {
		return h.Run(append(append([]string{"run", "--rm"}, args...), "busybox", "true")...)
	}
	runIdle(t, h, "first", "--net", "name=lan,mac-address=02:00:00:00:00:11")
	fails(t, run("--net", "alone"), 125, "the mode passthru wants uplink0 for one container alone, and it has another macvlan link")
	fails(t, run("--net", "name=lan,mac-address=02:00:00:00:00:11"), 125, "another macvlan link on it, has the MAC address 02:00:00:00:00:11: choose one with --mac-address")
	must(t, h.Run("rm", "-f", "first"))
	runIdle(t, h, "second", "--net", "alone")
	for range 4 { // its own former link, which is about to go, is no clash
		must(t, h.Run("restart", "-t", "0", "second"))
	}
	fails(t, run("--net", "lan"), 125, "perhaps uplink0 has a macvlan link of the mode passthru, which wants it alone")
	must(t, h.Run("rm", "-f", "second"))
	runIdle(t, h, "third", "--net", "name=lan,ip=10.1.0.9")
	for range 4 {
		must(t, h.Run("restart", "-t", "0", "third"))
	}
}
