package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// damage is one thing that goes wrong on a host with the container web on the
// default network, red on the network red, and closed on an internal network.
type damage struct {
	script string // see vars
	says   string // one line of doctor
}

var damages = []damage{
	{"sysctl -q -w net.ipv4.ip_forward=0", "the host: net.ipv4.ip_forward is off"},
	{"sysctl -q -w net.ipv4.conf.mini0.route_localnet=0", "network bridge: net.ipv4.conf.mini0.route_localnet is off"},
	{"sysctl -q -w net.ipv4.conf.mini0.forwarding=0", "network bridge: net.ipv4.conf.mini0.forwarding is off"},
	{"ip link del mini0", "network bridge: the bridge mini0 is gone"},
	{"ip link set mini0 down", "network bridge: the bridge mini0 is down"},
	{"ip link set mini0 alias ''", "network bridge: the bridge mini0 has lost its alias"},
	{"ip link set mini0 address 02:00:00:00:00:01", "network bridge: the bridge mini0 has the MAC address 02:00:00:00:00:01"},
	{"ip link set mini0 mtu 1200", "network bridge: the bridge mini0 has the MTU 1200"},
	{"ip addr flush dev mini0", "network bridge: the bridge mini0 has lost the address 172.17.0.1/24"},
	{"ip route del 172.17.0.0/24 dev mini0", "network bridge: the host has lost the route to 172.17.0.0/24"},
	{"ip link del $VETH", "container web: its cable $VETH is gone"},
	{"ip link del mini0; ip link del $VETH", "container web: its cable $VETH is gone"},
	{"ip link set $VETH nomaster", "container web: its cable $VETH is not plugged into mini0"},
	{"ip link set $VETH down", "container web: its cable $VETH is down"},
	{"bridge link set dev $VETH hairpin off", "container web: the port $VETH has lost its hairpin mode: the container does not reach its own published ports"},
	{"ip link set $VETH alias ''", "container web: the port $VETH has lost its tag: the alias says whose it is"},
	{"ip link set $VETH alias mine", "container web: its cable $VETH has the alias \"mine\", not mini's"},
	{"bridge link set dev $RED isolated off", "container red: the port $RED is not isolated: containers of red reach each other"},
	{"ip link del $BR", "network red: the bridge $BR is gone"},
	{"nsenter -n -t $PID ip addr flush dev eth0", "container web: its eth0 has lost the address 172.17.0.2 and has no default route"},
	{"nsenter -n -t $PID ip link set eth0 down", "container web: its eth0 is down and has no default route"},
	{"nsenter -n -t $PID ip route del default", "container web: its eth0 has no default route"},
	{"iptables -t nat -F DOCKER", "container web: 2 of the 2 rules of its published ports are gone"},
	{"iptables -t nat -F", "chain DOCKER-OUT of table nat: 4 of mini's 4 rules are gone"},
	{"iptables -F FORWARD", "chain FORWARD of table filter: 2 of mini's 2 rules are gone"},
	{"iptables -P FORWARD DROP; iptables -F", "and FORWARD drops by default"},
	{"iptables -F DOCKER-BRIDGE", "chain DOCKER-BRIDGE of table filter: 4 of mini's 4 rules are gone"},
	{"iptables -D DOCKER-FORWARD 1", "chain DOCKER-FORWARD of table filter: 1 of mini's 6 rules are gone"},
	{"for t in raw nat filter; do iptables -t $t -F; iptables -t $t -X; done", "chain DOCKER-RAW of table raw: the chain is gone"},
	{"iptables -D DOCKER-BRIDGE 1; iptables -A DOCKER-BRIDGE -o mini0 -m conntrack --ctstate DNAT -m comment --comment mini:$NET -j ACCEPT",
		"chain DOCKER-BRIDGE of table filter: mini's rules are out of order"},
	{"iptables -D FORWARD 1; iptables -A FORWARD -m comment --comment mini:$HOST -j DOCKER-USER", "chain FORWARD of table filter: mini's rules are out of order"},
	{"iptables -I FORWARD -i uplink0 -j DROP", "chain FORWARD of table filter: mini's rules stand below somebody's: -A FORWARD -i uplink0 -j DROP"},
	{"iptables -N TRAP; iptables -A TRAP -j REJECT; iptables -I FORWARD -j TRAP", "mini's rules stand below somebody's: -A TRAP -j REJECT"},
	{"iptables -I FORWARD -j ACCEPT", "what mini must drop is let through before its rules see it"},
	{"iptables -t nat -A DOCKER -p tcp --dport 7 -m comment --comment mini:$WEB -j DNAT --to-destination 172.17.0.2:7",
		"chain DOCKER of table nat: a rule of mini's is not on record"},
	{"ip link add left0 type veth peer name left1; ip link set left0 alias mini:$WEB:eth7", "link left0: a cable with the tag mini:$WEB:eth7 is not on record"},
	{"ip link add left0 type bridge; ip link set left0 alias mini:$NET", "link left0: a bridge with the tag mini:$NET is not on record"},
}

// undo takes away what is somebody else's after a case.
const undoForeign = `iptables -P FORWARD ACCEPT
iptables -D FORWARD -i uplink0 -j DROP
iptables -D FORWARD -j TRAP; iptables -F TRAP; iptables -X TRAP
iptables -D FORWARD -j ACCEPT
true`

type doctorHost struct {
	*host.Host
	t testing.TB
}

