package integration

import (
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// helps wants doctor to say something that is not mini's to repair, and does by hand
// what it says would be.
func helps(t *testing.T, h *host.Host, says string) {
	t.Helper()
	r := h.Run("doctor", "--fix")
	if r.Code != 1 || !strings.Contains(r.Stdout, says) || !strings.Contains(r.Stdout, "Not mini's to repair") {
		t.Fatalf("want %q\n%v", says, r)
	}
	must(t, h.Exec("sh", "-ec", "mini() { "+strings.Join(h.Mini().Args, " ")+` "$@"; }`+"\n"+h.Run("doctor", "--format", "{{range .Repair}}{{println .}}{{end}}").Out()))
	wantOut(t, h.Run("doctor"), "all is well")
}

// TestDoctorOnFoundBridge: what a bridge of somebody else has lost is its owner's to
// put back; what mini gave it is mini's.
func TestDoctorOnFoundBridge(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.IPv6())
	must(t, h.Exec("sh", "-ec", "ip link add br0 type bridge; ip addr add 10.50.0.7/24 dev br0; ip addr add 10.50.0.8/24 dev br0; ip link set br0 up"))
	must(t, h.Run("network", "create", "--ipv6", "--subnet", "10.50.0.0/24", "--subnet", redSix, "-o", "bridge_name=br0", "office"))
	pid := runIdle(t, h, "web", "--net", "office")
	wantOut(t, h.Run("doctor"), "all is well")
	must(t, h.Exec("ip", "-4", "addr", "del", "10.50.0.7/24", "dev", "br0"))
	helps(t, h, "network office: the bridge br0, which is not mini's, has lost the address 10.50.0.7/24: its containers have no gateway")
	must(t, inNet(h, pid, "busybox", "ping", "-c", "1", "-W", "3", hostIP))

	must(t, h.Exec("ip", "-6", "addr", "flush", "dev", "br0", "scope", "global"))
	if r := h.Run("doctor"); r.Code != 1 || !strings.Contains(r.Stdout, "network office: the bridge br0 has lost the address fd00:1::1/64") {
		t.Errorf("%v", r)
	}
	must(t, h.Run("doctor", "--fix"))
	must(t, h.Run("rm", "-f", "web"))
	must(t, h.Run("network", "rm", "office"))
	must(t, h.Exec("ip", "link", "del", "br0"))
}

// TestDoctorOnForeignCable: somebody's link that has taken the name of a cable is moved
// out of the way by the commands that doctor prints, and stays.
func TestDoctorOnForeignCable(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	pid := runIdle(t, h, "web")
	cable := cableOf(t, h, "bridge", "web")
	must(t, h.Exec("sh", "-ec", "ip link del "+cable+"; ip link add "+cable+" type veth peer name other; ip link set "+cable+" up alias mine"))
	helps(t, h, "container web: its cable "+cable+" is gone, and somebody else's link has that name")
	must(t, inNet(h, pid, "busybox", "ping", "-c", "1", "-W", "3", hostIP))
	must(t, h.Exec("ip", "link", "del", "other"))
}

// TestDoctorSaysAddresses: a bridge without an address is not said to have one.
func TestDoctorSaysAddresses(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	for name, flags := range map[string][]string{
		"shut":  {"--internal", "-o", "gateway_mode=isolated"},
		"bare":  {"-o", "inhibit_ipv4=true"},
		"usual": {"--subnet", "10.51.0.0/24"},
	} {
		must(t, h.Run(append(append([]string{"network", "create"}, flags...), name)...))
		must(t, h.Run("network", "up", name))
	}
	out := must(t, h.Run("doctor", "-v"))
	for name, says := range map[string]string{"shut": "without an address", "bare": "without an address", "usual": "10.51.0.1/24"} {
		found := false
		for line := range strings.Lines(out) {
			found = found || strings.Contains(line, "network "+name+": bridge ") && strings.HasSuffix(strings.TrimSpace(line), ", "+says)
		}
		if !found {
			t.Errorf("network %s: want %q in\n%s", name, says, out)
		}
	}
}
