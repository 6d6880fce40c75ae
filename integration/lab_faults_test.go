package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/minirt/mini/integration/host"
)

// cableLab is a lab of two nodes that always have the same addresses.
const cableLab = `
nodes: {left: {}, right: {}}
links:
  - {a: "left:eth0 10.0.0.1/24", b: "right:eth0 10.0.0.2/24"}
ports:
  - {in: right, listen: "http:80"}
expect:
  - {from: left, to: "right:80", by: http, sees: 10.0.0.1}
  - {from: left, to: right, by: ping, ttl: 64}
`

// sixLab is a router between two IPv6 networks, with both kinds of rewrites.
const sixLab = `
nodes: {a: {}, r: {}, b: {}}
links:
  - {a: "a:eth0 fd00:1::2/64", b: "r:eth0 fd00:1::1/64"}
  - {a: "b:eth0 fd00:2::2/64", b: "r:eth1 fd00:2::1/64"}
routes:
  - {in: a, to: default, via: "fd00:1::1"}
  - {in: b, to: "fd00:1::/64", via: "fd00:2::1"}
sysctls:
  - {in: r, key: net.ipv6.conf.all.forwarding, value: 1}
nat:
  - {in: r, masquerade: "fd00:1::/64", out: eth1}
  - {in: r, dnat: "[fd00:2::1]:8080/tcp", to: "[fd00:1::2]:80"}
ports:
  - {in: a, listen: "http:80"}
  - {in: b, listen: "udp:53"}
expect:
  - {from: a, to: b, by: ping, before: routes, want: unreachable}
  - {from: a, to: b, by: ping, ttl: 63}
  - {from: a, to: b, by: traceroute, hops: ["fd00:1::1", "fd00:2::2"]}
  - {from: a, to: "b:53", by: udp, sees: "fd00:2::1"}
  - {from: b, to: "[fd00:2::1]:8080", by: http, sees: "fd00:2::2"}
  - {from: b, to: "r:81", by: tcp, want: refused}
`

// TestLabIPv6 builds a lab again and again: what it expects must come right after it was built.
func TestLabIPv6(t *testing.T) {
	t.Parallel()
	h := labHost(t)
	file := writeFile(t, h, "six.yaml", sixLab, 0o644)
	for range 5 {
		must(t, h.Run("lab", "up", file))
		if r := h.Run("lab", "check", "six"); r.Code != 0 {
			t.Errorf("%v", r)
		}
		must(t, h.Run("lab", "down", "six"))
	}
}

// TestLabsSideBySide has two labs with the same names and addresses at once.
func TestLabsSideBySide(t *testing.T) {
	t.Parallel()
	h := labHost(t)
	for _, name := range []string{"one", "one-left", "two"} {
		must(t, h.Run("lab", "up", writeFile(t, h, name+".yaml", cableLab, 0o644)))
	}
	wantOut(t, h.Run("lab", "ls", "-q"), "one\none-left\ntwo")
	checks := make(chan host.Result)
	for _, name := range []string{"one", "one-left", "two"} {
		go func() { checks <- h.Run("lab", "check", name) }()
	}
	for range 3 {
		wantCode(t, <-checks, 0)
	}
	// The names of one are the beginning of the other's.
	must(t, h.Run("lab", "down", "one"))
	wantCode(t, h.Run("lab", "check", "one-left"), 0)
	fails(t, h.Run("lab", "check", "one"), 1, "Error: no such lab: one")
	wantOut(t, h.Run("lab", "down", "one-left", "two"), "one-left\ntwo")
}

