package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/minirt/mini/integration/host"
)

// What the networks of these tests have.
const (
	gateway6  = "fd00:9::1"
	host6     = "fd6d:696e::1" // host.HostIPv6
	outside6  = "fd6d:696e::2" // host.OutsideIPv6
	bothPorts = "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"
)

// host6Port is a port of the host's IPv6 address.
func host6Port(port string) string { return "http://[" + host6 + "]:" + port + addrPage }

// ipv6Host has the networks both, of both families, and six, of IPv6 only.
func ipv6Host(t testing.TB, opts ...host.Option) *host.Host {
	t.Helper()
	h := busyboxHost(t, append(opts, host.IPv6())...)
	must(t, h.Run("network", "create", "--ipv6", "--subnet", "10.9.0.0/24", "--subnet", "fd00:9::/64", "both"))
	must(t, h.Run("network", "create", "--ipv6", "--ipv4=false", "--subnet", "fd00:6::/64", "six"))
	return h
}

// ip6Of gives a container's IPv6 address on a network.
func ip6Of(t testing.TB, h *host.Host, container, network string) string {
	t.Helper()
	return must(t, h.Run("inspect", "-f", "{{(index .NetworkSettings.Networks \""+network+"\").GlobalIPv6Address}}", container))
}

// TestAccessMatrix6 is the access matrix for IPv6, with [::1] in the place of 127.0.0.1.
func TestAccessMatrix6(t *testing.T) {
	for _, nf := range []bool{false, true} {
		for _, backend := range host.Backends {
			t.Run(fmt.Sprintf("bridge-nf-call-ip6tables=%d,%s", map[bool]int{true: 1}[nf], backend), func(t *testing.T) {
				t.Parallel()
				h := ipv6Host(t, host.BridgeNF(nf), host.Iptables(backend))
				m := &matrix{h: h, pids: map[string]int{}}
				m.pids["a"] = runWeb(t, h, "ca", "--net", "both", "-p", "8080:80")
				m.pids["b"] = runIdle(t, h, "cb", "--net", "both")
				m.pids["c"] = runIdle(t, h, "cc", "--net", "six")
				a, b, c := ip6Of(t, h, "ca", "both"), ip6Of(t, h, "cb", "both"), ip6Of(t, h, "cc", "six")
				m.addr = map[string]string{
					"host-ip:8080": "[" + host6 + "]:8080", "[::1]:8080": "[::1]:8080", "bridge:8080": "[" + gateway6 + "]:8080",
					"a:80": "[" + a + "]:80", "host-ip4:8080": "192.0.2.1:8080", "127.0.0.1:8080": "127.0.0.1:8080",
				}
				must(t, h.Outside("ip", "route", "add", "fd00::/16", "via", host6))
				m.checkCells(t, []cell{
					{"a", "host-ip:8080", gateway6}, {"b", "host-ip:8080", gateway6}, {"c", "host-ip:8080", c},
					{"host", "host-ip:8080", host6}, {"host", "[::1]:8080", gateway6}, {"outside", "host-ip:8080", outside6},
					{"b", "bridge:8080", gateway6}, {"host", "bridge:8080", gateway6},
					{"b", "a:80", b}, {"c", "a:80", dropped}, {"outside", "a:80", dropped},
					{"a", "[::1]:8080", refused}, {"outside", "[::1]:8080", refused},
					{"outside", "host-ip4:8080", outside}, {"host", "127.0.0.1:8080", "10.9.0.1"},
				})
			})
		}
	}
}

