package integration

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minirt/mini/integration/host"
)

// portsOf gives the PORTS column of mini ps for one container.
func portsOf(t testing.TB, h *host.Host, name string) string {
	t.Helper()
	return must(t, h.Run("ps", "-a", "--filter", "name="+name, "--format", "{{.Ports}}"))
}

// wantClosed checks that nobody holds a TCP port of the host.
func wantClosed(t testing.TB, h *host.Host, addr string) {
	t.Helper()
	if _, err := getFrom(h, host.Inside, "http://"+addr+"/", patience); !isRefused(err) {
		t.Errorf("%s is not free: %v", addr, err)
	}
	l, err := h.Listen(host.Inside, "tcp4", addr)
	if err != nil {
		t.Errorf("%s cannot be taken: %v", addr, err)
		return
	}
	l.Close()
}

// publishedRules counts the DNAT rules of both families, or the elements that
// stand for them.
func publishedRules(t testing.TB, h *host.Host) int {
	t.Helper()
	if h.Backend() == host.Native {
		element := regexp.MustCompile(`(tcp|udp|sctp) \. \d+ comment "mini:|dnat to`)
		return len(element.FindAllString(must(t, h.Exec("nft", "list", "ruleset")), -1))
	}
	return strings.Count(must(t, h.Exec("sh", "-ec", "iptables-save -t nat; ip6tables-save -t nat")), "-j DNAT")
}

// TestSeveralPorts of one container: single ones, ranges, both protocols.
func TestSeveralPorts(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	pid := runWeb(t, h, "web", "-p", "8080:80", "-p", "9000:80", "-p", "9002:81", "-p", "127.0.0.1:7000:80",
		"-p", "7100-7102:7100-7102", "-p", "5353:53/udp")
	wantOut(t, h.Run("port", "web"), strings.Join([]string{
		"53/udp -> 0.0.0.0:5353",
		"80/tcp -> 0.0.0.0:8080",
		"80/tcp -> 0.0.0.0:9000",
		"80/tcp -> 127.0.0.1:7000",
		"81/tcp -> 0.0.0.0:9002",
		"7100/tcp -> 0.0.0.0:7100",
		"7101/tcp -> 0.0.0.0:7101",
		"7102/tcp -> 0.0.0.0:7102",
	}, "\n"))
	wantOut(t, h.Run("port", "web", "81"), "0.0.0.0:9002")
	wantOut(t, h.Run("port", "web", "53/udp"), "0.0.0.0:5353")
	fails(t, h.Run("port", "web", "82"), 1, "no public port '82/tcp' published for web")
	fails(t, h.Run("port", "web", "53"), 1, "no public port '53/tcp' published for web")
	column := portsOf(t, h, "web")
	for _, want := range []string{"0.0.0.0:8080->80/tcp", "0.0.0.0:9002->81/tcp", "127.0.0.1:7000->80/tcp", "0.0.0.0:7100-7102->7100-7102/tcp", "0.0.0.0:5353->53/udp"} {
		if !strings.Contains(", "+column+", ", ", "+want+", ") {
			t.Errorf("PORTS has no %s: %s", want, column)
		}
	}
	for _, p := range []string{"8080", "9000"} {
		wantAddr(t, h, host.Outside, "http://192.0.2.1:"+p+addrPage, outside)
	}
	echoUDP(t, h, pid, ":53")
	for from, want := range map[host.Place]string{host.Outside: outside, host.Inside: hostIP} {
		if got, err := askUDP(h, from, "192.0.2.1:5353"); err != nil || got != want {
			t.Errorf("UDP from %v: sees %q, want %s: %v", from, got, want, err)
		}
	}
	if got, err := askUDP(h, host.Inside, "127.0.0.1:5353"); err != nil || got != gateway {
		t.Errorf("UDP through 127.0.0.1: sees %q, error %v", got, err)
	}
}

