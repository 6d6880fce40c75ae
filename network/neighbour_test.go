package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minirt/mini/network/netns"
)

// reached says how long it takes until an address answers, be it with a refusal.
// A packet to a former owner gets no answer, so each try is short.
func (w *world) reached(ns *os.File, ip string) time.Duration {
	w.t.Helper()
	begin := time.Now()
	for time.Since(begin) < 5*time.Second {
		err := netns.Do(ns, func() error {
			c, err := net.DialTimeout("tcp4", ip+":9", 10*time.Millisecond)
			if err == nil {
				c.Close()
			}
			return err
		})
		if err == nil || errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
	}
	return time.Since(begin)
}

// TestAddressChangesHands: who has the former owner in its neighbour cache reaches
// the new one within 100 ms, not counting what an exchange with an address that
// is well known takes at the same time.
func TestAddressChangesHands(t *testing.T) {
	for name, macs := range map[string][2]string{
		"own MAC addresses": {"02:00:00:00:0a:0a", "02:00:00:00:0b:0b"},
		"derived":           {},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				n := w.find(Bridge)
				ip := "172.17.0.77"
				peer := w.start(n, "peer")
				host, err := netns.Current()
				w.must(err)
				defer host.Close()
				for i := range 10 {
					b := w.startAt(n, fmt.Sprint("owner", i), ip, macs[i%2])
					for _, who := range []struct {
						name  string
						ns    *os.File
						knows string
					}{{"a neighbour", peer.ns, n.Gateway.String()}, {"the host", host, w.addr(peer)}} {
						took, usual := w.reached(who.ns, ip), w.reached(who.ns, who.knows)
						if took > 100*time.Millisecond+usual {
							t.Errorf("%s reaches owner %d after %v; an exchange takes %v", who.name, i, took, usual)
						}
					}
					w.stop(b)
				}
			})
		})
	}
}

// startAt starts a container with an address and a MAC address, which may be "".
func (w *world) startAt(n *Network, name, ip, mac string) *box {
	w.t.Helper()
	spec := w.spec(name)
	spec.IP = netip.MustParseAddr(ip)
	if mac != "" {
		hw, err := net.ParseMAC(mac)
		w.must(err)
		spec.MAC = hw
	}
	return w.startSpec(n, spec)
}

// TestNeighboursAreForgotten: the host's table of neighbours has no entry of a
// container that died or left.
func TestNeighboursAreForgotten(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	n := w.create(CreateOptions{Name: "both", IPv6: true})
	host, err := netns.Current()
	w.must(err)
	defer host.Close()
	entries := func() string { return w.sh("ip neigh show dev " + n.Bridge + " | grep -v ^fe80 || true") }
	for i, end := range []func(*box){w.stop, func(b *box) {
		w.must(w.m.DisconnectPlan(b.ep, b.ns).RunAll(context.Background(), nil))
		w.must(w.m.Release(b.ep))
	}} {
		b := w.start(n, fmt.Sprint("box", i))
		w.connect("host", host, b.ep.IP6.String())
		w.reached(host, w.addr(b))
		for _, ip := range b.ep.Addresses() {
			if !strings.Contains(entries(), ip.String()+" lladdr "+b.ep.MAC.String()) {
				t.Errorf("the host does not know %s: %s", ip, entries())
			}
		}
		end(b)
		if left := entries(); left != "" {
			t.Errorf("left: %s", left)
		}
	}
}
