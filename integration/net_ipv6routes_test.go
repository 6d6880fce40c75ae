package integration

import (
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// wantRoutes checks a container's default routes, each "via ADDRESS dev LINK" or "",
// and that inspect says the same.
func wantRoutes(t testing.TB, h *host.Host, name, four, six string) {
	t.Helper()
	for flag, want := range map[string]string{"-4": four, "-6": six} {
		got := must(t, h.Run("exec", name, "sh", "-c", "ip "+flag+" route show default"))
		got = strings.TrimSpace(strings.TrimPrefix(got, "default"))
		if got, _, _ = strings.Cut(got, "  metric"); got != want {
			t.Errorf("ip %s: the default route is %q, want %q", flag, got, want)
		}
	}
	const show = `{{range .NetworkSettings.Networks}}{{if .DefaultRoute}}via {{.Gateway}} dev {{.Interface}}{{end}}{{end}},` +
		`{{range .NetworkSettings.Networks}}{{if .DefaultRoute6}}via {{.IPv6Gateway}} dev {{.Interface}}{{end}}{{end}}`
	wantOut(t, h.Run("inspect", "-f", show, name), four+","+six)
}

// familyHost has networks four and six of one family each, both of both, and one
// that is internal.
func familyHost(t testing.TB) *host.Host {
	t.Helper()
	h := busyboxHost(t, host.IPv6())
	must(t, h.Run("network", "create", "--subnet", "10.4.0.0/24", "four"))
	must(t, h.Run("network", "create", "--ipv6", "--ipv4=false", "--subnet", "fd00:6::/64", "six"))
	must(t, h.Run("network", "create", "--ipv6", "--subnet", "fd00:46::/64", "--subnet", "10.46.0.0/24", "both"))
	must(t, h.Run("network", "create", "--ipv6", "--internal", "--subnet", "fd00:5::/64", "--subnet", "10.5.0.0/24", "shut"))
	return h
}

const (
	byFour = "via 10.4.0.1 dev eth0"
	bySix  = "via fd00:6::1 dev eth1"
)

// TestGatewayOfEachFamily: IPv4 and IPv6 may leave by different networks, each by
// the highest gw-priority among those that have the family.
func TestGatewayOfEachFamily(t *testing.T) {
	t.Parallel()
	h := familyHost(t)
	runIdle(t, h, "one", "--net", "four", "--net", "six", "--net", "name=both,gw-priority=-1", "--net", "name=shut,gw-priority=9")
	wantRoutes(t, h, "one", byFour, bySix)
	wantPing(t, h, "one", worldSix)
	if got := must(t, h.Run("exec", "one", "cat", "/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "/proc/sys/net/ipv6/conf/eth1/disable_ipv6")); got != "1\n0" {
		t.Errorf("IPv6 is off on eth0 and eth1: %q, want 1 and 0", got)
	}
	runIdle(t, h, "two", "--net", "four", "--net", "six", "--net", "name=both,gw-priority=1")
	wantRoutes(t, h, "two", "via 10.46.0.1 dev eth2", "via fd00:46::1 dev eth2")
	must(t, h.Run("restart", "-t", "0", "one"))
	wantRoutes(t, h, "one", byFour, bySix)
	runIdle(t, h, "three", "--net", "shut")
	wantRoutes(t, h, "three", "", "")
	wantPing(t, h, "three", "one.shut")
}

// TestGatewaysMove of a running container, with connect and disconnect, each family
// by itself.
func TestGatewaysMove(t *testing.T) {
	t.Parallel()
	h := familyHost(t)
	runIdle(t, h, "one", "--net", "four")
	wantRoutes(t, h, "one", byFour, "")
	must(t, h.Run("network", "connect", "six", "one"))
	wantRoutes(t, h, "one", byFour, bySix)
	wantPing(t, h, "one", worldSix)
	must(t, h.Run("network", "connect", "--gw-priority", "-1", "both", "one"))
	wantRoutes(t, h, "one", byFour, bySix)
	must(t, h.Run("network", "disconnect", "both", "one"))
	r := h.Run("network", "connect", "--explain", "--gw-priority", "1", "both", "one")
	must(t, r)
	said := strings.Join(strings.Fields(r.Stderr), " ")
	for _, want := range []string{
		"== let network both take over from four", "== let network both take over from six",
		"Of the container's 3 networks with IPv6, both has the highest gw-priority, 1.",
		"ip -n mini-one route replace default via 10.46.0.1 dev eth2", "ip -n mini-one -6 route replace default via fd00:46::1 dev eth2",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("--explain does not say %q:\n%s", want, r.Stderr)
		}
	}
	wantRoutes(t, h, "one", "via 10.46.0.1 dev eth2", "via fd00:46::1 dev eth2")
	wantPing(t, h, "one", worldSix)
	must(t, h.Run("network", "disconnect", "both", "one"))
	wantRoutes(t, h, "one", byFour, bySix)
	must(t, h.Run("network", "disconnect", "six", "one"))
	wantRoutes(t, h, "one", byFour, "")
	must(t, h.Run("network", "disconnect", "four", "one"))
	wantRoutes(t, h, "one", "", "")
	must(t, h.Run("network", "connect", "both", "one"))
	wantRoutes(t, h, "one", "via 10.46.0.1 dev eth0", "via fd00:46::1 dev eth0")
	if hosts := must(t, h.Run("exec", "one", "cat", "/etc/hosts")); !strings.Contains(hosts, "\nfd00:46::") || strings.Contains(hosts, "fd00:6::") {
		t.Errorf("/etc/hosts is:\n%s", hosts)
	}
}

// TestGatewaysComeBack when a connection fails half way: of two networks that a third
// one takes over from, the second has lost its record.
func TestGatewaysComeBack(t *testing.T) {
	t.Parallel()
	h := familyHost(t)
	runWeb(t, h, "one", "--net", "four", "--net", "six", "-p", "8080:80")
	wantRoutes(t, h, "one", byFour, bySix)
	record := glob1(t, h.State+"/networks/"+networkField(t, h, "six", "{{.Id}}")+"/endpoints/*.json")
	must(t, h.Exec("mv", record, record+".away"))
	if r := h.Run("network", "connect", "--gw-priority", "1", "both", "one"); r.Code == 0 {
		t.Errorf("the connection does not fail: %v", r)
	}
	must(t, h.Exec("mv", record+".away", record))
	wantRoutes(t, h, "one", byFour, bySix)
	wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
	must(t, h.Run("network", "connect", "--gw-priority", "1", "both", "one"))
	wantRoutes(t, h, "one", "via 10.46.0.1 dev eth2", "via fd00:46::1 dev eth2")
}

// TestPortsOfOneFamily: where the network that publishes has no IPv6, and another one
// leads there, the user is told.
func TestPortsOfOneFamily(t *testing.T) {
	t.Parallel()
	h := familyHost(t)
	const note = "ports are published by network four, which has no IPv6, not by six"
	for flags, want := range map[string]bool{
		"--net four --net six -p 8080:80": true, "--net six --net four -p 8080:80": true,
		"--net four --net six": false, "--net four -p 8080:80": false, "--net six -p 8080:80": false,
		"--net name=both,gw-priority=1 --net six -p 8080:80": false, "--net four --net shut -p 8080:80": false,
	} {
		r := h.Run(append(append([]string{"run", "--rm"}, strings.Fields(flags)...), "busybox", "true")...)
		if must(t, r); strings.Contains(r.Stderr, note) != want {
			t.Errorf("%s: want a note: %t: %v", flags, want, r)
		}
	}
}

// TestNamesOfBothFamilies: a container asks for names in the networks it is on, and
// gets the addresses of the families that these have.
func TestNamesOfBothFamilies(t *testing.T) {
	t.Parallel()
	h := familyHost(t)
	runIdle(t, h, "db", "--net", "name=both,alias=sql", "--net", "six")
	runIdle(t, h, "one", "--net", "both")
	runIdle(t, h, "two", "--net", "six")
	lookup := func(from, name string) string {
		out := must(t, h.Run("exec", from, "nslookup", name+"."))
		_, out, _ = strings.Cut(out, "\n\n")
		var addrs []string
		for line := range strings.Lines(out) {
			if addr, ok := strings.CutPrefix(line, "Address: "); ok {
				addrs = append(addrs, strings.TrimSpace(addr))
			}
		}
		return strings.Join(addrs, " ")
	}
	for question, want := range map[string]string{
		"one db": "10.46.0.2 fd00:46::2", "one sql": "10.46.0.2 fd00:46::2", "one db.both": "10.46.0.2 fd00:46::2",
		"two db": "fd00:6::2", "one host.mini.internal": "10.46.0.1 fd00:46::1", "two host.docker.internal": "fd00:6::1",
	} {
		from, name, _ := strings.Cut(question, " ")
		if got := lookup(from, name); got != want {
			t.Errorf("%s asks for %s: %q, want %q", from, name, got, want)
		}
	}
	must(t, h.Run("network", "disconnect", "both", "db"))
	if r := h.Run("exec", "one", "nslookup", "db."); r.Code == 0 {
		t.Errorf("db is still known: %v", r)
	}
	wantOut(t, h.Run("run", "--rm", "--net", "both", "--add-host", "up:host-gateway", "busybox", "sh", "-c", "grep up$ /etc/hosts"), "10.46.0.1\tup\nfd00:46::1\tup")
}
