package network

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/port"
)

// hostPorts gives the host ports of a container, as text.
func (b *box) hostPorts() string {
	var words []string
	for _, p := range b.ep.Ports {
		words = append(words, fmt.Sprintf("%s:%d", p.HostIP, p.HostPort))
	}
	return strings.Join(words, " ")
}

// TestEphemeralPorts come from ip_local_port_range without
// ip_local_reserved_ports: the kernel sees to it when it binds port 0.
func TestEphemeralPorts(t *testing.T) {
	w := makeWorld(t, "iptables-nft", "0")
	def := w.find(Bridge)
	for _, proto := range []string{"tcp", "udp"} {
		w.sh("echo 20000 20009 >/proc/sys/net/ipv4/ip_local_port_range; echo 20000-20003,20005-20008 >/proc/sys/net/ipv4/ip_local_reserved_ports")
		a := w.start(def, "a"+proto, "80/"+proto, "81/"+proto)
		var got []uint16
		for _, p := range a.ep.Ports {
			got = append(got, p.HostPort)
		}
		if slices.Sort(got); !slices.Equal(got, []uint16{20004, 20009}) {
			t.Errorf("%s: got %v, want the two that are not reserved", proto, got)
		}
		_, err := w.m.Reserve(def, w.spec("b", "80/"+proto))
		wantErr(t, "no port left", err, port.ErrInUse, "no "+proto+" port of net.ipv4.ip_local_port_range is free")
		w.sh("echo >/proc/sys/net/ipv4/ip_local_reserved_ports")
		w.start(def, "c"+proto, "80/"+proto) // so they were free but for the reservation
	}
}

// TestPortsOfOneContainerLeaveEachOtherRoom: a port that could be any, or one
// of a range, does not take what another flag names, whatever their order.
func TestPortsOfOneContainerLeaveEachOtherRoom(t *testing.T) {
	w := makeWorld(t, "iptables-nft", "0")
	w.sh("echo 20000 20001 >/proc/sys/net/ipv4/ip_local_port_range")
	a := w.start(w.find(Bridge), "a", "80", "8000-8001:81", "20001:82", "8000:83", "84/udp", "20000:85/udp")
	if got, want := a.hostPorts(), "0.0.0.0:20000 0.0.0.0:8001 0.0.0.0:20001 0.0.0.0:8000 0.0.0.0:20001 0.0.0.0:20000"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestDefaultHostAddress: what the flag names, else what the network says,
// else what the container says, else all.
func TestDefaultHostAddress(t *testing.T) {
	w := makeWorld(t, "iptables-nft", "0")
	_, err := w.m.Create(CreateOptions{Name: "bad", Options: map[string]string{hostBinding: "x"}})
	wantErr(t, "a bad address", err, ErrInvalid, `option com.docker.network.bridge.host_binding_ipv4: "x" is not an IP address`)
	local := w.create(CreateOptions{Name: "local", Options: map[string]string{hostBinding: "127.0.0.2"}})
	for _, c := range []struct {
		network *Network
		general string
		want    string
	}{
		{w.find(Bridge), "", "0.0.0.0:81 192.0.2.1:82"},
		{w.find(Bridge), "127.0.0.1", "127.0.0.1:81 192.0.2.1:82"},
		{local, "127.0.0.1", "127.0.0.2:81 192.0.2.1:82"},
	} {
		spec := w.spec("a", "81:80", "192.0.2.1:82:80")
		if c.general != "" {
			spec.HostIP = netip.MustParseAddr(c.general)
		}
		ep, err := w.m.Reserve(c.network, spec)
		w.must(err)
		b := &box{ep: ep}
		if got := b.hostPorts(); got != c.want {
			t.Errorf("on %s with %q: %s, want %s", c.network.Name, c.general, got, c.want)
		}
		w.must(w.m.Release(ep))
	}
}

// servePort answers connections in a namespace with the server's own port, and
// keeps them open.
func (w *world) servePort(ns *os.File, number int) {
	w.t.Helper()
	var l net.Listener
	w.in(ns, func() (err error) {
		l, err = net.Listen("tcp4", fmt.Sprintf(":%d", number))
		return err
	})
	var open []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open = append(open, c)
			fmt.Fprintln(c, number)
		}
	}()
	w.t.Cleanup(func() {
		l.Close()
		<-done
		for _, c := range open {
			c.Close()
		}
	})
}

// portAt gives which port of a container answers at an address of the host,
// called from outside with a certain source port. The connection stays open.
func (w *world) portAt(addr string, source int) (answer string) {
	w.t.Helper()
	w.in(w.outside, func() error {
		reuse := func(_, _ string, c syscall.RawConn) (err error) {
			if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) }); e != nil {
				return e
			}
			return err
		}
		d := net.Dialer{Timeout: patient, LocalAddr: &net.TCPAddr{Port: source}, Control: reuse}
		c, err := d.Dial("tcp4", addr)
		if err != nil {
			return err
		}
		w.t.Cleanup(func() { c.Close() })
		if err := c.SetDeadline(time.Now().Add(patient)); err != nil {
			return err
		}
		answer, err = bufio.NewReader(c).ReadString('\n')
		return err
	})
	return strings.TrimSpace(answer)
}

// TestRanges: a range with the same numbers on both sides is one rule. Each port
// reaches its own, also for a client that calls two addresses of the host with
// one source port.
func TestRanges(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			w.sh("ip addr add 192.0.2.9/24 dev uplink0")
			a := w.start(w.find(Bridge), "a", "8000-8099:8000-8099", "9000-9009:8000-8009")
			if n := len(a.ep.Rules); n != 1+10 {
				t.Errorf("%d rules, want one for the first range and ten for the second", n)
			}
			for _, p := range []int{8005, 8006} {
				w.servePort(a.ns, p)
			}
			for i, base := range []int{8000, 9000} {
				for _, offset := range []int{5, 6} {
					for _, host := range []string{hostAddr, "192.0.2.9"} {
						addr := fmt.Sprintf("%s:%d", host, base+offset)
						if got, want := w.portAt(addr, 40000+10*i+offset), fmt.Sprint(8000+offset); got != want {
							t.Errorf("%s reaches port %s, want %s", addr, got, want)
						}
					}
				}
			}
			// Why the second range has ten rules: with one, the kernel counts on.
			w.must(w.m.fw().RemoveAll(context.Background(), a.ep.Rules[1:]))
			w.sh(backend + " -t nat -A DOCKER -p tcp --dport 9000:9009 -j DNAT --to-destination 172.17.0.2:8000-8009/9000")
			first, second := w.portAt(hostAddr+":9005", 40100), w.portAt("192.0.2.9:9005", 40100)
			if first != "8005" {
				t.Errorf("with a rule for the range, port 9005 reaches %s", first)
			}
			if second == "8005" {
				t.Log("this kernel would do with one rule")
			}
		})
	}
}
