package network

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minirt/mini/network/netns"
)

const (
	host6    = "fd6d:696e::1" // of the world's uplink, see withIPv6
	outside6 = "fd6d:696e::2"
)

// withIPv6 gives both ends of the uplink IPv6 addresses.
func (w *world) withIPv6() {
	w.t.Helper()
	w.sh("ip addr add " + host6 + "/64 dev uplink0 nodad; ip -6 route add default via " + outside6)
	w.in(w.outside, func() error { w.sh("ip addr add " + outside6 + "/64 dev up0 nodad"); return nil })
}

// connects says whether a TCP connection by IPv6 is answered, be it with a refusal.
func (w *world) connects(ns *os.File, ip string, patience time.Duration) bool {
	err := netns.Do(ns, func() error {
		c, err := net.DialTimeout("tcp6", "["+ip+"]:9", patience)
		if err == nil {
			c.Close()
		}
		return err
	})
	return err == nil || errors.Is(err, syscall.ECONNREFUSED)
}

func (w *world) connect(what string, ns *os.File, ip string) {
	w.t.Helper()
	if !w.connects(ns, ip, patient) {
		w.t.Errorf("%s: %s is not reached", what, ip)
	}
}

var office6 = netip.MustParsePrefix("fd00:50::/64")

// TestAdoptIPv6: a bridge that is there gets what it lacks of IPv6, and is left as
// it was found.
func TestAdoptIPv6(t *testing.T) {
	for name, c := range map[string]struct {
		set, gateway string
		any          bool // no subnet is asked for
	}{
		"without an address":       {"", "fd00:50::1", false},
		"IPv6 switched off":        {"sysctl -qw net.ipv6.conf.br0.disable_ipv6=1; ip link set br0 up", "fd00:50::1", false},
		"up, with an address":      {"ip link set br0 up; ip addr add fd00:50::7/64 dev br0 nodad", "fd00:50::7", false},
		"the bridge's subnet":      {"ip addr add fd00:50::7/64 dev br0 nodad; ip addr add 10.50.0.1/24 dev br0; ip link set br0 up", "fd00:50::7", true},
		"address of another range": {"ip addr add fd00:51::7/64 dev br0 nodad; ip link set br0 up", "fd00:50::1", false},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				w.withIPv6()
				w.foundBridge(c.set)
				picture := func() string {
					return w.foundPicture() + w.sh("ip -6 -o addr show br0 scope global | sed 's/^[0-9]*: //'; ip -6 route | grep -v ^fe80 | sed 's/ linkdown//'; cat /proc/sys/net/ipv6/conf/br0/disable_ipv6 /proc/sys/net/ipv6/conf/br0/accept_dad")
				}
				before := picture()
				opt := CreateOptions{Name: "office", Bridge: "br0", IPv6: true}
				if !c.any {
					opt.Subnet6, opt.NoIPv4 = office6, true
				}
				n := w.create(opt)
				if n.Gateway6.String() != c.gateway || n.Subnet6 != office6 || c.any && n.Subnet != office || n.AnySubnet || n.AnySubnet6 {
					t.Errorf("the network is %+v, want the gateway %s", n, c.gateway)
				}
				a, b := w.start(n, "a"), w.start(n, "b")
				host, err := netns.Current()
				w.must(err)
				defer host.Close()
				w.connect("b to a", b.ns, a.ep.IP6.String())
				w.connect("a to the gateway", a.ns, c.gateway)
				w.connect("host to a", host, a.ep.IP6.String())
				w.connect("a to the world", a.ns, outside6)
				w.stop(a)
				w.stop(b)
				w.must(w.m.Remove(context.Background(), n, nil))
				if after := picture(); after != before {
					t.Errorf("the bridge is\n%swas\n%s", after, before)
				}
			})
		})
	}
}

// TestAdoptRefusesIPv6 where the bridge's MTU is too small for it.
func TestAdoptRefusesIPv6(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	w.foundBridge("ip link set br0 mtu 1000 up")
	n := w.create(CreateOptions{Name: "office", Bridge: "br0", IPv6: true})
	wantErr(t, "an MTU of 1000", w.m.Up(context.Background(), n, nil), ErrInvalid, "too small for IPv6")
}

