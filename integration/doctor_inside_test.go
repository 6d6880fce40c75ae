package integration

import (
	"strconv"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// insideDamages are what whoever is root in a container can do to its names.
var insideDamages = []damage{
	{"nft flush ruleset", "container one: the rules that lead to mini's name server are gone"},
	{"nft flush chain ip mini names", "container one: the rules that lead to mini's name server are gone"},
	{"nft delete table ip mini; nft add table ip mini; nft add table ip own", "container one: the rules that lead to mini's name server are gone"},
	{"ip link set lo down", "container one: its lo is down"},
	{"ip link set lo down; nft flush ruleset; ip route del default", "container one: its lo is down"},
}

// TestDoctorOnNames: a container that has lost the way to its name server gets it back,
// and nothing of its own goes.
func TestDoctorOnNames(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	h.Allow(host.SecMounts, "/run/netns ", "ip netns attach, in the scripts, keeps its names there")
	h.Allow(host.SecRun, "/run/netns/$", "ip netns attach, in the scripts, keeps its names there")
	must(t, h.Run("network", "create", "red"))
	pid := runIdle(t, h, "one", "--net", "red")
	runIdle(t, h, "two", "--net", "red")
	// A socket of the container's own at that address is not mini's.
	must(t, h.Run("exec", "-d", "one", "busybox", "nc", "-l", "-s", "127.0.0.11", "-p", "5353"))
	for i, d := range insideDamages {
		must(t, h.Exec("nsenter", "-n", "-t", strconv.Itoa(pid), "sh", "-ec", d.script))
		if r := h.Run("doctor"); r.Code != 1 || !strings.Contains(r.Stdout, d.says) {
			t.Errorf("after %s: want %q\n%v", d.script, d.says, r)
		}
		how := "doctor --fix"
		if i%2 == 1 {
			how = "the script"
		}
		must(t, repairs[how](t, h))
		wantOut(t, h.Run("doctor"), "all is well")
		must(t, h.Run("exec", "one", "busybox", "ping", "-c", "1", "-W", "3", "two"))
	}
	must(t, h.Exec("nsenter", "-n", "-t", strconv.Itoa(pid), "nft", "add", "table", "ip", "own"))
	must(t, h.Exec("nsenter", "-n", "-t", strconv.Itoa(pid), "nft", "delete", "table", "ip", "mini"))
	must(t, h.Run("doctor", "--fix"))
	must(t, h.Exec("nsenter", "-n", "-t", strconv.Itoa(pid), "nft", "list", "table", "ip", "own"))
}