// TestDualPorts are shown for each family, and have one number.
func TestDualPorts(t *testing.T) {
	t.Parallel()
	h := ipv6Host(t)
	runWeb(t, h, "web", "--net", "both", "-p", "8080:80", "-p", "81", "-p", "82/udp", "-p", "7000-7010:83", "-p", "0.0.0.0:9000:84", "-p", "[::]:9000:85")
	column := portsOf(t, h, "web")
	for _, want := range []string{bothPorts, "0.0.0.0:7000->83/tcp, [::]:7000->83/tcp", "0.0.0.0:9000->84/tcp, [::]:9000->85/tcp"} {
		if !strings.Contains(column, want) {
			t.Errorf("PORTS has no %s: %s", want, column)
		}
	}
	wantOut(t, h.Run("port", "web", "80"), "0.0.0.0:8080\n[::]:8080")
	for _, private := range []string{"81", "82/udp"} {
		four, six, _ := strings.Cut(must(t, h.Run("port", "web", private)), "\n")
		number := strings.TrimPrefix(four, "0.0.0.0:")
		if six != "[::]:"+number {
			t.Errorf("%s is at %s and %s", private, four, six)
		}
	}
	wantOut(t, h.Run("inspect", "-f", `{{json (index .NetworkSettings.Ports "80/tcp")}} {{json (index .HostConfig.PortBindings "80/tcp")}}`, "web"),
		`[{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"::","HostPort":"8080"}] [{"HostIp":"","HostPort":"8080"}]`)
	wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
	wantAddr(t, h, host.Outside, host6Port("8080"), outside6)
	wantAddr(t, h, host.Inside, "http://[::1]:8080"+addrPage, gateway6)
	must(t, h.Run("restart", "-t", "0", "web"))
	wantOut(t, h.Run("port", "web", "80"), "0.0.0.0:8080\n[::]:8080")
}

// TestPortsOfIPv6Only: without a host address they are on [::], and IPv4 has none.
func TestPortsOfIPv6Only(t *testing.T) {
	t.Parallel()
	h := ipv6Host(t)
	pid := runWeb(t, h, "web", "--net", "six", "-p", "8080:80", "-p", "5353:53/udp")
	if column := portsOf(t, h, "web"); column != "[::]:5353->53/udp, [::]:8080->80/tcp" {
		t.Errorf("PORTS is %s", column)
	}
	wantAddr(t, h, host.Outside, host6Port("8080"), outside6)
	wantAddr(t, h, host.Inside, host6Port("8080"), host6)
	wantAddr(t, h, host.Inside, "http://[::1]:8080"+addrPage, "fd00:6::1")
	echoUDP(t, h, pid, "[::]:53")
	for addr, want := range map[string]string{"[" + host6 + "]:5353": host6, "[::1]:5353": "fd00:6::1"} {
		if got, err := askUDP(h, host.Inside, addr); err != nil || got != want {
			t.Errorf("UDP at %s: sees %q, want %s: %v", addr, got, want, err)
		}
	}
	wantClosed(t, h, "127.0.0.1:8080")
	runWeb(t, h, "four", "-p", "8080:80") // the same number of IPv4 is another port
	wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
	wantAddr(t, h, host.Outside, host6Port("8080"), outside6)
}

// TestPortOfLoopback6 is open to the host only, and no rule stands for it.
func TestPortOfLoopback6(t *testing.T) {
	t.Parallel()
	h := ipv6Host(t)
	runWeb(t, h, "web", "--net", "both", "-p", "[::1]:8080:80")
	wantOut(t, h.Run("port", "web"), "80/tcp -> [::1]:8080")
	wantAddr(t, h, host.Inside, "http://[::1]:8080"+addrPage, gateway6)
	for addr, from := range map[string]host.Place{
		host6Port("8080"): host.Outside, "http://[" + gateway6 + "]:8080/": host.Inside, "http://127.0.0.1:8080/": host.Inside, "http://192.0.2.1:8080/": host.Outside,
	} {
		if _, err := getFrom(h, from, addr, patience); !isRefused(err) {
			t.Errorf("%s from %v: want a refusal, got %v", addr, from, err)
		}
	}
	if n := publishedRules(t, h); n != 0 {
		t.Errorf("%d DNAT rules, want none", n)
	}
	runWeb(t, h, "others", "--net", "both", "-p", "["+host6+"]:8080:80", "-p", "0.0.0.0:8080:80")
	wantAddr(t, h, host.Outside, host6Port("8080"), outside6)
	wantAddr(t, h, host.Inside, "http://[::1]:8080"+addrPage, gateway6)
	must(t, h.Run("rm", "-f", "web"))
	if _, err := getFrom(h, host.Inside, "http://[::1]:8080/", patience); !isRefused(err) {
		t.Errorf("without the container: want a refusal, got %v", err)
	}
}