// TestUnreadAnswers: a client that does not read keeps the dead container's
// TCP connection, and with it the namespace, but not the cable.
func TestUnreadAnswers(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("run", "-d", "--name", "web", "-p", "8080:80", "busybox", "nc", "-lp", "80", "-e", "yes"))
	var client net.Conn
	host.Eventually(t, 5*time.Second, func() (err error) {
		client, err = h.Dial(t.Context(), host.Outside, "tcp4", "192.0.2.1:8080")
		return err
	})
	defer client.Close()
	pid := initPid(t, h, "web")
	const queued = `/^ *[0-9]+: [0-9A-F]+:0050 [0-9A-F]+:[0-9A-F]+ 01 / && $5 !~ /^00000000:/`
	host.Eventually(t, 5*time.Second, func() error {
		if must(t, h.Exec("awk", queued, fmt.Sprintf("/proc/%d/net/tcp", pid), fmt.Sprintf("/proc/%d/net/tcp6", pid))) == "" {
			return errors.New("the container has sent all it has")
		}
		return nil
	})
	must(t, h.Run("rm", "-f", "web"))
	host.Eventually(t, 2*time.Second, func() error {
		if links := must(t, h.Exec("ip", "-o", "link", "show", "type", "veth")); strings.Contains(links, "veth") {
			return errors.New(links)
		}
		return nil
	})
}

// TestPortOfOneHostAddress is open there only.
func TestPortOfOneHostAddress(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	runWeb(t, h, "web", "-p", "127.0.0.1:7000:80", "-p", "192.0.2.1:7001:80")
	wantAddr(t, h, host.Inside, "http://127.0.0.1:7000"+addrPage, gateway)
	wantAddr(t, h, host.Inside, "http://192.0.2.1:7001"+addrPage, hostIP)
	wantAddr(t, h, host.Outside, "http://192.0.2.1:7001"+addrPage, outside)
	for _, c := range []struct {
		from host.Place
		addr string
	}{{host.Outside, "192.0.2.1:7000"}, {host.Inside, "192.0.2.1:7000"}, {host.Inside, "127.0.0.1:7001"}} {
		if _, err := getFrom(h, c.from, "http://"+c.addr+addrPage, patience); !isRefused(err) {
			t.Errorf("%s from %v: want a refusal, got %v", c.addr, c.from, err)
		}
	}
	// The same port of another address is another port.
	runWeb(t, h, "web2", "-p", "127.0.0.1:7001:80")
	wantAddr(t, h, host.Inside, "http://127.0.0.1:7001"+addrPage, gateway)
	r := h.Run("run", "--name", "web3", "-p", "198.51.100.1:80:80", "busybox", "true")
	fails(t, r, 125, "Bind for 198.51.100.1:80 failed", "no such address")
}

// TestEphemeralPort is chosen from the host's range, and shown everywhere.
func TestEphemeralPort(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	runWeb(t, h, "web", "-p", "80", "-p", "127.0.0.1::81")
	check := func() {
		t.Helper()
		at := must(t, h.Run("port", "web", "80"))
		n, err := strconv.Atoi(strings.TrimPrefix(at, "0.0.0.0:"))
		low, high := localPorts(t, h)
		if err != nil || n < low || n > high {
			t.Fatalf("the port is %q, want one of %d to %d", at, low, high)
		}
		if column := portsOf(t, h, "web"); !strings.Contains(column, fmt.Sprintf("0.0.0.0:%d->80/tcp", n)) || !strings.Contains(column, "127.0.0.1:") {
			t.Errorf("PORTS is %s", column)
		}
		if got := must(t, h.Run("inspect", "-f", `{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}`, "web")); got != fmt.Sprint(n) {
			t.Errorf("inspect says %s, port says %d", got, n)
		}
		wantAddr(t, h, host.Outside, fmt.Sprintf("http://192.0.2.1:%d%s", n, addrPage), outside)
	}
	check()
	// A restart publishes again, on whatever port is free then, as Docker does.
	must(t, h.Run("restart", "-t", "0", "web"))
	waitForWeb(t, h, initPid(t, h, "web"))
	check()
}

func localPorts(t testing.TB, h *host.Host) (low, high int) {
	t.Helper()
	out := must(t, h.Exec("cat", "/proc/sys/net/ipv4/ip_local_port_range"))
	if _, err := fmt.Sscan(out, &low, &high); err != nil {
		t.Fatalf("reading %q: %v", out, err)
	}
	return low, high
}

