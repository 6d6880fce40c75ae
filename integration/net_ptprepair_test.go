package integration

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// TestPtpMonitorKilled: the next command finds what a killed monitor held.
func TestPtpMonitorKilled(t *testing.T) {
	t.Parallel()
	h := ptpHost(t)
	runWeb(t, h, "web", "--net", "red", "-p", "8080:80")
	cable := cableOf(t, h, "red", "web")
	if err := syscall.Kill(monitorPid(t, h, "web"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, h, "web", "exited")
	host.Eventually(t, patience, func() error {
		if r := h.Exec("ip", "link", "show", cable); r.Code == 0 {
			return fmt.Errorf("the cable is still there: %v", r)
		}
		return nil
	})
	if n := publishedRules(t, h); n != 0 {
		t.Errorf("%d rules are left", n)
	}
	wantOut(t, h.Run("doctor"), "all is well")
	runWeb(t, h, "next", "--net", "name=red,ip=10.66.0.2", "-p", "8080:80")
	wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
}

// TestPtpKilledAtAnyCall: a kill of the monitor at any call that changes the
// kernel or a record leaves nothing.
func TestPtpKilledAtAnyCall(t *testing.T) {
	t.Parallel()
	needStrace(t)
	h := ptpHost(t)
	must(t, h.Run("run", "--rm", "--net", "red", "busybox", "true"))
	c := calmAfter(t, h)
	for _, calls := range []string{"setns", "sendto,sendmsg", "renameat,renameat2,rename"} {
		c.killStarts("--net red", calls)
	}
	kinds := append(c.ruleCalls(), "renameat,renameat2,rename", "setns")
	c.killAtEachCall("--net tiny", "network connect --gw-priority 1 red box", kinds...)
	c.killAtEachCall("--net tiny --net name=red,gw-priority=1", "network disconnect red box", kinds...)
	c.works()
}

var ptpDamages = []damage{
	{"ip route del 10.66.0.2", "container web: its cable $CABLE has lost the route to 10.66.0.2: nobody reaches the container"},
	{"ip route del unreachable 10.66.0.0/24", "network red: the host has lost the route that keeps 10.66.0.0/24"},
	{"ip link del $CABLE", "container web: its cable $CABLE is gone"},
	{"ip link set $CABLE down", "container web: its cable $CABLE is down"},
	{"ip addr flush dev $CABLE", "container web: its cable $CABLE has lost the gateway's address 10.66.0.1"},
	{"ip link set $CABLE alias ''", "container web: its cable $CABLE has lost its tag"},
	{"ip link set $CABLE alias mine", "container web: its cable $CABLE has the alias \"mine\", not mini's"},
	{"sysctl -q -w net.ipv4.conf.$CABLE.route_localnet=0",
		"container web: its cable $CABLE is without net.ipv4.conf.$CABLE.route_localnet=1: published ports do not answer at 127.0.0.1. Repair: "},
	{"sysctl -q -w net.ipv6.conf.$CABLE.disable_ipv6=0", "container web: its cable $CABLE is without net.ipv6.conf.$CABLE.disable_ipv6=1"},
	{"sysctl -q -w net.ipv4.conf.$CABLE.forwarding=0", "container web: its cable $CABLE is without net.ipv4.conf.$CABLE.forwarding=1"},
	{"nsenter -n -t $PID ip addr flush dev eth0", "container web: its eth0 has lost the address 10.66.0.2 and has no route to 10.66.0.1/32 and has no default route by 10.66.0.1"},
	{"nsenter -n -t $PID ip link set eth0 down", "container web: its eth0 is down and has no route to 10.66.0.1/32 and has no default route by 10.66.0.1"},
	{"nsenter -n -t $PID ip route del 10.66.0.0/24", "container web: its eth0 has no route to 10.66.0.0/24"},
	{"nsenter -n -t $PID ip route del default", "container web: its eth0 has no default route by 10.66.0.1"},
	{"ip link add $NET99 type veth peer name left1; ip link set $NET99 alias mini:000000000000:gone:eth0", "link $NET99: a cable with the tag mini:000000000000:gone:eth0 is not on record"},
}

// TestPtpDoctor breaks one thing after the other, on the host or in the container;
// doctor names it and repairs it, by itself or by its script.
func TestPtpDoctor(t *testing.T) {
	for i, byHand := range []bool{false, true} {
		t.Run(map[bool]string{true: "by hand", false: "by itself"}[byHand], func(t *testing.T) {
			t.Parallel()
			h := ptpHost(t)
			h.Allow(host.SecMounts, "/run/netns ", "ip netns attach, in the scripts, keeps its names there")
			h.Allow(host.SecRun, "/run/netns/$", "ip netns attach, in the scripts, keeps its names there")
			if err := h.ServeAddr(host.Outside, "192.0.2.2:8000"); err != nil {
				t.Fatal(err)
			}
			pid := runWeb(t, h, "web", "--net", "red", "-p", fmt.Sprintf("%d:80", 8080+i))
			vars := strings.NewReplacer("$CABLE", cableOf(t, h, "red", "web"), "$PID", fmt.Sprint(pid), "$NET99", "pt"+networkField(t, h, "red", "{{.Id}}")[:5]+"99")
			for _, d := range ptpDamages {
				script, says := vars.Replace(d.script), vars.Replace(d.says)
				must(t, h.Exec("sh", "-ec", script))
				if r := h.Run("doctor"); r.Code != 1 || r.Err != nil || !strings.Contains(r.Stdout, says) {
					t.Errorf("after %s: want %q\n%v", script, says, r)
				}
				if byHand {
					must(t, h.Exec("sh", "-c", must(t, h.Run("doctor", "--fix", "--dry-run"))))
				} else {
					must(t, h.Run("doctor", "--fix"))
				}
				wantOut(t, h.Run("doctor"), "all is well")
				wantAddr(t, h, host.Inside, fmt.Sprintf("http://127.0.0.1:%d", 8080+i)+addrPage, "10.66.0.1")
				if got, err := getIn(h, pid, "http://192.0.2.2:8000/", patience); err != nil || got != hostIP {
					t.Errorf("repaired after %s: web to the world: seen as %q, error %v", script, got, err)
				}
				if t.Failed() {
					t.FailNow()
				}
			}
		})
	}
}

// TestPtpReload puts back what the host's side has lost, and so does the next
// container that starts.
func TestPtpReload(t *testing.T) {
	t.Parallel()
	h := ptpHost(t)
	runWeb(t, h, "web", "--net", "red", "-p", "8080:80")
	cable := cableOf(t, h, "red", "web")
	for _, repair := range [][]string{{"network", "reload", "red"}, {"network", "reload"}, {"run", "--rm", "--net", "red", "busybox", "true"}} {
		must(t, h.Exec("sh", "-ec", "ip link set "+cable+" down; ip addr flush dev "+cable+"; ip route del unreachable 10.66.0.0/24"))
		must(t, h.Run(repair...))
		wantOut(t, h.Run("doctor"), "all is well")
		wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
	}
	must(t, h.Run("network", "down", "bridge"))
	must(t, h.Run("rm", "-f", "web"))
	r := h.Run("network", "down", "--explain", "red")
	must(t, r)
	if !strings.Contains(r.Stdout+r.Stderr, "ip route delete unreachable 10.66.0.0/24 metric ") {
		t.Errorf("%v", r)
	}
	wantOut(t, h.Exec("ip", "route", "show", "root", "10.66.0.0/16"), "")
}

// TestPtpAtOnce: many containers start and end together, each with its own route.
func TestPtpAtOnce(t *testing.T) {
	t.Parallel()
	h := ptpHost(t)
	const many = 20
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			if r := h.Run("run", "-d", "--name", fmt.Sprint("box", i), "--net", "red", "busybox", "sleep", "1000"); r.Code != 0 {
				t.Errorf("%v", r)
			}
		})
	}
	all.Wait()
	routes := strings.Fields(must(t, h.Exec("sh", "-c", "ip route show root 10.66.0.0/24 | grep -v unreachable | cut -d' ' -f1,3 | sort -u | tr ' ' /")))
	if len(routes) != many {
		t.Errorf("%d routes for %d containers: %v", len(routes), many, routes)
	}
	from := initPid(t, h, "box0")
	for i := range many {
		ip := must(t, h.Run("inspect", "-f", "{{.NetworkSettings.Networks.red.IPAddress}}", fmt.Sprint("box", i)))
		if r := inNet(h, from, "busybox", "ping", "-c", "1", "-W", "3", ip); r.Code != 0 {
			t.Errorf("%v", r)
		}
	}
	wantOut(t, h.Run("doctor"), "all is well")
	for i := range many {
		all.Go(func() {
			if r := h.Run("rm", "-f", fmt.Sprint("box", i)); r.Code != 0 {
				t.Errorf("%v", r)
			}
		})
	}
	all.Wait()
	wantOut(t, h.Exec("sh", "-c", "ip route show root 10.66.0.0/24 | grep -vc unreachable || true"), "0")
}