// TestLabListsDisturbNobody lists labs all the time while one is built and taken away.
func TestLabListsDisturbNobody(t *testing.T) {
	t.Parallel()
	h := labHost(t)
	file := writeFile(t, h, "one.yaml", cableLab, 0o644)
	stop, done := make(chan struct{}), make(chan string)
	go func() {
		bad := ""
		for {
			select {
			case <-stop:
				done <- bad
				return
			default:
			}
			if r := h.Run("lab", "ls"); r.Code != 0 || strings.Contains(r.Stdout, "broken") {
				bad = r.String()
			}
		}
	}()
	for range 20 {
		must(t, h.Run("lab", "up", file))
		must(t, h.Run("lab", "down", "one"))
	}
	close(stop)
	if bad := <-done; bad != "" {
		t.Errorf("a list while a lab is built:\n%s", bad)
	}
}

// TestLabCheckSeesFaults breaks a lab and expects that the check says so.
func TestLabCheckSeesFaults(t *testing.T) {
	t.Parallel()
	h := labHost(t)
	wrong := strings.NewReplacer("sees: 10.0.0.1", "sees: 10.0.0.9", "ttl: 64", "ttl: 63").Replace(cableLab)
	must(t, h.Run("lab", "up", writeFile(t, h, "wrong.yaml", wrong, 0o644)))
	r := h.Run("lab", "check", "wrong")
	wantError(t, r, 1, "Error: lab wrong: 2 of 2 are not as expected")
	for _, want := range []string{"ok, sees 10.0.0.9   ok, sees 10.0.0.1   FAIL", "ok, ttl 63          ok, ttl 64          FAIL"} {
		if !strings.Contains(r.Stdout, want) {
			t.Errorf("the table does not say %q:\n%v", want, r)
		}
	}
	must(t, h.Run("lab", "exec", "left", "ip", "link", "set", "eth0", "down"))
	r = h.Run("lab", "check", "--format", "{{.By}} {{.Got}} {{.Result}}", "wrong")
	wantCode(t, r, 1)
	if want := "http unreachable (network is unreachable) FAIL\nping unreachable (network is unreachable) FAIL"; r.Out() != want {
		t.Errorf("want %q:\n%v", want, r)
	}
	must(t, h.Run("lab", "down", "wrong"))
}

// TestLabRollsBack: a lab whose building fails, or is interrupted, leaves nothing.
func TestLabRollsBack(t *testing.T) {
	t.Parallel()
	h := labHost(t)
	twice := cableLab + "routes:\n  - {in: left, to: 10.9.0.0/24, via: 10.0.0.2}\n  - {in: left, to: 10.9.0.0/24, via: 10.0.0.2}\n"
	bad := writeFile(t, h, "bad.yaml", twice, 0o644)
	fails(t, h.Run("lab", "up", bad), 1, "Error: building lab bad: route 10.9.0.0/24 of left: adding the route to 10.9.0.0/24: file exists")
	wantOut(t, h.Exec("ip", "netns", "list"), "")
	wantOut(t, h.Run("lab", "ls", "-q"), "")
	// It listens to silence for a second before each part.
	slow := cableLab
	for _, part := range []string{"tunnels", "routes", "sysctls", "nat", "drops"} {
		slow += "  - {from: left, to: 10.0.0.9, by: ping, want: timeout, before: " + part + "}\n"
	}
	p := h.Start(h.Mini("lab", "up", writeFile(t, h, "slow.yaml", slow, 0o644)))
	host.Eventually(t, patience, func() error {
		if h.Exec("ip", "-n", "lab-slow-right", "address", "show", "dev", "eth0").Code != 0 {
			return fmt.Errorf("it builds nothing")
		}
		return nil
	})
	wantOut(t, h.Run("lab", "ls", "--format", "{{if eq .Name \"slow\"}}{{.Status}}{{end}}"), "building")
	fails(t, h.Run("lab", "down", "slow"), 1, "Error: lab slow is being built, checked or removed by another mini")
	if err := p.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	r := p.Wait(patience)
	wantCode(t, r, 1)
	if !strings.Contains(r.Stderr, "Error: building lab slow: ") {
		t.Errorf("it does not say what was interrupted:\n%v", r)
	}
	wantOut(t, h.Exec("ip", "netns", "list"), "")
	wantOut(t, h.Run("lab", "ls", "-q"), "")
}

