package network

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/network/port"
)

// familyNet is a network with these families.
func familyNet(four, six bool) *Network {
	n := &Network{Name: "n", Driver: DriverBridge}
	if four {
		n.Subnet = netip.MustParsePrefix("10.1.0.0/24")
	}
	if six {
		n.Subnet6 = netip.MustParsePrefix("fd00:1::/64")
	}
	return n
}

// TestAddHostIP: where a port is published depends on the families of the network
// and on the defaults.
func TestAddHostIP(t *testing.T) {
	nets := map[string]*Network{"4": familyNet(true, false), "6": familyNet(false, true), "46": familyNet(true, true)}
	for _, c := range []struct{ net, spec, general, own, want string }{
		{"4", "8080:80", "", "", "0.0.0.0:8080->80/tcp"},
		{"6", "8080:80", "", "", "[::]:8080->80/tcp"},
		{"46", "8080:80", "", "", "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"},
		{"46", "8080-8090:80/udp", "", "", "0.0.0.0:8080-8090->80/udp, [::]:8080-8090->80/udp"},
		{"46", "0.0.0.0:8080:80", "", "", "0.0.0.0:8080->80/tcp"},
		{"46", "[::]:8080:80", "127.0.0.1", "", "[::]:8080->80/tcp"},
		{"46", "80", "127.0.0.1", "", "127.0.0.1->80/tcp"},
		{"46", "80", "::1", "", "[::1]->80/tcp"},
		{"46", "80", "::", "", "[::]->80/tcp"},
		{"46", "80", "0.0.0.0", "", "0.0.0.0->80/tcp, [::]->80/tcp"},
		{"6", "80", "0.0.0.0", "", "[::]->80/tcp"},
		{"46", "80", "127.0.0.1", "0.0.0.0", "0.0.0.0->80/tcp, [::]->80/tcp"},
		{"46", "80", "127.0.0.1", "fd00::1", "[fd00::1]->80/tcp"},
		{"4", "80", "fd00::1", "192.0.2.1", "192.0.2.1->80/tcp"},
	} {
		n := *nets[c.net]
		n.Options = map[string]string{hostBinding: c.own}
		ports, err := port.Parse(c.spec)
		if err == nil {
			general, _ := netip.ParseAddr(c.general) // none is the zero one
			err = n.addHostIP(ports, general)
		}
		if err != nil || ports[0].String() != c.want {
			t.Errorf("%+v: got %s, %v", c, ports[0], err)
		}
		// What a restart asks for gives the same.
		again := []port.Mapping{ports[0]}
		if err := n.addHostIP(again, netip.MustParseAddr("127.0.0.1")); err != nil || again[0] != ports[0] {
			t.Errorf("%+v: again it gives %s, %v", c, again[0], err)
		}
	}
}

// TestAddHostIPRefuses host addresses of a family that the network lacks.
func TestAddHostIPRefuses(t *testing.T) {
	for _, c := range []struct {
		n                   *Network
		spec, general, want string
	}{
		{familyNet(true, false), "[::]:8080:80", "", "cannot publish [::]:8080->80/tcp on network n: it has no IPv6: name an IPv4 address of the host, as in -p 0.0.0.0:8080:80/tcp, or use a network made with --ipv6"},
		{familyNet(true, false), "[::]::80", "", "cannot publish [::]->80/tcp on network n"},
		{familyNet(true, false), "80", "::1", "it has no IPv6, and the default host address is ::1"},
		{familyNet(false, true), "127.0.0.1:8080:80", "", "cannot publish 127.0.0.1:8080->80/tcp on network n: it has no IPv4: name an IPv6 address of the host, as in -p [::]:8080:80/tcp"},
		{familyNet(false, true), "80", "127.0.0.1", "it has no IPv4, and the default host address is 127.0.0.1"},
		{familyNet(true, true), "[::1]:8080:80/sctp", "", "at [::1] mini serves tcp and udp only"},
	} {
		ports, err := port.Parse(c.spec)
		if err == nil {
			general, _ := netip.ParseAddr(c.general) // none is the zero one
			err = c.n.addHostIP(ports, general)
		}
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %s: got %v, want %s", c.spec, c.general, err, c.want)
		}
	}
	closed := familyNet(true, false)
	closed.Internal = true // it publishes nothing, and says so elsewhere
	if err := closed.addHostIP([]port.Mapping{{HostIP: netip.IPv6Unspecified(), ContainerPort: 80, Proto: port.TCP}}, netip.Addr{}); err != nil {
		t.Error(err)
	}
}

