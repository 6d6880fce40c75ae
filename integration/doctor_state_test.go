package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/minirt/mini/integration/host"
)

const ghost = "feedfacefeedfacefeedfacefeedfacefeedfacefeedfacefeedfacefeedface"

// TestDoctorOnRecords damages what mini remembers. Doctor names it, repairs it,
// and is content.
func TestDoctorOnRecords(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	runIdle(t, h, "one", "-p", "8080:80")
	must(t, h.Run("network", "create", "red"))
	must(t, h.Run("create", "--name", "idle", "busybox", "true"))
	endpoint := func() string { return glob1(t, h.State+"/networks/*/endpoints/*.json") }
	lives := func() string { return h.State + "/containers/" + h.MustRun("inspect", "-f", "{{.Id}}", "one") }
	kill := func() {
		monitor, init := monitorPid(t, h, "one"), initPid(t, h, "one")
		if err := syscall.Kill(monitor, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		waitGone(t, monitor)
		waitGone(t, init)
	}
	remove := func(path string) {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	sh := func(script string) { must(t, h.Exec("sh", "-ec", script)) }
	for _, d := range []struct {
		says string
		hurt func()
	}{
		{"container one: its monitor is dead", kill},
		{"network bridge: container one has 172.17.0.", func() { l := lives(); kill(); remove(l) }},
		{"network bridge: the address 172.17.0.", func() { l, e := lives(), endpoint(); kill(); remove(l); remove(e) }},
		{"a rule of mini's is not on record: ", func() { l, e := lives(), endpoint(); kill(); remove(l); remove(e) }},
		{"container feedfacefeed: its directory has no record", func() { sh("mkdir " + h.Root + "/containers/" + ghost) }},
		{"name ghost: it is taken by a container that does not exist", func() { sh("ln -s " + ghost + " " + h.Root + "/names/ghost") }},
		{"network feedfacefeed: its state is there, but the network is not", func() { sh("mkdir " + h.State + "/networks/" + ghost) }},
		{"network bridge: is half up", func() { sh("sed -i 's/\"ready\": true/\"ready\": false/' " + h.State + "/networks/*/up.json") }},
		{"it is up, but has no definition", func() { h.MustRun("network", "up", "red"); remove(h.Root + "/networks/red.json") }},
		{"container idle: its cgroup ", func() {
			id := h.MustRun("inspect", "-f", "{{.Id}}", "idle")
			sh("d=/sys/fs/cgroup; ! [ -d $d/unified ] || d=$d/unified; mkdir -p $d/mini/" + id)
		}},
		{"the firewall: mini's chains are half made", func() {
			h.MustRun("rm", "-f", "one")
			h.MustRun("network", "down", "bridge")
			if h.Backend() != host.Native { // which makes no chain by itself
				sh("iptables -t nat -N DOCKER")
			}
			sh("sed -i 's/\"stage\": \"\"/\"stage\": \"starting\"/' " + h.State + "/firewall.json")
		}},
	} {
		d.hurt()
		r := h.Run("doctor")
		if r.Code != 1 || !strings.Contains(r.Stdout, d.says) {
			t.Errorf("want %q\n%v", d.says, r)
		}
		must(t, h.Run("doctor", "--fix"))
		if r := h.Run("doctor"); r.Code != 0 || r.Out() != "all is well" {
			t.Errorf("repaired after %q: %v", d.says, r)
		}
		if status(h, "one") == "exited" {
			wantOut(t, h.Run("start", "one"), "one") // nobody has its port any more
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	must(t, h.Run("rm", "idle"))
}

func glob1(t testing.TB, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found[0]
}

// waitGone waits until a killed process is gone, or waits to be reaped.
func waitGone(t testing.TB, pid int) {
	t.Helper()
	host.Eventually(t, patience, func() error {
		if err := syscall.Kill(pid, 0); err == nil {
			return os.ErrExist
		}
		return nil
	})
}

// stop stops a process and waits until it stands still. It goes on when goOn is
// called, and at the end of the test.
func stop(t testing.TB, pid int) (goOn func()) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	goOn = sync.OnceFunc(func() { _ = syscall.Kill(pid, syscall.SIGCONT) }) // ESRCH: it was killed
	t.Cleanup(goOn)
	host.Eventually(t, patience, func() error {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !strings.Contains(string(stat), ") T ") {
			err = fmt.Errorf("process %d is not stopped: %s", pid, stat)
		}
		return err
	})
	return goOn
}

// TestDoctorOnOthers: what other programs do is named, with what would help, and
// stays as it is.
func TestDoctorOnOthers(t *testing.T) {
	t.Parallel()
	h := newDoctorHost(t, host.NFT)
	for _, d := range []struct{ script, says, undo string }{
		{"iptables-legacy -P FORWARD DROP", "FORWARD of iptables-legacy drops by default, and no rule there accepts packets of containers",
			"iptables-legacy -F; iptables-legacy -P FORWARD ACCEPT"},
		{"iptables-legacy -A FORWARD -j REJECT", "a rule of iptables-legacy drops packets of containers: -A FORWARD -j REJECT", "iptables-legacy -F"},
		{"nft 'add table inet mine; add chain inet mine pass { type filter hook forward priority 10; policy drop; }'",
			"the chain pass of the nftables table inet mine drops packets of containers", "nft delete table inet mine"},
		{"nft 'add table inet mine; add chain inet mine pass { type filter hook forward priority 10; }; add rule inet mine pass counter reject'",
			"the chain pass of the nftables table inet mine drops packets of containers", "nft delete table inet mine"},
		{"iptables -t nat -I PREROUTING -p tcp --dport 8080 -j REDIRECT --to-ports 1", "container web: somebody's rule takes its port 8080/tcp",
			"iptables -t nat -D PREROUTING 1"},
		{"ip link set uplink0 alias x; ip route add 172.17.0.0/25 dev uplink0", "route on uplink0", "ip route del 172.17.0.0/25 dev uplink0; ip link set uplink0 alias ''"},
	} {
		must(t, h.Exec("sh", "-ec", d.script))
		for range 2 {
			r := h.Run("doctor")
			if r.Code != 1 || !strings.Contains(r.Stdout, d.says) || !strings.Contains(r.Stdout, "Not mini's to repair") && !strings.Contains(d.says, "route") {
				t.Errorf("after %s: want %q\n%v", d.script, d.says, r)
			}
			if r := h.Run("doctor", "--fix"); r.Code != 1 {
				t.Errorf("after %s: --fix says all is well: %v", d.script, r)
			}
		}
		must(t, h.Exec("sh", "-ec", d.undo))
		h.content("after " + d.undo)
		h.works("after " + d.undo)
	}
	// What is only worth knowing is no failure.
	must(t, h.Exec("iptables", "-N", "ufw-before-forward"))
	if r := h.Run("doctor"); r.Code != 0 || !strings.HasPrefix(r.Stdout, "NOTE      the host: ufw is active: ") {
		t.Errorf("%v", r)
	}
	must(t, h.Exec("iptables", "-X", "ufw-before-forward"))
	must(t, h.Exec("nft", "add table inet mine; add chain inet mine pass { type filter hook forward priority 10; policy drop; }"))
	must(t, h.Exec("sh", "-ec", h.Run("doctor", "--format", "{{range .Repair}}{{println .}}{{end}}").Out()))
	h.works("after the commands for nftables")
	if r := h.Run("doctor"); r.Code != 0 || !strings.HasPrefix(r.Stdout, "NOTE      the host: the chain pass of the nftables table inet mine judges forwarded packets, too") {
		// It names the bridges now.
		t.Errorf("%v", r)
	}
	must(t, h.Exec("nft", "delete", "table", "inet", "mine"))
	// The commands that it prints help.
	must(t, h.Exec("iptables-legacy", "-P", "FORWARD", "DROP"))
	out := h.Run("doctor", "--format", "{{range .Repair}}{{println .}}{{end}}").Out()
	must(t, h.Exec("sh", "-ec", out))
	h.works("after the commands")
	must(t, h.Exec("sh", "-ec", "iptables-legacy -F; iptables-legacy -P FORWARD ACCEPT"))
}

// TestDoctorTalks: the forms of the output, and the exit codes.
func TestDoctorTalks(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.Iptables(host.NFT))
	before := h.MustExec("find", h.Root, h.State)
	wantOut(t, h.Run("doctor"), "all is well")
	if after := h.MustExec("find", h.Root, h.State); after != before {
		if extra := strings.TrimPrefix(after, before); !strings.HasSuffix(strings.TrimSpace(extra), "networks.lock") {
			t.Errorf("doctor made %s", extra)
		}
	}
	runIdle(t, h, "web", "-p", "8080:80")
	out := h.MustRun("doctor", "-v")
	for _, want := range []string{
		"OK        the host: net.ipv4.ip_forward is 1", "OK        network bridge: bridge mini0 is up, 02:42:ac:11:00:01, MTU 1500, 172.17.0.1/24",
		"OK        container web: eth0 172.17.0.2 is connected to bridge by veth", "OK        the firewall: all ", "OK        container web: runs; its monitor is process ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("want %q in\n%s", want, out)
		}
	}
	must(t, h.Exec("iptables", "-F", "FORWARD"))
	r := h.Run("doctor", "--format", "json")
	if r.Code != 1 || !strings.HasPrefix(r.Stdout, `{"verdict":"wrong","subject":"chain FORWARD of table filter","what":"2 of mini's 2 rules are gone`) {
		t.Errorf("%v", r)
	}
	r = h.Run("doctor", "--fix", "--explain")
	if r.Code != 0 || !strings.Contains(r.Stderr, "== repair what is mini's\n[1/1] put mini's rules back into chain FORWARD") || !strings.HasPrefix(r.Stdout, "repaired  chain FORWARD") {
		t.Errorf("%v", r)
	}
	wantError(t, h.Run("doctor", "--dry-run"), 125, "--dry-run and --explain are for --fix")
	c := h.Mini("doctor")
	c.Env = []string{"PATH=/nowhere"}
	fails(t, h.Do(c), 125, "mini: cannot look: finding the iptables program")

	monitor := monitorPid(t, h, "web")
	goOn := stop(t, monitor)
	r = h.Run("doctor")
	goOn()
	if want := "is stopped: stop, exec and rm get no answer. Not mini's to repair; it would be: kill -CONT "; r.Code != 1 || !strings.Contains(r.Stdout, want) {
		t.Errorf("want %q\n%v", want, r)
	}
	must(t, h.Run("rm", "-f", "web"))
}