// TestLabAfterCrash kills mini at each of many calls while it builds a lab, and while it takes one
// away. The next up builds it, and the next down takes it away.
func TestLabAfterCrash(t *testing.T) {
	t.Parallel()
	needStrace(t)
	h := labHost(t)
	file := writeFile(t, h, "crash.yaml", cableLab, 0o644)
	for _, calls := range []string{"openat", "renameat,renameat2,rename", "unshare", "mount", "umount2", "unlinkat,unlink", "sendto,sendmsg", "setns"} {
		fired := 0
		for n := 1; n <= 40; n += 1 + n/3 {
			up, down := killedAt(h, calls, n, "lab", "up", file), host.Result{}
			if up.Code == 0 {
				down = killedAt(h, calls, n, "lab", "down", "crash")
			}
			if up.Code != 0 || down.Code != 0 {
				fired++
			}
			checkAfterCrash(t, h, fmt.Sprintf("killed at %s %d", calls, n), file, n%2 == 0)
			if t.Failed() || up.Code == 0 && down.Code == 0 {
				break
			}
		}
		t.Logf("%s: killed at %d moments", calls, fired)
		if fired == 0 {
			t.Errorf("%s: never killed", calls)
		}
	}
}

// killedAt runs mini and kills it at its nth of the calls.
func killedAt(h *host.Host, calls string, n int, args ...string) host.Result {
	cmd := h.Mini(args...)
	cmd.Args = append([]string{"strace", "-f", "-qqq", "-o", "/dev/null", "-e", "trace=" + calls,
		"-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", calls, n), "--"}, cmd.Args...)
	cmd.Timeout = 20 * time.Second
	return h.Do(cmd)
}

// checkAfterCrash goes on after a crash: it builds the lab, or takes away what there is.
func checkAfterCrash(t testing.TB, h *host.Host, when, file string, build bool) {
	t.Helper()
	if build && h.Run("lab", "ls", "--format", "{{if eq .Name \"crash\"}}{{.Status}}{{end}}").Out() != "up" {
		if r := h.Run("lab", "up", file); r.Code != 0 {
			t.Errorf("%s: %v", when, r)
		}
		if r := h.Run("lab", "check", "crash"); r.Code != 0 {
			t.Errorf("%s: %v", when, r)
		}
	}
	if r := h.Run("lab", "down", "crash"); r.Code != 0 && !strings.Contains(r.Stderr, "no such lab: crash") {
		t.Errorf("%s: %v", when, r)
	}
	left := h.Exec("sh", "-c", `ls "$1" /run/netns 2>/dev/null | grep crash | grep -v lock`, "sh", h.State+"/labs")
	if left.Out() != "" {
		t.Errorf("%s: it left %s", when, left.Out())
	}
}

// TestLabTouchesNothingElse: namespaces that are not the lab's stay as they are.
func TestLabTouchesNothingElse(t *testing.T) {
	t.Parallel()
	h := labHost(t)
	must(t, h.Exec("ip", "netns", "add", "lab-veth-right"))
	fails(t, h.Run("lab", "up", "veth"), 1, "Error: building lab veth: there is a network namespace lab-veth-right already that is not its own")
	fails(t, h.Run("lab", "down", "veth"), 1, "Error: no such lab: veth")
	wantOut(t, h.Exec("ip", "netns", "list"), "lab-veth-right")
	must(t, h.Exec("ip", "netns", "delete", "lab-veth-right"))

	// Another mini has a lab of that name.
	must(t, h.Run("lab", "up", "veth"))
	other := h.Mini("lab", "up", "veth")
	other.Args = append([]string{other.Args[0], "--root", h.Root + "/other"}, "lab", "up", "veth")
	fails(t, h.Do(other), 1, "there is a network namespace lab-veth-left already")
	other.Args[len(other.Args)-2] = "down"
	fails(t, h.Do(other), 1, "no such lab: veth")
	wantCode(t, h.Run("lab", "check", "veth"), 0)
	must(t, h.Run("lab", "down", "veth"))
	h.Allow(host.SecRoot, "/root/other/", "another mini was tried")
}