func newDoctorHost(t testing.TB, b host.Backend) *doctorHost {
	h := &doctorHost{busyboxHost(t, host.Iptables(b), host.BridgeNF(true)), t}
	const reason = "ip netns attach, in the scripts, keeps its names there"
	h.Allow(host.SecMounts, "/run/netns ", reason)
	h.Allow(host.SecRun, "/run/netns/$", reason)
	if err := h.ServeAddr(host.Outside, "192.0.2.2:8000"); err != nil {
		t.Fatal(err)
	}
	runWeb(t, h.Host, "web", "-p", "8080:80", "-p", "127.0.0.1:8081:80")
	must(t, h.Run("network", "create", "-o", "icc=false", "red"))
	must(t, h.Run("network", "create", "--internal", "closed"))
	runIdle(t, h.Host, "red", "--net", "red")
	runIdle(t, h.Host, "closed", "--net", "closed")
	return h
}

// vars replaces what is known only when the host runs: the host's ends of two
// cables, red's bridge, web's init, and three tags.
func (h *doctorHost) vars(text string) string {
	h.t.Helper()
	pid := fmt.Sprint(initPid(h.t, h.Host, "web"))
	ep, red := h.endpoint("web"), h.endpoint("red")
	net := h.MustRun("network", "inspect", "-f", "{{.Id}}", "bridge")[:12] + ":bridge"
	owner := strings.Fields(must(h.t, h.Exec("sh", "-c", "iptables-save -t filter | grep -o 'mini:host[-0-9a-f]*' | head -n 1")))
	own := ""
	if len(owner) > 0 {
		own = strings.TrimPrefix(owner[0], "mini:")
	}
	return strings.NewReplacer("$VETH", ep.HostLink, "$RED", red.HostLink, "$BR", "br-"+red.Network[:12], "$PID", pid, "$NET", net, "$HOST", own, "$WEB", ep.Tag).Replace(text)
}

type endpointRecord struct {
	HostLink string `json:"host_link"`
	Network  string `json:"network_id"`
	Tag      string
}

func (h *doctorHost) endpoint(name string) (ep endpointRecord) {
	h.t.Helper()
	id := h.MustRun("inspect", "-f", "{{.Id}}", name)
	data, err := os.ReadFile(glob1(h.t, h.State+"/networks/*/endpoints/"+id+".json"))
	if err == nil {
		err = json.Unmarshal(data, &ep)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return ep
}

// works checks the traffic that all damages break in some part.
func (h *doctorHost) works(when string) {
	h.t.Helper()
	for url, from := range map[string]host.Place{"http://192.0.2.1:8080": host.Outside, "http://127.0.0.1:8081": host.Inside, "http://172.17.0.2": host.Inside} {
		if _, err := getFrom(h.Host, from, url+addrPage, patience); err != nil {
			h.t.Errorf("%s: %s: %v", when, url, err)
		}
	}
	pid, red := initPid(h.t, h.Host, "web"), initPid(h.t, h.Host, "red")
	if got, err := getIn(h.Host, pid, "http://192.0.2.2:8000/", patience); err != nil || got != hostIP {
		h.t.Errorf("%s: web to the world: seen as %q, error %v", when, got, err)
	}
	if got, err := getIn(h.Host, red, "http://192.0.2.2:8000/", patience); err != nil || got != hostIP {
		h.t.Errorf("%s: red to the world: seen as %q, error %v", when, got, err)
	}
	if got, err := getIn(h.Host, pid, "http://192.0.2.1:8080"+addrPage, patience); err != nil || got != gateway {
		h.t.Errorf("%s: web to its own port: seen as %q, error %v", when, got, err)
	}
}

// closed checks what must not get through.
func (h *doctorHost) closed(when string) {
	h.t.Helper()
	if _, err := getIn(h.Host, initPid(h.t, h.Host, "red"), "http://172.17.0.2"+addrPage, silence/2); !unanswered(err) {
		h.t.Errorf("%s: red reaches web directly: %v", when, err)
	}
}

func (h *doctorHost) content(when string) {
	h.t.Helper()
	if r := h.Run("doctor"); r.Code != 0 || r.Err != nil || r.Out() != "all is well" {
		h.t.Errorf("%s: %v", when, r)
	}
}

// TestDoctor breaks one thing after the other. Doctor names it, repairs it by
// itself or by the script it prints, and is content; traffic flows again.
func TestDoctor(t *testing.T) {
	for _, backend := range []host.Backend{host.NFT, host.Legacy} {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			h := newDoctorHost(t, backend)
			h.content("at first")
			h.works("at first")
			for i, d := range damages {
				h.t = t
				script, says := h.vars(d.script), h.vars(d.says)
				must(t, h.Exec("sh", "-ec", script))
				r := h.Run("doctor")
				if r.Code != 1 || r.Err != nil || !strings.Contains(r.Stdout, says) {
					t.Errorf("after %s: want %q\n%v", script, says, r)
				}
				if byHand := i%2 == 0 == (backend == host.NFT); byHand {
					must(t, h.Exec("sh", "-c", must(t, h.Run("doctor", "--fix", "--dry-run"))))
				} else {
					must(t, h.Run("doctor", "--fix"))
				}
				h.content("repaired after " + script)
				h.works("repaired after " + script)
				if strings.Contains(says, "chain ") {
					h.closed("repaired after " + script)
				}
				must(t, h.Exec("sh", "-c", "exec 2>&-\n"+undoForeign))
				if t.Failed() {
					t.FailNow()
				}
			}
			must(t, h.Run("rm", "-f", "web", "red", "closed"))
			must(t, h.Run("network", "rm", "red", "closed"))
			must(t, h.Run("network", "prune", "-f"))
		})
	}
}
