package integration

import (
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// gatewayOf gives the network that inspect says has the default route.
func gatewayOf(t testing.TB, h *host.Host, name string) string {
	t.Helper()
	return must(t, h.Run("inspect", "-f", `{{range $n, $e := .NetworkSettings.Networks}}{{if $e.DefaultRoute}}{{$n}}{{end}}{{end}}`, name))
}

// wantGateway checks that route, ports and inspect agree on the network.
func wantGateway(t testing.TB, h *host.Host, name, network, route string) {
	t.Helper()
	if got := gatewayOf(t, h, name); got != network {
		t.Errorf("inspect says that %q has the default route, want %s", got, network)
	}
	wantOut(t, h.Run("exec", name, "sh", "-c", "ip route | grep default"), "default via "+route)
	wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
	wantOut(t, h.Run("port", name), "80/tcp -> 0.0.0.0:8080")
	if n := publishedRules(t, h); n != 1 {
		t.Errorf("%d DNAT rules for one port", n)
	}
}

func threeNetworks(t testing.TB) *host.Host {
	h := busyboxHost(t)
	must(t, h.Run("network", "create", "--subnet", "10.1.0.0/24", "red"))
	must(t, h.Run("network", "create", "--subnet", "10.2.0.0/24", "blue"))
	must(t, h.Run("network", "create", "--subnet", "10.3.0.0/24", "--internal", "shut"))
	return h
}

// TestRunOnSeveralNetworks: options for each, and the gateway by priority, else
// the first; never an internal one. A restart builds the same.
func TestRunOnSeveralNetworks(t *testing.T) {
	t.Parallel()
	h := threeNetworks(t)
	pid := runWeb(t, h, "web", "--net", "name=shut,gw-priority=100", "--net", "red", "--net", "name=blue,ip=10.2.0.77,alias=www,mac-address=02:00:00:00:00:77,gw-priority=1", "-p", "8080:80")
	wantGateway(t, h, "web", "blue", "10.2.0.1 dev eth2")
	const show = "{{range $n, $e := .NetworkSettings.Networks}}{{$n}} {{$e.IPAddress}} {{$e.GwPriority}} {{$e.Interface}}, {{end}}"
	wantOut(t, h.Run("inspect", "-f", show, "web"), "blue 10.2.0.77 1 eth2, red 10.1.0.2 0 eth1, shut 10.3.0.2 100 eth0,")
	if link := must(t, inNet(h, pid, "ip", "-o", "link", "show", "eth2")); !strings.Contains(link, "02:00:00:00:00:77") {
		t.Errorf("eth2 is %s", link)
	}
	b := runIdle(t, h, "two", "--net", "red")
	if got, err := getIn(h, b, "http://10.1.0.2"+addrPage, patience); err != nil || got != "10.1.0.3" {
		t.Errorf("from red: sees %q, %v", got, err)
	}
	must(t, h.Run("restart", "-t", "0", "web"))
	waitForWeb(t, h, initPid(t, h, "web"))
	wantGateway(t, h, "web", "blue", "10.2.0.1 dev eth2")
	must(t, h.Run("rm", "-f", "web"))
	runWeb(t, h, "web", "--net", "red", "--net", "blue", "-p", "8080:80") // no priorities
	wantGateway(t, h, "web", "red", "10.1.0.1 dev eth0")
}

// TestGatewayMoves with connect and disconnect, and takes the ports along.
func TestGatewayMoves(t *testing.T) {
	t.Parallel()
	h := threeNetworks(t)
	runWeb(t, h, "web", "--net", "red", "-p", "8080:80")
	must(t, h.Run("network", "connect", "--gw-priority", "9", "shut", "web"))
	wantGateway(t, h, "web", "red", "10.1.0.1 dev eth0")
	must(t, h.Run("network", "connect", "blue", "web"))
	wantGateway(t, h, "web", "red", "10.1.0.1 dev eth0")
	must(t, h.Run("network", "disconnect", "blue", "web"))
	r := h.Run("network", "connect", "--explain", "--gw-priority", "1", "blue", "web")
	must(t, r)
	said := []string{"== let network blue take over from red", "Of the container's 3 networks, blue has the highest gw-priority, 1.",
		"ip -n mini-web route replace default via 10.2.0.1 dev eth2", "-D DOCKER", "--to-destination 10.2.0."}
	if h.Backend() == host.Native {
		said = append(said[:3], "nft delete element", "nft add element")
	}
	for _, want := range said {
		if !strings.Contains(strings.Join(strings.Fields(r.Stderr), " "), want) {
			t.Errorf("--explain does not say %q:\n%s", want, r.Stderr)
		}
	}
	wantGateway(t, h, "web", "blue", "10.2.0.1 dev eth2")
	must(t, h.Run("port", "add", "web", "8081:80"))
	must(t, h.Run("port", "rm", "web", "8081:80"))
	must(t, h.Run("restart", "-t", "0", "web"))
	waitForWeb(t, h, initPid(t, h, "web"))
	wantGateway(t, h, "web", "blue", "10.2.0.1 dev eth2")
	r = h.Run("network", "disconnect", "--explain", "blue", "web")
	must(t, r)
	if !strings.Contains(r.Stderr, "== let network red take over from blue") {
		t.Errorf("--explain says:\n%s", r.Stderr)
	}
	wantGateway(t, h, "web", "red", "10.1.0.1 dev eth0")

	// With internal networks only there is no way, and no port.
	must(t, h.Run("network", "disconnect", "red", "web"))
	wantClosed(t, h, "0.0.0.0:8080")
	wantOut(t, h.Run("exec", "web", "sh", "-c", "ip route | grep -c default || true"), "0")
	// The next network brings both back; if it cannot, nothing has changed.
	runIdle(t, h, "thief", "-p", "8080:80")
	fails(t, h.Run("network", "connect", "blue", "web"), 1, "Bind for 0.0.0.0:8080 failed: port is already allocated (held by container thief)")
	wantOut(t, h.Run("exec", "web", "ls", "/sys/class/net"), "eth1\nlo")
	must(t, h.Run("rm", "-f", "thief"))
	must(t, h.Run("network", "connect", "blue", "web"))
	wantGateway(t, h, "web", "blue", "10.2.0.1 dev eth0")
}

// TestSeveralNetworksRefused: bad input changes nothing.
func TestSeveralNetworksRefused(t *testing.T) {
	t.Parallel()
	h := threeNetworks(t)
	runIdle(t, h, "other")
	must(t, h.Run("network", "ls")) // defines the predefined networks
	before, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	id := networkField(t, h, "red", "{{.Id}}")
	for _, c := range []struct{ flags, want string }{
		{"--net red --net nowhere", "network nowhere not found"},
		{"--net red --net " + id[:12], `network "red" is specified multiple times`},
		{"--net red --net name=blue,ip=10.1.0.9", "invalid address 10.1.0.9: it is not in the subnet 10.2.0.0/24 of network blue"},
		{"--net red --net none", "cannot be combined with other networks"},
		{"--net red --net name=blue,weight=1", `"weight" is not known`},
	} {
		for _, mode := range []string{"run --rm", "run --dry-run"} {
			line := mode + " " + c.flags + " busybox true"
			fails(t, h.Run(strings.Fields(line)...), 125, c.want)
		}
	}
	after, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if diff := withoutLate(before.Diff(after)); len(diff) > 0 {
		t.Errorf("bad input changed something:\n%s", diff)
	}
	// What was taken on the first network is given back.
	fails(t, h.Run("run", "--rm", "--net", "red", "--net", "name=blue,ip=10.2.0.1", "-p", "8080:80", "busybox", "true"), 125, "the gateway")
	wantClosed(t, h, "0.0.0.0:8080")
	wantOut(t, h.Run("run", "--rm", "--net", "name=red,ip=10.1.0.2", "busybox", "hostname", "-i"), "10.1.0.2")
}

// TestMonitorKilledWhileTheGatewayMoves: nothing is left of either network.
func TestMonitorKilledWhileTheGatewayMoves(t *testing.T) {
	t.Parallel()
	needStrace(t)
	c := newCalm(t)
	kinds := append(c.ruleCalls(), "renameat,renameat2,rename", "setns")
	c.killAtEachCall("--net tiny", "network connect --gw-priority 1 bridge box", kinds...)
	c.killAtEachCall("--net tiny --net bridge", "network disconnect tiny box", kinds...)
	c.works()
}
