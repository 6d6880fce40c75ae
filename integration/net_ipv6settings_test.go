package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// sixDamages are what goes wrong with the IPv6 of container one on the bridge six.
var sixDamages = []damage{
	{"sysctl -q -w net.ipv6.conf.all.forwarding=0", "the host: net.ipv6.conf.all.forwarding is off"},
	{"sysctl -q -w net.ipv6.conf.six.forwarding=0", "network red: net.ipv6.conf.six.forwarding is off: the host says on this link that it is no router; packets pass all the same"},
	{"sysctl -q -w net.ipv6.conf.six.disable_ipv6=1", "network red: IPv6 is switched off on six"},
	{"sysctl -q -w net.ipv6.conf.six.accept_ra=1", "network red: net.ipv6.conf.six.accept_ra is not 0"},
	{"ip link set six mtu 1200", "network red: the bridge six has the MTU 1200"},
	{"ip -6 addr flush dev six scope global", "network red: the bridge six has lost the address fd00:1::1/64"},
	{"ip -6 route del fd00:1::/64 dev six", "network red: the host has lost the route to fd00:1::/64"},
	{"ip link del six", "network red: the bridge six is gone"},
	{"ip link set $VETH nomaster", "container one: its cable $VETH is not plugged into six"},
	{"ip link del $VETH", "container one: its cable $VETH is gone"},
	{"nsenter -n -t $PID ip -6 addr flush dev eth0 scope global", "container one: its eth0 has lost the address fd00:1::2: it reaches nobody"},
	{"nsenter -n -t $PID ip -6 route del default", "container one: its eth0 has no default route by fd00:1::1"},
	{"nsenter -n -t $PID ip link set eth0 mtu 1000", "container one: its eth0 has the MTU 1000, not 1500 and is without IPv6 and has lost the address fd00:1::2"},
	{"nsenter -n -t $PID sysctl -q -w net.ipv6.conf.all.disable_ipv6=1", "container one: its eth0 is without IPv6 and has lost the address fd00:1::2"},
	{"nsenter -n -t $PID sysctl -q -w net.ipv6.conf.all.disable_ipv6=1; ip link del $VETH", "container one: its cable $VETH is gone"},
	{"nsenter -n -t $PID sysctl -q -w net.ipv6.conf.lo.disable_ipv6=1", "container one: its lo is without IPv6"},
	{"nsenter -n -t $PID ip link set lo down", "container one: its lo is down"},
	{"ip link set $VETH mtu 1000", "container one: its cable $VETH has the MTU 1000, not 1500"},
	{"nsenter -n -t $PID ip link set eth0 down", "is down and has no default route"},
}

// TestDoctorOnIPv6Settings breaks one thing after the other. Doctor names it, repairs it by
// itself or by the script it prints, and is content; the world answers again.
func TestDoctorOnIPv6Settings(t *testing.T) {
	t.Parallel()
	for name, flags := range sixKinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := busyboxHost(t, host.IPv6())
			h.Allow(host.SecMounts, "/run/netns ", "ip netns attach, in the scripts, keeps its names there")
			h.Allow(host.SecRun, "/run/netns/$", "ip netns attach, in the scripts, keeps its names there")
			must(t, h.Run(append(append([]string{"network", "create", "-o", "bridge_name=six"}, flags...), "red")...))
			pid := runIdle(t, h, "one", "--net", "red")
			for i, d := range sixDamages {
				veth := must(t, h.Run("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.HostLink}}{{end}}", "one"))
				vars := strings.NewReplacer("$VETH", veth, "$PID", fmt.Sprint(pid))
				script, says := vars.Replace(d.script), vars.Replace(d.says)
				must(t, h.Exec("sh", "-ec", script))
				if r := h.Run("doctor"); r.Code != 1 || r.Err != nil || !strings.Contains(r.Stdout, says) {
					t.Errorf("after %s: want %q\n%v", script, says, r)
				}
				if i%2 == 0 {
					must(t, h.Exec("sh", "-c", must(t, h.Run("doctor", "--fix", "--dry-run"))))
				} else {
					must(t, h.Run("doctor", "--fix"))
				}
				if r := h.Run("doctor"); r.Out() != "all is well" {
					t.Errorf("repaired after %s: %v", script, r)
				}
				wantPing(t, h, "one", worldSix)
				if t.Failed() {
					t.FailNow()
				}
			}
		})
	}
}

// TestStartRepairsIPv6: the next start switches forwarding on again, and makes a
// bridge that is gone.
func TestStartRepairsIPv6(t *testing.T) {
	t.Parallel()
	eachSix(t, func(t *testing.T, h *host.Host, _ bool) {
		runIdle(t, h, "one", "--net", "red")
		bridge := networkField(t, h, "red", `{{index .Options "com.docker.network.bridge.name"}}`)
		for script, note := range map[string]string{
			"sysctl -q -w net.ipv6.conf.all.forwarding=0": "somebody switched forwarding off: it is switched on again",
			"ip link del " + bridge:                       "",
		} {
			must(t, h.Exec("sh", "-ec", script))
			r := h.Run("run", "--rm", "--net", "red", "busybox", "ping", "-6", "-c", "1", "-W", "3", worldSix)
			if must(t, r); !strings.Contains(r.Stderr, note) {
				t.Errorf("after %s: nothing is said: %v", script, r)
			}
			wantPing(t, h, "one", worldSix)
		}
	})
}
