package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

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
	wantErr(t, "a bad address", err, ErrInvalid, `option com.docker.network.bridge.host_binding_ipv4: "x" is not an IPv4 address`)
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
