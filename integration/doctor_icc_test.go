package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// portDamages are what goes wrong with the ports of a bridge whose containers are kept
// apart.
var portDamages = []damage{
	{"ip link del apart", "network red: the bridge apart is gone"},
	{"for c in $CABLES; do ip link set $c nomaster; done", "is not plugged into apart"},
	{"tc qdisc del dev $CABLE clsact", "container one: the port $CABLE has lost the filter that hands packets to the host"},
	{"tc filter del dev $CABLE ingress protocol ipv6 pref 2", "container one: the port $CABLE has lost the filter that hands packets to the host"},
	{"bridge fdb del $MAC dev $CABLE master", "container one: the port $CABLE has lost the entry that tells the bridge where $MAC is"},
	{"for c in $CABLES; do tc qdisc del dev $c clsact; bridge link set dev $c isolated off hairpin off; done", "container one: the port $CABLE has lost its hairpin mode"},
}

// repairs are the ways to have a damage repaired.
var repairs = map[string]func(testing.TB, *host.Host) host.Result{
	"doctor --fix": func(_ testing.TB, h *host.Host) host.Result { return h.Run("doctor", "--fix") },
	"the script": func(t testing.TB, h *host.Host) host.Result {
		return h.Exec("sh", "-c", must(t, h.Run("doctor", "--fix", "--dry-run")))
	},
	"reload": func(_ testing.TB, h *host.Host) host.Result { return h.Run("network", "reload") },
}

// TestDoctorWithoutICC damages a network whose containers are kept apart, and which has
// three of them. Doctor names each damage, and repairs it for all, by itself or by its
// script; so does a reload.
func TestDoctorWithoutICC(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.IPv6(), host.BridgeNF(true))
	must(t, h.Run("network", "create", "--ipv6", "--subnet", redSix, "--subnet", "10.61.0.0/24", "-o", "icc=false", "-o", "bridge_name=apart", "red"))
	pids := map[string]int{}
	for i, name := range []string{"one", "two", "three"} {
		pids[name] = runWeb(t, h, name, "--net", "red", "-p", fmt.Sprint(8080+i, ":80"))
	}
	works := func(when string) {
		t.Helper()
		if r := h.Run("doctor"); r.Code != 0 || r.Out() != "all is well" {
			t.Errorf("%s: %v", when, r)
		}
		for name, pid := range pids {
			for port := 8080; port < 8083; port++ {
				if _, err := getIn(h, pid, fmt.Sprintf("http://%s:%d%s", hostIP, port, addrPage), patience); err != nil {
					t.Errorf("%s: %s to port %d: %v", when, name, port, err)
				}
				reaches(t, fmt.Sprintf("%s: %s to port %d by IPv6", when, name, port), from(h, pid, page6(hostSix, port)), "fd00:1::1")
			}
		}
	}
	works("at first")
	for _, d := range portDamages {
		var cables []string
		for name := range pids {
			cables = append(cables, cableOf(t, h, "red", name))
		}
		mac := must(t, h.Run("inspect", "-f", "{{.NetworkSettings.Networks.red.MacAddress}}", "one"))
		vars := strings.NewReplacer("$CABLES", strings.Join(cables, " "), "$CABLE", cableOf(t, h, "red", "one"), "$MAC", mac)
		script, says := vars.Replace(d.script), vars.Replace(d.says)
		for how, repair := range repairs {
			must(t, h.Exec("sh", "-ec", script))
			if r := h.Run("doctor"); r.Code != 1 || !strings.Contains(r.Stdout, says) {
				t.Errorf("after %s: want %q\n%v", script, says, r)
			}
			must(t, repair(t, h))
			works(how + " after " + script)
			if t.Failed() {
				t.FailNow()
			}
		}
	}
}
