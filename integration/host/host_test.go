package host

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMachineIsNotTouched is not parallel: the parallel tests of the package,
// which leak on purpose, run after it.
func TestMachineIsNotTouched(t *testing.T) {
	RequireRoot(t)
	before, err := Machine()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("busy host", func(t *testing.T) {
		h := New(t, BridgeNF(true), IPv6())
		h.MustExec("sh", "-ec", `ip link add b0 type bridge && ip link set b0 up && ip addr add 10.9.0.1/24 dev b0
			sysctl -qw net.ipv4.ip_forward=1; iptables -t nat -A POSTROUTING -s 10.9.0.0/24 -j MASQUERADE
			mount -t tmpfs x /mnt; mkdir /run/netns; hostname other
			umount /mnt; rmdir /run/netns; iptables -t nat -F; sysctl -qw net.ipv4.ip_forward=0; ip link del b0`)
	})
	after, err := Machine()
	if err != nil {
		t.Fatal(err)
	}
	if diff := before.Diff(after); len(diff) > 0 {
		t.Errorf("the machine changed:\n%s", diff)
	}
}

func TestTrafficBothWays(t *testing.T) {
	t.Parallel()
	h := New(t, IPv6())
	for _, c := range []struct {
		at, from Place
		addr     string
		client   string
	}{
		{Outside, Inside, "192.0.2.2:8001", "192.0.2.1"},
		{Inside, Outside, "192.0.2.1:8002", "192.0.2.2"},
		{Inside, Inside, "127.0.0.1:8003", "127.0.0.1"},
		{Outside, Inside, "[fd6d:696e::2]:8004", "fd6d:696e::1"},
	} {
		if err := h.ServeAddr(c.at, c.addr); err != nil {
			t.Fatal(err)
		}
		got, err := h.HTTPGet(c.from, "http://"+c.addr+"/")
		if err != nil {
			t.Fatal(err)
		}
		if got.Status != 200 || got.Body != c.client || !strings.HasPrefix(strings.Trim(got.Local, "["), c.client) {
			t.Errorf("%s from %v: got %+v, want client %s", c.addr, c.from, got, c.client)
		}
	}
	if _, err := h.HTTPGet(Inside, "http://127.0.0.1:8001/"); err == nil {
		t.Error("the outside's server answers on the host's loopback")
	}
	conn, err := h.Dial(context.Background(), Outside, "tcp", "192.0.2.1:8002")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestNamespacesArePrivate(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	resolv := "nameserver 192.0.2.2\n"
	h := New(t, Name("alpha"), File("/etc/hosts", resolv), Env("COLOUR=blue"))
	for cmd, want := range map[string]string{
		"hostname":                          "alpha",
		"cat /etc/hosts":                    strings.TrimSpace(resolv),
		"ls -A /run":                        "",
		"ls /sys/class/net":                 "lo\nuplink0",
		"echo $COLOUR":                      "blue",
		"stat -fc %T /run":                  "tmpfs",
		"pwd":                               "/",
		"ls " + h.Root:                      "",
		"ls -d " + tmp:                      tmp,
		"cat /proc/sys/net/ipv4/ip_forward": "0",
	} {
		if got := h.MustExec("sh", "-c", cmd); got != want {
			t.Errorf("%s: got %q, want %q", cmd, got, want)
		}
	}
	if got := h.MustOutside("ls", "/proc/sys/net/ipv4/conf"); !strings.Contains(got, OutsideLink) {
		t.Errorf("outside has the links %q", got)
	}
	if name, err := os.Hostname(); err != nil || name == "alpha" {
		t.Errorf("the machine is called %s, %v", name, err)
	}
}

func TestOptionsReachTheKernel(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{true, false} {
		for _, backend := range []Backend{NFT, Legacy} {
			t.Run(fmt.Sprintf("bridge-nf %v on %s", on, backend), func(t *testing.T) {
				t.Parallel()
				h := New(t, BridgeNF(on), Iptables(backend))
				want := map[bool]string{true: "1", false: "0"}[on]
				got := h.MustExec("cat", "/proc/sys/net/bridge/bridge-nf-call-iptables")
				if got != want {
					t.Errorf("bridge-nf-call-iptables: got %s, want %s", got, want)
				}
				version := h.MustExec("iptables", "--version")
				if strings.Contains(version, "nf_tables") != (backend == NFT) {
					t.Errorf("got %s, want the %s backend", version, backend)
				}
			})
		}
	}
}

func TestCommandResults(t *testing.T) {
	t.Parallel()
	h := New(t)
	for _, c := range []struct {
		cmd     Command
		out     string
		code    int
		errText string
	}{
		{Command{Args: []string{"cat"}, Stdin: "hello"}, "hello", 0, ""},
		{Command{Args: []string{"sh", "-c", "exit 7"}}, "", 7, ""},
		{Command{Args: []string{"sh", "-c", "kill -TERM $$"}}, "", 143, ""},
		{Command{Args: []string{"pwd"}, Dir: "/usr"}, "/usr", 0, ""},
		{Command{Args: []string{"sh", "-c", "echo $A"}, Env: []string{"A=1"}}, "1", 0, ""},
		{Command{Args: []string{"no-such-program"}}, "", -1, "not installed"},
		{Command{Args: []string{"sleep", "60"}, Timeout: 50 * time.Millisecond}, "", -1, "more than 50ms"},
	} {
		r := h.Do(c.cmd)
		if r.Code != c.code || r.Out() != c.out || (r.Err != nil) != (c.errText != "") {
			t.Errorf("%v: want code %d, output %q", r, c.code, c.out)
		}
		if r.Err != nil && !strings.Contains(r.Err.Error(), c.errText) {
			t.Errorf("%v: want an error with %q", r, c.errText)
		}
	}
	if !strings.Contains(h.Exec("sh", "-c", "echo oops >&2; exit 3").String(), "oops") {
		t.Error("String does not show standard error")
	}
}

func TestOutputLeftOpenIsAnError(t *testing.T) {
	t.Parallel()
	h := New(t)
	r := h.Exec("sh", "-c", "sleep 30 & echo $! >"+filepath.Join(h.Dir, "pid"))
	if r.Err == nil || !strings.Contains(r.Err.Error(), "left its standard output") {
		t.Errorf("%v", r)
	}
	h.MustExec("sh", "-c", "kill $(cat "+filepath.Join(h.Dir, "pid")+")")
}

func TestStart(t *testing.T) {
	t.Parallel()
	h := New(t)
	p := h.Start(Command{Args: []string{"sh", "-c", "trap 'exit 4' TERM; echo ready; while :; do sleep 0.01; done"}})
	Eventually(t, 5*time.Second, func() error {
		if p.Stdout() != "ready\n" {
			return fmt.Errorf("got %q", p.Stdout())
		}
		return nil
	})
	if r := p.Wait(0); r.Err == nil {
		t.Errorf("it has ended: %v", r)
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if r := p.Wait(5 * time.Second); r.Code != 4 {
		t.Errorf("want exit code 4: %v", r)
	}
	h.Start(Command{Args: []string{"sleep", "1000"}}) // the cleanup kills it
}

func TestPty(t *testing.T) {
	t.Parallel()
	h := New(t)
	p := h.Pty(Command{Args: []string{"sh", "-i"}})
	step := func(send, expect string) string {
		t.Helper()
		if err := p.Send(send); err != nil {
			t.Fatal(err)
		}
		got, err := p.Expect(expect, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	step("tty; echo do''ne\r", `/dev/pts/\d+\r\ndone`)
	if err := p.Resize(132, 43); err != nil {
		t.Fatal(err)
	}
	step("stty size\r", "43 132")
	step("(echo star''ted; exec sleep 100)\r", "started\r\n")
	step("\x03", `[#$] $`)
	if _, err := p.Expect("never shown", 20*time.Millisecond); err == nil {
		t.Error("Expect saw what is not there")
	}
	if err := p.Send("exit 3\r"); err != nil {
		t.Fatal(err)
	}
	if r := p.Wait(10 * time.Second); r.Code != 3 {
		t.Errorf("%v\n%s", r, p.Screen())
	}
	if _, err := p.Expect("never shown", 10*time.Second); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("got %v, want that the terminal is closed", err)
	}
}

func TestInHostTellsOfFatal(t *testing.T) {
	t.Parallel()
	h := New(t)
	err := h.InHost(func() error { goexit(); return nil })
	if err == nil || !strings.Contains(err.Error(), "t.Fatal") {
		t.Errorf("got %v", err)
	}
	if err := h.InHost(func() error { return net.ErrClosed }); err != net.ErrClosed {
		t.Errorf("got %v", err)
	}
}

func TestPollIsBounded(t *testing.T) {
	calls := 0
	err := Poll(5*time.Millisecond, func() error { calls++; return os.ErrNotExist })
	if err == nil || calls < 2 {
		t.Errorf("got %v after %d calls", err, calls)
	}
	if err := Poll(0, func() error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestInNetnsOf(t *testing.T) {
	t.Parallel()
	h := New(t)
	p := h.Start(Command{Args: []string{"unshare", "-n", "sh", "-c", "ip link set lo up; echo up; exec sleep 100"}})
	Eventually(t, 5*time.Second, func() error {
		if p.Stdout() == "" {
			return fmt.Errorf("no namespace yet: %s", p.Stderr())
		}
		return nil
	})
	var names []string
	err := h.InNetnsOf(p.Pid(), func() error {
		ifaces, err := net.Interfaces()
		for _, i := range ifaces {
			names = append(names, i.Name)
		}
		return err
	})
	if err != nil || len(names) != 1 || names[0] != "lo" {
		t.Errorf("got %v, %v; want lo alone", names, err)
	}
}
