package integration

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// TestNetworkCreateAndInspect: what was asked for is what inspect and the
// kernel show.
func TestNetworkCreateAndInspect(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	id := h.MustRun("network", "create", "--subnet", "10.44.0.0/16", "--gateway", "10.44.0.9", "--ip-range", "10.44.5.0/29",
		"--mtu", "1300", "--scope", "local", "--label", "team=red", "--label", "plain", "web")
	if len(id) != 64 || strings.Trim(id, "0123456789abcdef") != "" {
		t.Fatalf("want an id of 64 hexadecimal digits, got %q", id)
	}
	for format, want := range map[string]string{
		"{{json .ConfigFrom}} {{.ConfigOnly}} {{.Ingress}}":                                                     `{"Network":""} false false`,
		"{{.Name}} {{.Id}} {{.Driver}} {{.Scope}} {{.Internal}}":                                                "web " + id + " bridge local false",
		"{{with index .IPAM.Config 0}}{{.Subnet}} {{.Gateway}} {{.IPRange}}{{end}}":                             "10.44.0.0/16 10.44.0.9 10.44.5.0/29",
		`{{index .Labels "team"}},{{index .Labels "plain"}},{{index .Options "com.docker.network.driver.mtu"}}`: "red,,1300",
		`{{index .Options "com.docker.network.bridge.name"}}`:                                                   "br-" + id[:12],
		"{{len .Containers}}": "0",
	} {
		if got := networkField(t, h, "web", format); got != want {
			t.Errorf("inspect --format %s: got %q, want %q", format, got, want)
		}
	}
	// Its bridge comes with its first container.
	link := "br-" + id[:12]
	if r := h.Exec("ip", "link", "show", link); r.Code == 0 {
		t.Errorf("the bridge is there before anybody needs it: %v", r)
	}
	runIdle(t, h, "one", "--net", "web")
	wantOut(t, h.Run("exec", "one", "sh", "-c", "cat /sys/class/net/eth0/mtu; ip route | head -n 1"), "1300\ndefault via 10.44.0.9 dev eth0")
	wantOut(t, h.Exec("cat", "/sys/class/net/"+link+"/ifalias"), "mini:"+id[:12]+":web")
	cid := h.MustRun("inspect", "-f", "{{.Id}}", "one")
	format := fmt.Sprintf("{{with index .Containers %q}}{{.Name}} {{.IPv4Address}} {{.MacAddress}}{{end}}", cid)
	first := netip.MustParsePrefix(strings.Fields(networkField(t, h, "web", format))[1])
	if !netip.MustParsePrefix("10.44.5.0/29").Contains(first.Addr()) || first.Bits() != 16 {
		t.Errorf("the address %s is not one of --ip-range", first)
	}
}