// TestPortFromARange: the first that is free.
func TestPortFromARange(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	for i, want := range []string{"0.0.0.0:8000", "0.0.0.0:8001"} {
		name := fmt.Sprint("box", i)
		runIdle(t, h, name, "-p", "8000-8001:80")
		wantOut(t, h.Run("port", name, "80"), want)
	}
	runIdle(t, h, "choosy", "-p", "8000-65535:80") // one port, however long the range is
	wantOut(t, h.Run("port", "choosy", "80"), "0.0.0.0:8002")
	fails(t, h.Run("run", "--name", "c2", "-p", "8000-8001:80", "busybox", "true"), 125, "Bind for 0.0.0.0:8000-8001 failed: port is already allocated")
}

// TestTakenPort: the error names the holder, and nothing has changed.
func TestTakenPort(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	nc := h.Start(host.Command{Args: []string{"busybox", "nc", "-l", "-p", "7070"}})
	host.Eventually(t, patience, func() error {
		if r := h.Exec("ss", "-Hltn", "sport = 7070"); r.Out() == "" {
			return fmt.Errorf("nc does not listen: %s", nc.Stderr())
		}
		return nil
	})
	runWeb(t, h, "web", "-p", "8080:80")
	before, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) host.Result {
		all := append([]string{"run", "--name", "second"}, args...)
		return h.Run(append(all, "busybox", "true")...)
	}
	fails(t, run("--rm", "-p", "8080:80"), 125, "Bind for 0.0.0.0:8080 failed: port is already allocated", "container web")
	fails(t, run("--rm", "-p", "127.0.0.1:8080:80"), 125, "Bind for 127.0.0.1:8080 failed: port is already allocated", "container web")
	fails(t, run("--rm", "-p", "7070:80"), 125, "Bind for 0.0.0.0:7070 failed: port is already allocated", fmt.Sprintf("busybox (pid %d)", nc.Pid()))
	// The ports before the one that is taken are given back.
	fails(t, run("--rm", "-p", "8081:81", "-p", "8082:82/udp", "-p", "8080:80"), 125, "Bind for 0.0.0.0:8080 failed")
	after, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if diff := before.Diff(after); len(diff) > 0 {
		t.Errorf("the refusal changed something:\n%s", diff)
	}
	wantClosed(t, h, "0.0.0.0:8081")
	wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
	// Another protocol is another port. Without --rm the container stays,
	// created, as with Docker, and starts when the port is free.
	must(t, run("--rm", "-p", "8080:80/udp"))
	fails(t, run("-p", "8080:80"), 125, "Bind for 0.0.0.0:8080 failed")
	wantOut(t, h.Run("inspect", "-f", "{{.State.Status}}", "second"), "created")
	must(t, h.Run("rm", "-f", "web"))
	must(t, h.Run("start", "second"))
}

// TestPortOfAStartThatFailsIsFree, whatever it fails on.
func TestPortOfAStartThatFailsIsFree(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	fails(t, h.Run("run", "--name", "xx", "-p", "8080:80", "busybox", "nothing-like-that"), 127, "nothing-like-that")
	wantClosed(t, h, "0.0.0.0:8080")
	fails(t, h.Run("run", "--rm", "-u", "nobody-like-that", "-p", "8080:80", "busybox", "true"), 125, "nobody-like-that")
	wantClosed(t, h, "0.0.0.0:8080")
	if n := publishedRules(t, h); n != 0 {
		t.Errorf("%d DNAT rules are left", n)
	}
}

// TestPortIsFreeAfterTheContainer stopped, was killed, ended by itself, or was
// removed; and comes back with a start.
func TestPortIsFreeAfterTheContainer(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	runWeb(t, h, "web", "-p", "8080:80")
	for _, end := range [][]string{{"stop", "-t", "0", "web"}, {"kill", "web"}, {"killed from outside"}, {"restart", "-t", "0", "web"}, {"rm", "-f", "web"}} {
		switch end[0] {
		case "killed from outside":
			must(t, h.Exec("kill", "-9", fmt.Sprint(initPid(t, h, "web"))))
		default:
			must(t, h.Run(end...))
		}
		switch end[0] {
		case "killed from outside", "kill":
			awaitStatus(t, h, "web", "exited")
		case "restart":
			waitForWeb(t, h, initPid(t, h, "web"))
			wantAddr(t, h, host.Inside, "http://127.0.0.1:8080"+addrPage, gateway)
			continue
		}
		wantClosed(t, h, "0.0.0.0:8080")
		if n := publishedRules(t, h); n != 0 {
			t.Errorf("after %s, %d DNAT rules are left", end[0], n)
		}
		if end[0] == "rm" {
			continue
		}
		wantOut(t, h.Run("port", "web"), "")
		if column := portsOf(t, h, "web"); column != "" {
			t.Errorf("after %s, PORTS is %s", end[0], column)
		}
		must(t, h.Run("start", "web"))
		waitForWeb(t, h, initPid(t, h, "web"))
		wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
		wantOut(t, h.Run("port", "web"), "80/tcp -> 0.0.0.0:8080")
	}
}