// TestPtpBesideOthersChains: a chain of nftables that drops what mini accepts is named,
// and the command that doctor prints for it helps.
func TestPtpBesideOthersChains(t *testing.T) {
	t.Parallel()
	h := ptpHost(t)
	runWeb(t, h, "web", "--net", "red", "-p", "8080:80")
	must(t, h.Exec("sh", "-ec", "nft add table inet fw; nft 'add chain inet fw forward { type filter hook forward priority 10; policy drop; }'"))
	if _, err := getFrom(h, host.Outside, "http://192.0.2.1:8080"+addrPage, silence); !unanswered(err) {
		t.Fatalf("the chain drops nothing: %v", err)
	}
	r := h.Run("doctor")
	wantCode(t, r, 1)
	var accept []string
	for line := range strings.Lines(r.Stdout) {
		if i := strings.Index(line, "nft insert rule inet fw"); i >= 0 {
			accept = append(accept, strings.TrimSpace(line[i:]))
		}
	}
	if len(accept) == 0 {
		t.Fatalf("no command would help: %v", r)
	}
	must(t, h.Exec("sh", "-ec", strings.Join(accept, "\n")))
	wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
	wantCode(t, h.Run("doctor"), 0)
	must(t, h.Exec("nft", "delete", "table", "inet", "fw"))
}