// TestNetworkList has Docker's columns and the predefined networks.
func TestNetworkList(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := h.MustRun("network", "create", "web")
	rows := table(h.MustRun("network", "ls"))
	if got := strings.Join(rows[0], " "); got != "NETWORK ID NAME DRIVER SCOPE" {
		t.Errorf("the heading is %q", got)
	}
	var got []string
	for _, row := range rows[1:] {
		got = append(got, strings.Join(row[1:], " "))
	}
	slices.Sort(got)
	if want := []string{"bridge bridge local", "host host local", "none null local", "web bridge local"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	wantOut(t, h.Run("network", "ls", "-q", "--filter", "name=web"), id[:12])
	wantOut(t, h.Run("network", "ls", "-q", "--no-trunc", "--filter", "name=web"), id)
	wantOut(t, h.Run("network", "ls", "--format", "{{.Name}}", "--filter", "driver=null"), "none")
}

// TestNetworkIsolation: one network does not reach another, and reaches what
// the other publishes.
func TestNetworkIsolation(t *testing.T) {
	t.Parallel()
	for _, nf := range []bool{false, true} {
		t.Run(fmt.Sprintf("bridge-nf-call-iptables=%t", nf), func(t *testing.T) {
			t.Parallel()
			h := busyboxHost(t, host.BridgeNF(nf))
			pids, ips := map[string]int{}, map[string]string{}
			for _, n := range []string{"red", "blue"} {
				must(t, h.Run("network", "create", n))
				for _, c := range []string{n + "1", n + "2"} {
					pids[c] = runWeb(t, h, c, "--net", n)
					ips[c] = must(t, h.Run("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", c))
				}
			}
			pids["plain"] = runIdle(t, h, "plain")
			for _, c := range []struct {
				from, to string
				ok       bool
			}{{"red1", "red2", true}, {"blue2", "blue1", true}, {"red1", "blue1", false}, {"blue2", "red2", false}, {"plain", "red1", false}} {
				d := silence
				if c.ok {
					d = patience
				}
				got, err := getIn(h, pids[c.from], "http://"+ips[c.to]+addrPage, d)
				switch {
				case c.ok && (err != nil || got != ips[c.from]):
					t.Errorf("%s to %s: sees %q, error %v", c.from, c.to, got, err)
				case !c.ok && !unanswered(err):
					t.Errorf("%s reaches %s: %q, error %v", c.from, c.to, got, err)
				}
			}
		})
	}
}

// TestInternalNetwork: its containers reach each other and nothing else; the host
// alone reaches them.
func TestInternalNetwork(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	for _, at := range []host.Place{host.Inside, host.Outside} {
		if err := h.ServeAddr(at, "0.0.0.0:8000"); err != nil {
			t.Fatal(err)
		}
	}
	must(t, h.Run("network", "create", "--internal", "--subnet", "10.55.0.0/24", "closed"))
	must(t, h.Run("network", "up", "bridge")) // so that the host has one more address
	if got := networkField(t, h, "closed", "{{.Internal}}"); got != "true" {
		t.Errorf("Internal is %s", got)
	}
	a := runIdle(t, h, "one", "--net", "closed")
	runWeb(t, h, "two", "--net", "closed")
	wantOut(t, h.Run("exec", "one", "ip", "route"), "10.55.0.0/24 dev eth0 scope link  src 10.55.0.2")
	if got, err := getIn(h, a, "http://10.55.0.3"+addrPage, patience); err != nil || got != "10.55.0.2" {
		t.Errorf("a to b: sees %q, error %v", got, err)
	}
	// Even a container that makes itself a way out gets none.
	must(t, inNet(h, a, "ip", "route", "add", "default", "via", "10.55.0.1"))
	if _, err := getIn(h, a, "http://192.0.2.2:8000/", silence); !unanswered(err) {
		t.Errorf("there is a way out: %v", err)
	}
	for _, addr := range []string{"10.55.0.1", hostIP, gateway} {
		if _, err := getIn(h, a, "http://"+addr+":8000/", silence); !unanswered(err) {
			t.Errorf("the host's services answer at %s: %v", addr, err)
		}
	}
	if got, err := getFrom(h, host.Inside, "http://10.55.0.3"+addrPage, patience); err != nil || got != "10.55.0.1" {
		t.Errorf("the host to b: sees %q, error %v", got, err)
	}
	must(t, h.Outside("ip", "route", "add", "10.55.0.0/24", "via", hostIP))
	if _, err := getFrom(h, host.Outside, "http://10.55.0.3"+addrPage, silence); !unanswered(err) {
		t.Errorf("there is a way in: %v", err)
	}
	// -p there is worth a word, and publishes nothing.
	r := h.Run("run", "-d", "--name", "three", "--net", "closed", "-p", "8080:80", "busybox", "sleep", "100")
	if r.Code != 0 || !strings.Contains(r.Stderr, "network closed is internal") {
		t.Errorf("want a notice: %v", r)
	}
	if _, err := getFrom(h, host.Inside, "http://127.0.0.1:8080/", silence); !isRefused(err) {
		t.Errorf("port 8080 of the host is not free: %v", err)
	}
}

// TestIPRange: addresses come from the range until it is full; a fixed one may
// lie outside of it.
func TestIPRange(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("network", "create", "--subnet", "10.9.0.0/24", "--ip-range", "10.9.0.64/30", "small"))
	var got []string
	for i := range 4 {
		name := fmt.Sprint("box", i)
		must(t, h.Run("run", "-d", "--net", "small", "--name", name, "busybox", "sleep", "1000"))
		got = append(got, must(t, h.Run("inspect", "-f", "{{.NetworkSettings.Networks.small.IPAddress}}", name)))
	}
	slices.Sort(got)
	if want := []string{"10.9.0.64", "10.9.0.65", "10.9.0.66", "10.9.0.67"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	fails(t, h.Run("run", "--net", "small", "--name", "full", "busybox", "true"), 125, "network small", "no free address")
	wantOut(t, h.Run("run", "--rm", "--net", "small", "--ip", "10.9.0.200", "busybox", "hostname", "-i"), "10.9.0.200")
	freed := must(t, h.Run("inspect", "-f", "{{.NetworkSettings.Networks.small.IPAddress}}", "box2"))
	must(t, h.Run("rm", "-f", "box2"))
	wantOut(t, h.Run("run", "--rm", "--net", "small", "busybox", "hostname", "-i"), freed)
}

// TestFixedAddress: --ip and --mac-address give exactly these, and what cannot
// be had is refused.
func TestFixedAddress(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	runIdle(t, h, "one", "--ip", "172.17.0.50", "--mac-address", "02:aa:bb:cc:dd:ee")
	wantOut(t, h.Run("exec", "one", "sh", "-c", "hostname -i; cat /sys/class/net/eth0/address"), "172.17.0.50\n02:aa:bb:cc:dd:ee")
	run := func(flags ...string) host.Result {
		return h.Run(append(append([]string{"run", "--rm", "--name", "two"}, flags...), "busybox", "true")...)
	}
	fails(t, run("--ip", "172.17.0.50"), 125, "172.17.0.50", "in use by container one")
	fails(t, run("--ip", "172.17.0.1"), 125, "172.17.0.1", "gateway")
	fails(t, run("--ip", "172.17.0.0"), 125, "172.17.0.0", "reserved")
	fails(t, run("--ip", "172.17.0.255"), 125, "172.17.0.255", "broadcast")
	fails(t, run("--ip", "10.0.0.1"), 125, "10.0.0.1", "172.17.0.0/24", "network bridge")
	fails(t, run("--ip", "nonsense"), 125, "nonsense")
	fails(t, run("--ip", "fd00::5"), 125, "fd00::5")
	fails(t, run("--mac-address", "ff:ff:ff:ff:ff:ff"), 125, "ff:ff:ff:ff:ff:ff")
	fails(t, run("--mac-address", "xy"), 125, "xy")
	must(t, h.Run("rm", "-f", "one"))
	wantOut(t, h.Run("run", "--rm", "--ip", "172.17.0.50", "busybox", "hostname", "-i"), "172.17.0.50")
}

// TestUpAndDown: a network can be built and taken away without a container.
func TestUpAndDown(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	id := h.MustRun("network", "create", "--subnet", "10.1.0.0/24", "red")
	link := "br-" + id[:12]
	clean := h.MustExec("iptables-save")
	must(t, h.Run("network", "up", "red"))
	must(t, h.Run("network", "up", "red")) // once more changes nothing
	if r := h.Exec("ip", "-o", "-4", "addr", "show", link); !strings.Contains(r.Stdout, "10.1.0.1/24") {
		t.Errorf("%v", r)
	}
	runIdle(t, h, "one", "--net", "red")
	fails(t, h.Run("network", "down", "red"), 1, `network red has active endpoints (name:"one"`)
	must(t, h.Run("rm", "-f", "one"))
	must(t, h.Run("network", "down", "red"))
	must(t, h.Run("network", "down", "red"))
	if r := h.Exec("ip", "link", "show", link); r.Code == 0 {
		t.Errorf("the bridge is still there: %v", r)
	}
	if now := h.MustExec("iptables-save"); withoutNoise(now) != withoutNoise(clean) {
		t.Errorf("rules are left:\n%s\nbefore:\n%s", now, clean)
	}
	if got := networkField(t, h, "red", "{{.Id}}"); got != id {
		t.Errorf("the definition is gone: %q", got)
	}
	wantOut(t, h.Run("run", "--rm", "--net", "red", "busybox", "hostname", "-i"), "10.1.0.3") // next-fit
	fails(t, h.Run("network", "up", "nowhere"), 1, "network nowhere not found")
	for _, command := range []string{"up", "down", "reload"} {
		if r := h.Run("network", command, "host"); r.Code != 0 || r.Stderr != "mini: network host has no bridge and no rules: there is nothing to do\n" {
			t.Errorf("%v", r)
		}
	}
}

// withoutNoise leaves of iptables-save what mini may change: rules and chains
// of its own.
func withoutNoise(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		builtIn := strings.HasPrefix(line, ":") && strings.Contains(line, " ACCEPT ")
		if !builtIn && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "*") && line != "COMMIT\n" && line != "COMMIT" {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return strings.Join(out, "\n")
}

// TestRemoveAndPrune: only what is unused and a user's.
func TestRemoveAndPrune(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	for _, n := range []string{"used", "idle1", "idle2"} {
		must(t, h.Run("network", "create", n))
	}
	runIdle(t, h, "one", "--net", "used")
	id := h.MustRun("inspect", "-f", "{{.Id}}", "one")
	fails(t, h.Run("network", "rm", "used"), 1, `network used has active endpoints (name:"one" id:"`+id[:12]+`")`)
	for _, name := range []string{"bridge", "host", "none"} {
		fails(t, h.Run("network", "rm", name), 1, name+" is a pre-defined network and cannot be removed")
	}
	// One that fails does not keep the others.
	r := h.Run("network", "rm", "idle1", "used")
	if r.Code != 1 || r.Out() != "idle1" || !strings.Contains(r.Stderr, "network used has active endpoints") {
		t.Errorf("%v", r)
	}
	wantOut(t, h.Run("network", "prune", "-f"), "Deleted Networks:\nidle2")
	wantOut(t, h.Run("network", "ls", "--format", "{{.Name}}", "--filter", "type=custom"), "used")
	wantOut(t, h.Run("exec", "one", "ls", "/sys/class/net"), "eth0\nlo")
	must(t, h.Run("rm", "-f", "one"))
	wantOut(t, h.Run("network", "rm", "used"), "used")
	if left := h.MustExec("sh", "-c", "ip -br link | grep -c br- || true"); left != "0" {
		t.Errorf("%s bridges are left", left)
	}
}

// TestNetworkInUseByAStoppedContainer may be removed, as in Docker; the
// container then fails to start with a clear error.
func TestNetworkInUseByAStoppedContainer(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("network", "create", "red"))
	must(t, h.Run("create", "--name", "one", "--net", "red", "busybox", "true"))
	wantOut(t, h.Run("network", "rm", "red"), "red")
	fails(t, h.Run("start", "one"), 1, "network red not found")
	must(t, h.Run("rm", "one"))
}
