package host

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func goexit() { runtime.Goexit() }

// leaks are things that a test can leave behind: how, what the picture has to
// say of it, and how to clear it away.
var leaks = []struct {
	name    string
	opts    []Option
	do      string
	undo    string
	section string
	line    string
}{
	{"link", nil, "ip link add leak type bridge", "ip link del leak", SecLinks, "leak bridge"},
	{"link alias", nil, "ip link set uplink0 alias mini:x", "ip link set uplink0 alias ''", SecLinks, "alias mini:x"},
	{"link state", nil, "ip link set lo down", "ip link set lo up", SecLinks, "lo device"},
	{"address", nil, "ip addr add 10.1.2.3/24 dev uplink0", "ip addr del 10.1.2.3/24 dev uplink0", SecAddrs, "uplink0 10.1.2.3/24"},
	{"route", nil, "ip route add 10.7.0.0/16 via 192.0.2.2", "ip route del 10.7.0.0/16", SecRoutes, "10.7.0.0/16 dev uplink0"},
	{"route in another table", nil, "ip route add blackhole 10.8.0.0/16 table 77", "ip route flush table 77", SecRoutes, "table 77"},
	{"policy rule", nil, "ip rule add from 10.0.0.0/8 table 77", "ip rule del from 10.0.0.0/8 table 77", SecPolicy, "from 10.0.0.0/8"},
	{"neighbour", nil, "ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev uplink0", "ip neigh del 192.0.2.9 dev uplink0", SecNeigh, "192.0.2.9"},
	{"rule on nft", []Option{Iptables(NFT)}, "iptables -t nat -A POSTROUTING -j MASQUERADE", "iptables -t nat -F", SecRules, "nft iptables nat: -A POSTROUTING"},
	{"chain on nft", []Option{Iptables(NFT)}, "iptables -N DOCKER", "iptables -X DOCKER", SecRules, "nft iptables filter: chain DOCKER"},
	{"rule on legacy", []Option{Iptables(Legacy)}, "iptables -t nat -A POSTROUTING -j MASQUERADE", "iptables -t nat -F", SecRules, "legacy iptables nat: -A POSTROUTING"},
	{"chain on legacy", []Option{Iptables(Legacy)}, "iptables -N DOCKER", "iptables -X DOCKER", SecRules, "legacy iptables filter: chain DOCKER"},
	{"policy on legacy", []Option{Iptables(Legacy)}, "iptables -P FORWARD DROP", "iptables -P FORWARD ACCEPT", SecRules, "chain FORWARD policy DROP"},
	{"IPv6 rule on nft", []Option{Iptables(NFT)}, "ip6tables -A FORWARD -j DROP", "ip6tables -F", SecRules, "nft ip6tables filter: -A FORWARD"},
	{"IPv6 rule on legacy", []Option{Iptables(Legacy)}, "ip6tables -A FORWARD -j DROP", "ip6tables -F", SecRules, "legacy ip6tables filter: -A FORWARD"},
	{"nftables table", nil, "nft add table inet mini", "nft delete table inet mini", SecNFT, "table inet mini: exists"},
	{"nftables rule", nil, "nft add table ip x; nft add chain ip x c; nft add rule ip x c drop", "nft delete table ip x", SecNFT, "table ip x chain c: drop"},
	{"ip_forward", nil, "echo 1 >/proc/sys/net/ipv4/ip_forward", "echo 0 >/proc/sys/net/ipv4/ip_forward", SecSysctl, "net/ipv4/ip_forward = 1"},
	{"sysctl of a link", nil, "echo 1 >/proc/sys/net/ipv4/conf/uplink0/route_localnet", "echo 0 >/proc/sys/net/ipv4/conf/uplink0/route_localnet", SecSysctl, "conf/uplink0/route_localnet = 1"},
	{"bridge sysctl", []Option{BridgeNF(true)}, "echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables", "echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables", SecSysctl, "bridge-nf-call-iptables = 0"},
	{"mount", nil, "mount -t tmpfs leak /mnt", "umount /mnt", SecMounts, "/mnt type tmpfs source leak"},
	{"mount of a namespace", nil, "mkdir /run/netns; touch /run/netns/x; mount --bind /proc/self/ns/net /run/netns/x", "umount /run/netns/x; rm -r /run/netns", SecMounts, "/run/netns/x type nsfs"},
	{"named namespace", nil, "mkdir /run/netns; touch /run/netns/x", "rm -r /run/netns", SecRun, "/run/netns/x"},
	{"cgroup", nil, "", "", SecCgroups, "mini/abc"}, // see cgroupLeak,
	{"process", nil, "sleep 4321 >/dev/null 2>&1 & echo $! >/tmp/pid", "kill $(cat /tmp/pid); rm /tmp/pid", SecProcesses, "sleep 4321"},
	{"process in other namespaces", nil, "unshare -n -m -u env -i sleep 4322 >/dev/null 2>&1 & echo $! >/tmp/pid", "kill $(cat /tmp/pid); rm /tmp/pid", SecProcesses, "sleep 4322"},
	{"state file", nil, "echo >$STATE/lock", "rm $STATE/lock", SecState, "lock"},
	{"socket", nil, "mkdir $STATE/c; mkfifo $STATE/c/p", "rm -r $STATE/c", SecState, "c/p (pipe)"},
	{"container directory", nil, "mkdir -p $ROOT/containers/x", "rm -r $ROOT/containers", SecRoot, "containers/x"},
	{"temporary file", nil, "echo >/tmp/left", "rm /tmp/left", SecTmp, "/tmp/left"},
}