// TestPlace: each family is translated or routed on its own.
func TestPlace(t *testing.T) {
	dual := port.Mapping{HostIP: netip.IPv4Unspecified(), Dual: true, HostPort: 8080, ContainerPort: 80, Proto: port.TCP}
	for _, c := range []struct {
		mode, mode6, want string
		p                 port.Mapping
	}{
		{"", "", "[0.0.0.0:8080->80/tcp, [::]:8080->80/tcp] []", dual},
		{"", firewall.ModeRouted, "[0.0.0.0:8080->80/tcp] [[::]->80/tcp]", dual},
		{firewall.ModeRouted, "", "[[::]:8080->80/tcp] [0.0.0.0->80/tcp]", dual},
		{firewall.ModeRouted, firewall.ModeRouted, "[] [0.0.0.0->80/tcp, [::]->80/tcp]", dual},
		{firewall.ModeRouted, "", "[[::]:8080->80/tcp] []", dual.Only6()},
		{"", firewall.ModeRouted, "[] [[::]->80/tcp]", dual.Only6()},
	} {
		n := familyNet(true, true)
		n.GatewayMode, n.GatewayMode6 = c.mode, c.mode6
		held, open := n.place(c.p)
		if got := fmt.Sprint(held, open); got != c.want {
			t.Errorf("%+v: got %s", c, got)
		}
	}
}

// TestServe6Step names what begins and what ends, with what one would do by hand.
func TestServe6Step(t *testing.T) {
	ip := netip.MustParseAddr("fd00:1::2")
	dual := port.Mapping{HostIP: netip.IPv4Unspecified(), Dual: true, HostPort: 8080, ContainerPort: 80, Proto: port.TCP}
	local := port.Mapping{HostIP: netip.IPv6Loopback(), HostPort: 53, ContainerPort: 53, Proto: port.UDP}
	far := port.Mapping{HostIP: netip.MustParseAddr("fd00::1"), HostPort: 1, ContainerPort: 1, Proto: port.TCP}
	four := &Endpoint{Ports: []port.Mapping{dual.Only4(), far}, IP6: ip}
	both := &Endpoint{Ports: []port.Mapping{dual, local, far}, IP6: ip}
	for _, c := range []struct {
		before, after *Endpoint
		want          string
	}{
		{&Endpoint{}, four, ""}, {four, four, ""}, {both, both, ""}, {&Endpoint{}, &Endpoint{Ports: both.Ports}, ""},
		{&Endpoint{}, both, "pass [::1]:8080->80/tcp and 1 more on to the container: # socat TCP6-LISTEN:8080,bind=[::1],reuseaddr,fork TCP6:[fd00:1::2]:80 # socat UDP6-LISTEN:53,bind=[::1],fork UDP6:[fd00:1::2]:53"},
		{both, four, "pass nothing more on from [::1]:8080->80/tcp and 1 more:"},
		{both, &Endpoint{Ports: both.Ports[1:], IP6: ip}, "pass nothing more on from [::1]:8080->80/tcp:"},
		{both, &Endpoint{Ports: both.Ports[1:], IP6: ip.Next()}, "pass [::1]:53->53/udp on to the container: # socat UDP6-LISTEN:53,bind=[::1],fork UDP6:[fd00:1::3]:53"},
	} {
		got := ""
		for _, s := range stepServe6(c.before, c.after) {
			got = strings.TrimSpace(s.Name + ": " + strings.Join(s.Cmds, " "))
		}
		if got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