// TestMacvlanIPv6: the container is a neighbour of the outside by IPv6, too.
func TestMacvlanIPv6(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	w.withIPv6()
	n := w.create(CreateOptions{
		Name: "lan", Driver: DriverMacvlan, Options: map[string]string{"parent": "uplink0"}, IPv6: true, NoIPv4: true,
		Subnet6: netip.MustParsePrefix("fd6d:696e::/64"), Gateway6: netip.MustParseAddr(outside6), IPRange6: netip.MustParsePrefix("fd6d:696e::40/124"),
	})
	a := w.start(n, "a")
	if a.ep.IP6.String() != "fd6d:696e::40" || !slices.Equal(a.ep.Addresses(), []netip.Addr{a.ep.IP6}) {
		t.Errorf("the addresses are %v", a.ep.Addresses())
	}
	w.connect("a to outside", a.ns, outside6)
	w.connect("outside to a", w.outside, a.ep.IP6.String())
	w.in(a.ns, func() error {
		if got := w.sh("ip -6 route show default; ip -4 -o addr show dev eth0"); !strings.HasPrefix(got, "default via "+outside6+" dev eth0") || strings.Contains(got, "inet ") {
			t.Errorf("inside: %s", got)
		}
		return nil
	})
}

// TestMACFor: addresses that are on one wire at once differ in their MAC addresses,
// and have the same each time.
func TestMACFor(t *testing.T) {
	for ip, want := range map[string]string{
		"172.17.0.2": "02:42:ac:11:00:02", "fd00:1::2": "02:42:db:1c:83:ef", "fd00:2::2": "02:42:82:7e:2c:1d",
	} {
		if got := macFor(netip.MustParseAddr(ip)); got.String() != want {
			t.Errorf("%s: got %s, want %s", ip, got, want)
		}
	}
	seen := make(map[string]netip.Addr)
	for _, first := range []string{"fd00:1::", "fd00:2::", "fd00:1::dead:beef:0:0", "2001:db8::"} {
		ip := netip.MustParseAddr(first)
		for range 1000 {
			ip = ip.Next()
			for _, mac := range []net.HardwareAddr{macFor(ip), hostMACFor(ip)} {
				if mac[0]&3 != 2 {
					t.Errorf("%s: %s is not a local address of one station", ip, mac)
				}
				if other, twice := seen[mac.String()]; twice {
					t.Errorf("%s and %s have one MAC address, %s", ip, other, mac)
				}
				seen[mac.String()] = ip
			}
		}
	}
}

// TestMACBesideTheGateway: of addresses made up so that the hash collides.
func TestMACBesideTheGateway(t *testing.T) {
	gateway, far := netip.MustParseAddr("fd00:1::1"), netip.MustParseAddr("fd00:1::9:0:0").As16()
	want := macFor(gateway)
	for i, b := range macFor(netip.AddrFrom16(far))[2:] {
		far[12+i] = b ^ want[2+i]
	}
	ip := netip.AddrFrom16(far)
	if got := macFor(ip); got.String() != want.String() {
		t.Fatalf("%s was to have the MAC address %s of %s, and has %s", ip, want, gateway, got)
	}
	if got := macBeside(gateway, ip); got.String() == want.String() || got[0]&3 != 2 || got.String() == hostMACFor(ip).String() {
		t.Errorf("beside the gateway %s, which has %s, %s has %s", gateway, want, ip, got)
	}
	if got := macBeside(gateway, netip.MustParseAddr("fd00:1::2")); got.String() != macFor(netip.MustParseAddr("fd00:1::2")).String() {
		t.Errorf("an address without a collision has another MAC address, %s", got)
	}
}

// TestIPv6AddressChangesHands: who has the former owner in its neighbour cache
// reaches the new one at once, whatever its MAC address.
func TestIPv6AddressChangesHands(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		n := w.create(CreateOptions{Name: "six", IPv6: true, NoIPv4: true, Subnet6: office6})
		peer := w.start(n, "peer")
		for i := range 10 {
			spec := w.spec("owner")
			spec.IP6, spec.MAC = netip.MustParseAddr("fd00:50::77"), net.HardwareAddr{2, 0, 0, 0, 0, byte(i)}
			b := w.startSpec(n, spec)
			begin := time.Now()
			for !w.connects(peer.ns, "fd00:50::77", 10*time.Millisecond) && time.Since(begin) < patient {
				continue
			}
			if took := time.Since(begin); took > 100*time.Millisecond {
				t.Errorf("owner %d is reached after %v", i, took)
			}
			w.stop(b)
		}
	})
}

// TestDotInTheNameOfABridge: the kernel has a file for the settings of a link of any
// name.
func TestDotInTheNameOfABridge(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	n := w.create(CreateOptions{Name: "vlan", Bridge: "br.5", IPv6: true})
	a, b := w.start(n, "a"), w.start(n, "b")
	w.connect("b to a", b.ns, a.ep.IP6.String())
	for _, key := range []string{"ipv4/conf/br.5/route_localnet", "ipv6/conf/br.5/forwarding"} {
		if got := strings.TrimSpace(w.sh("cat /proc/sys/net/" + key)); got != "1" {
			t.Errorf("%s is %s", key, got)
		}
	}
	w.stop(a)
	w.stop(b)
	w.must(w.m.Remove(context.Background(), n, nil))
}