func TestEachLeakIsCaught(t *testing.T) {
	t.Parallel()
	for _, c := range leaks {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			// The cleanup of New proves that the undone leak is no difference.
			h := New(t, append(c.opts, Settle(2*time.Second))...)
			if c.name == "cgroup" {
				c.do, c.undo = cgroupLeak(t, h)
			}
			h.shell(t, c.do)
			// Polled, since a background process takes a moment to start.
			err := Poll(5*time.Second, func() error {
				after, err := h.Snapshot()
				if err != nil {
					return err
				}
				if diff := h.before.Diff(after); !hasChange(diff, c.section, c.line) {
					return fmt.Errorf("want + %s: … %s …, got:\n%s", c.section, c.line, diff)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			h.shell(t, c.undo)
		})
	}
}

func cgroupLeak(t *testing.T, h *Host) (do, undo string) {
	t.Helper()
	if len(h.cgroups) == 0 {
		t.Fatal("this machine has no cgroups mounted")
	}
	dir := filepath.Join(h.cgroups[0].mountpoint, "mini", "abc")
	return "mkdir -p " + dir, "rmdir " + dir + " " + filepath.Dir(dir)
}

func (h *Host) shell(t *testing.T, script string) {
	t.Helper()
	r := h.Do(Command{Args: []string{"sh", "-ec", script}, Env: []string{"STATE=" + h.State, "ROOT=" + h.Root}})
	if r.Code != 0 {
		t.Fatalf("%v", r)
	}
}

func hasChange(cs Changes, section, text string) bool {
	for _, c := range cs {
		if c.Added && c.Section == section && strings.Contains(c.Line, text) {
			return true
		}
	}
	return false
}

// fakeTB is a test that keeps what New does to it.
type fakeTB struct {
	testing.TB
	errors   []string
	logs     []string
	cleanups []func()
}

func (f *fakeTB) Helper()           {}
func (f *fakeTB) Cleanup(fn func()) { f.cleanups = append(f.cleanups, fn) }
func (f *fakeTB) Failed() bool      { return len(f.errors) > 0 }
func (f *fakeTB) Log(args ...any)   { f.logs = append(f.logs, fmt.Sprint(args...)) }
func (f *fakeTB) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}

// TestCleanup leaves a mess: New's cleanup has to name it and clear it away.
func TestCleanup(t *testing.T) {
	t.Parallel()
	f := &fakeTB{TB: t}
	h := New(f, Settle(50*time.Millisecond),
		Allow(SecSysctl, `^net/ipv4/ip_forward = `, "a container needs it"),
		Allow(SecSysctl, `/forwarding = `, "ip_forward sets it on all links"))
	h.shell(t, "echo 1 >/proc/sys/net/ipv4/ip_forward; ip link add leak type bridge")
	cgroup := filepath.Join(h.cgroups[0].mountpoint, "mini/abc")
	h.shell(t, "mkdir -p "+cgroup+"; sleep 4323 >/dev/null 2>&1 & echo $! >"+cgroup+"/cgroup.procs")
	for _, fn := range f.cleanups {
		fn()
	}
	report := strings.Join(f.errors, "\n")
	for _, want := range []string{"leak bridge", "sleep 4323", cgroup} {
		if !strings.Contains(report, want) {
			t.Errorf("%q is not reported in:\n%s", want, report)
		}
	}
	if strings.Contains(report, "ip_forward") {
		t.Errorf("an allowed difference is reported:\n%s", report)
	}
	if strings.Contains(report, "destroying") {
		t.Errorf("the host could not be destroyed:\n%s", report)
	}
	for _, dir := range []string{h.Dir, h.cgroups[0].dir} {
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", dir, err)
		}
	}
}

// TestCleanupAsksMini checks the order of the clean-up with a stand-in for mini.
func TestCleanupAsksMini(t *testing.T) {
	t.Parallel()
	f := &fakeTB{TB: t}
	dir := t.TempDir()
	mini := filepath.Join(dir, "mini")
	script := `#!/bin/sh
echo "$*" >>` + dir + `/calls
case "$*" in
*" run "*) ip link add mini0 type bridge;;
*" ps "*) echo abc; echo def;;
*" prune "*) ip link del mini0;;
esac
`
	if err := os.WriteFile(mini, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	h := New(f, Binary(mini), GlobalFlags("--chain-prefix", "MINI"))
	h.MustRun("run", "busybox")
	for _, fn := range f.cleanups {
		fn()
	}
	if f.Failed() {
		t.Errorf("got:\n%s", strings.Join(f.errors, "\n"))
	}
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	global := "--root " + h.Root + " --state " + h.State + " --chain-prefix MINI "
	want := global + "run busybox\n" + global + "ps -a -q --no-trunc\n" +
		global + "rm -f abc def\n" + global + "network prune -f\n"
	if string(calls) != want {
		t.Errorf("got:\n%s\nwant:\n%s", calls, want)
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		f := &fakeTB{TB: b}
		New(f)
		for _, fn := range f.cleanups {
			fn()
		}
		if f.Failed() {
			b.Fatal(f.errors)
		}
	}
}

func BenchmarkExec(b *testing.B) {
	h := New(b)
	for b.Loop() {
		if r := h.Exec("true"); r.Code != 0 {
			b.Fatal(r)
		}
	}
}

func BenchmarkSnapshot(b *testing.B) {
	h := New(b)
	for b.Loop() {
		if _, err := h.Snapshot(); err != nil {
			b.Fatal(err)
		}
	}
}