func TestLabExec(t *testing.T) {
	t.Parallel()
	h := labHost(t)
	must(t, h.Run("lab", "up", "veth"))
	wantOut(t, h.Run("lab", "exec", "left", "ls", "/sys/class/net"), "eth0\nlo")
	wantOut(t, h.Run("lab", "exec", "veth/right", "sh", "-c", "ip -br -4 addr show eth0 | awk '{print $3}'"), "10.0.0.2/24")
	wantCode(t, h.Run("lab", "exec", "left", "sh", "-c", "exit 7"), 7)
	fails(t, h.Run("lab", "exec", "left", "nosuchprogram"), 127, "Error: running nosuchprogram: ")
	fails(t, h.Run("lab", "exec", "left", "/etc/passwd"), 126, "Error: running /etc/passwd: ")
	fails(t, h.Run("lab", "exec", "middle", "true"), 1, "Error: no such node: middle; there are veth/left, veth/right")
	fails(t, h.Run("lab", "exec", "bridge/red", "true"), 1, "Error: no such lab: bridge")
	must(t, h.Run("lab", "up", writeFile(t, h, "other.yaml", cableLab, 0o644)))
	fails(t, h.Run("lab", "exec", "left", "true"), 1, "Error: several labs have a node left: name one of other/left, veth/left")
	must(t, h.Run("lab", "down", "other"))
	// What runs in a lab keeps it, unless it is forced.
	p := h.Start(h.Mini("lab", "exec", "left", "sleep", "1000"))
	host.Eventually(t, patience, func() error {
		if r := h.Exec("ip", "netns", "pids", "lab-veth-left"); r.Out() == "" {
			return fmt.Errorf("nothing runs in left")
		}
		return nil
	})
	fails(t, h.Run("lab", "down", "veth"), 1, "Error: lab veth is in use: process ", " runs in lab-veth-left: end it, or use --force")
	wantCode(t, h.Run("lab", "check", "veth"), 0)
	must(t, h.Run("lab", "down", "--force", "veth"))
	if r := p.Wait(patience); r.Code != 137 {
		t.Errorf("the process was not killed: %v", r)
	}
}

func TestLabBadInput(t *testing.T) {
	t.Parallel()
	h := labHost(t)
	fails(t, h.Run("lab", "up", "nosuch"), 1, "Error: no such lab: nosuch; mini comes with veth, bridge, router")
	fails(t, h.Run("lab", "up", "./nosuch.yaml"), 1, "Error: reading a lab: open nosuch.yaml: no such file or directory")
	fails(t, h.Run("lab", "down", "../x"), 1, "Error: bad name of a lab: \"../x\"")
	fails(t, h.Run("lab", "down", "veth"), 1, "Error: no such lab: veth")
	fails(t, h.Run("lab", "check", "veth"), 1, "Error: lab veth is not up")
	file := writeFile(t, h, "bad.yaml", "nodes: {a: {}}\nlinks:\n  - {a: \"a:eth0 10.0.0.1/33\", b: \"z:eth0\"}\n", 0o644)
	fails(t, h.Run("lab", "up", file), 1, file+`:3:9: bad address "10.0.0.1/33"`, file+`:3:34: no host or node "z": there are a`)
	wantOut(t, h.Exec("find", h.State, "-path", "*labs*"), "") // none of these has left a file
	must(t, h.Run("lab", "up", "veth"))
	fails(t, h.Run("lab", "up", "veth"), 1, "Error: lab veth is up already: take it away with 'mini lab down veth' first")
	must(t, h.Run("lab", "down", "veth"))
}