// TestPortIsHeldWhileTheContainerRuns: no other program can take it, although
// nobody accepts connections there.
func TestPortIsHeldWhileTheContainerRuns(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	runIdle(t, h, "web", "-p", "8080:80", "-p", "8080:80/udp")
	for _, network := range []string{"tcp4", "udp4"} {
		err := h.InHost(func() error { return tryBind(network, "0.0.0.0:8080") })
		if err == nil || !strings.Contains(err.Error(), "address already in use") {
			t.Errorf("%s: another program can take the port: %v", network, err)
		}
	}
	// Nobody listens in the container: its kernel refuses, not the host's.
	if _, err := getFrom(h, host.Outside, "http://192.0.2.1:8080/", patience); !isRefused(err) {
		t.Errorf("want a refusal, got %v", err)
	}
}

// TestPublishWithOtherModes is Docker's behaviour.
func TestPublishWithOtherModes(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	runIdle(t, h, "one")
	r := h.Run("run", "--rm", "-p", "8080:80", "--net", "host", "busybox", "true")
	if r.Code != 0 || r.Stderr != "WARNING: Published ports are discarded when using host network mode\n" {
		t.Errorf("%v", r)
	}
	fails(t, h.Run("run", "--rm", "-p", "8080:80", "--net", "container:a", "busybox", "true"), 125,
		"conflicting options: port publishing and the container type network mode")
	r = h.Run("run", "-d", "--name", "none", "-p", "8080:80", "--net", "none", "busybox", "sleep", "100")
	if r.Code != 0 {
		t.Errorf("%v", r)
	}
	wantClosed(t, h, "0.0.0.0:8080")
	wantOut(t, h.Run("port", "none"), "")
}

// TestBadPorts: a clear error, and nothing has changed.
func TestBadPorts(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	runIdle(t, h, "other") // makes the first directories
	before, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for spec, want := range map[string]string{
		"":                "no container port",
		"a:80":            `host port "a" is not a number`,
		"80:65536":        "container port 65536 is not between 1 and 65535",
		"70000:80":        "host port 70000 is not between 1 and 65535",
		"8080:0":          "container port 0 is not between 1 and 65535",
		"8080:80/icmp":    `unknown protocol "icmp"`,
		"1-3:1-2":         "the host range has 3 ports and the container range 2",
		"9-8:80":          "ends before it begins",
		"1:2:3:4":         "too many colons",
		"1.2.3:80:80":     `"1.2.3" is not an IP address`,
		"1-65535:1-65535": "longer than 8192",
		"-1:80":           `host port "-1" is neither a port nor a range`,
		"[fe80::1]:80:80": "is a link-local address",
	} {
		r := h.Run("run", "--rm", "-p", spec, "busybox", "true")
		fails(t, r, 125, fmt.Sprintf("invalid port mapping %q", spec), want)
	}
	fails(t, h.Run("run", "--rm", "-p", "80:80", "-p", "80:81", "busybox", "true"), 125, "0.0.0.0:80")
	after, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if diff := before.Diff(after); len(diff) > 0 {
		t.Errorf("bad input changed something:\n%s", diff)
	}
}

// TestServesAtOnce: what connects right after run -d returned is not refused by
// the host; the server inside may need a moment.
func TestServesAtOnce(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	begin := time.Now()
	must(t, h.Run(append([]string{"run", "-d", "--name", "web", "-p", "8080:80"}, httpd...)...))
	host.Eventually(t, 5*time.Second, func() error {
		_, err := getFrom(h, host.Inside, "http://127.0.0.1:8080"+addrPage, time.Second)
		return err
	})
	t.Logf("first byte after %v", time.Since(begin).Round(time.Millisecond))
}