// TestPortsOfTwoFamilies: the same number leads to two containers.
func TestPortsOfTwoFamilies(t *testing.T) {
	t.Parallel()
	h := ipv6Host(t)
	for name, ip := range map[string]string{"four": "0.0.0.0", "six": "[::]"} {
		must(t, h.Run("run", "-d", "--net", "both", "--hostname", name, "--name", name, "-p", ip+":8080:80", "busybox", "nc", "-ll", "-p", "80", "-e", "hostname"))
	}
	for _, c := range []struct {
		from       host.Place
		addr, want string
	}{
		{host.Outside, "192.0.2.1", "four"}, {host.Inside, "127.0.0.1", "four"},
		{host.Outside, host6, "six"}, {host.Inside, "::1", "six"},
	} {
		host.Eventually(t, 5*time.Second, func() error { return readsFrom(h, c.from, net.JoinHostPort(c.addr, "8080"), c.want) })
	}
}

// TestTakenPort6: a port that one family lacks is an error that names the holder,
// and takes nothing.
func TestTakenPort6(t *testing.T) {
	t.Parallel()
	h := ipv6Host(t)
	runIdle(t, h, "other", "--net", "both", "-p", "["+host6+"]:8080:80")
	runIdle(t, h, "four", "-p", "8081:80")
	l, err := h.Listen(host.Inside, "tcp6", "[::1]:8082")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for port, want := range map[string]string{
		"8080": "Bind for [::]:8080 failed: port is already allocated (held by container other)",
		"8081": "Bind for 0.0.0.0:8081 failed: port is already allocated (held by container four)",
		"8082": "Bind for [::]:8082 failed: port is already allocated (held by integration.tes (pid ", // as the kernel cuts it
	} {
		r := h.Run("run", "--rm", "--net", "both", "-p", "9000-9003:9000-9003", "-p", "9004:9004/udp", "-p", port+":80", "busybox", "true")
		fails(t, r, 125, want)
	}
	fails(t, h.Run("run", "--rm", "--net", "both", "-p", "[::1]:8082:80", "busybox", "true"), 125, "Bind for [::1]:8082 failed", "integration.tes")
	fails(t, h.Run("run", "--rm", "--name", "twice", "--net", "both", "-p", "9000:80", "-p", "[::]:9000:81", "busybox", "true"), 125,
		"Bind for [::]:9000 failed: port is already allocated (held by container twice itself)")
	for _, addr := range []string{"[::]:9000", "[::]:9003", "0.0.0.0:9000", "[::1]:8081", "127.0.0.1:8080"} {
		if err := h.InHost(func() error { return tryBind("tcp", addr) }); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if err := h.InHost(func() error { return tryBind("udp6", "[::]:9004") }); err != nil {
		t.Error(err)
	}
	if n := publishedRules(t, h); n != 2 {
		t.Errorf("%d DNAT rules, want the two that were there", n)
	}
}

// TestHostAddressOfAnotherFamily is refused, with what to do instead.
func TestHostAddressOfAnotherFamily(t *testing.T) {
	t.Parallel()
	h := ipv6Host(t)
	for _, c := range []struct{ flags, want string }{
		{"-p [::]:8080:80", "cannot publish [::]:8080->80/tcp on network bridge: it has no IPv6: name an IPv4 address of the host, as in -p 0.0.0.0:8080:80/tcp"},
		{"-p [::1]:8080:80", "it has no IPv6"},
		{"--net six -p 127.0.0.1:8080:80", "cannot publish 127.0.0.1:8080->80/tcp on network six: it has no IPv4: name an IPv6 address of the host, as in -p [::]:8080:80/tcp"},
		{"--net both -p [::1]:8080:80/sctp", "at [::1] mini serves tcp and udp only"},
		{"--net both -p [fd00:77::7]:8080:80", "Bind for [fd00:77::7]:8080 failed: the host has no such address"},
	} {
		fails(t, h.Run(append(append([]string{"run", "--rm"}, strings.Fields(c.flags)...), "busybox", "true")...), 125, c.want)
	}
	for _, c := range []struct{ flags, want string }{
		{"-p [::ffff:1.2.3.4]:8080:80", "in the form of IPv6: want 1.2.3.4"}, {"-p [fe80::1%eth0]:8080:80", "is a link-local address"},
		{"-p [::1]:80", "an IPv6 address stands in brackets"},
	} {
		fails(t, h.Run(append(append([]string{"run", "--rm"}, strings.Fields(c.flags)...), "busybox", "true")...), 125, c.want)
	}
	fails(t, h.Run("--publish-ip", "127.0.0.1", "run", "--rm", "--net", "six", "-p", "80", "busybox", "true"), 125,
		"it has no IPv4, and the default host address is 127.0.0.1")
	for ip, want := range map[string]string{
		"127.0.0.1": "127.0.0.1:8080->80/tcp", "::1": "[::1]:8080->80/tcp", "::": "[::]:8080->80/tcp", "0.0.0.0": bothPorts,
	} {
		must(t, h.Run("--publish-ip", ip, "run", "-d", "--name", "web", "--net", "both", "-p", "8080:80", "busybox", "sleep", "1000"))
		if column := portsOf(t, h, "web"); column != want {
			t.Errorf("--publish-ip %s: PORTS is %s, want %s", ip, column, want)
		}
		must(t, h.Run("rm", "-f", "web"))
	}
}

// TestRestartWithTimeWait6: what is left of connections to [::1], which the
// monitor made, keeps the next one from nothing.
func TestRestartWithTimeWait6(t *testing.T) {
	t.Parallel()
	h := ipv6Host(t)
	runWeb(t, h, "web", "--net", "both", "-p", "8080:80")
	for range 3 {
		wantAddr(t, h, host.Inside, "http://[::1]:8080"+addrPage, gateway6)
		wantAddr(t, h, host.Outside, host6Port("8080"), outside6)
		host.Eventually(t, patience, func() error {
			if must(t, h.Exec("ss", "-H6tn", "state", "time-wait", "sport = 8080")) == "" {
				return errors.New("nothing waits: this shows nothing")
			}
			return nil
		})
		must(t, h.Run("restart", "-t", "0", "web"))
		waitForWeb(t, h, initPid(t, h, "web"))
	}
}

// TestUDPFlowSurvivesARestart6 is TestUDPFlowSurvivesARestart for IPv6.
func TestUDPFlowSurvivesARestart6(t *testing.T) {
	t.Parallel()
	h := ipv6Host(t)
	echoUDP(t, h, runIdle(t, h, "web", "--net", "both", "-p", "5353:53/udp"), "[::]:53")
	for _, addr := range []string{"[" + host6 + "]:5353", "192.0.2.1:5353"} {
		survives(t, h, addr, "[::]:53")
	}
	if got, err := askUDP(h, host.Inside, "[::1]:5353"); err != nil || got != gateway6 {
		t.Errorf("at [::1] it sees %q, %v", got, err)
	}
}

// talk is a connection to a server that echoes.
type talk struct{ net.Conn }

func dialTalk(t testing.TB, h *host.Host, from host.Place, addr string) talk {
	t.Helper()
	var c net.Conn
	host.Eventually(t, patience, func() (err error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if c, err = h.Dial(ctx, from, "tcp", addr); err != nil {
			return err
		}
		if err = (talk{c}).say("hello"); err != nil {
			c.Close()
		}
		return err
	})
	t.Cleanup(func() { c.Close() })
	return talk{c}
}

// say tells whether the text comes back.
func (c talk) say(text string) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, text+"\n"); err != nil {
		return err
	}
	buf := make([]byte, len(text)+1)
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != text+"\n" {
		return fmt.Errorf("%q came back: %w", buf, err)
	}
	return nil
}
