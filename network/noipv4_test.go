package network

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minirt/mini/network/netns"
)

// mailbox listens for datagrams by IPv4 at port 9 of a namespace.
func (w *world) mailbox(ns *os.File) *net.UDPConn {
	w.t.Helper()
	var box *net.UDPConn
	w.in(ns, func() (err error) {
		box, err = net.ListenUDP("udp4", &net.UDPAddr{Port: 9})
		return err
	})
	w.t.Cleanup(func() { box.Close() })
	return box
}

// got says whether something arrives within a time.
func (w *world) got(box *net.UDPConn, within time.Duration) bool {
	w.t.Helper()
	w.must(box.SetReadDeadline(time.Now().Add(within)))
	_, err := box.Read(make([]byte, 16))
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		w.t.Error(err)
	}
	return err == nil
}

// post sends a datagram by IPv4.
func (w *world) post(ns *os.File, to string) {
	w.t.Helper()
	w.in(ns, func() error {
		c, err := net.Dial("udp4", to+":9")
		if err != nil {
			return err
		}
		_, err = c.Write([]byte("secret"))
		return errors.Join(err, c.Close())
	})
}

// TestNoIPv4WhereThereIsNone: from a network of IPv6 alone nothing gets to the host
// or the world by IPv4, be it that a container gives itself an address.
func TestNoIPv4WhereThereIsNone(t *testing.T) {
	for name, opt := range map[string]CreateOptions{"bridge": {}, "internal": {Internal: true}, "ptp": {Driver: DriverPtp}, "internal ptp": {Driver: DriverPtp, Internal: true}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "iptables-nft", "0")
			w.sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0")
			opt.Name, opt.IPv6, opt.NoIPv4, opt.Subnet6 = "six", true, true, office6
			n := w.create(opt)
			a := w.start(n, "a")
			link := n.Bridge
			if n.Driver == DriverPtp {
				link = a.ep.HostLink
			}
			at := strings.TrimSpace(w.sh("ip -o link show dev " + link + " | grep -o 'link/ether [^ ]*' | cut -d' ' -f2"))
			w.in(a.ns, func() error {
				w.sh("ip addr add 10.9.9.2/24 dev eth0; ip neigh add 10.9.9.1 lladdr " + at + " dev eth0; ip route add default via 10.9.9.1")
				return nil
			})
			host, err := netns.Current()
			w.must(err)
			defer host.Close()
			for to, box := range map[string]*net.UDPConn{hostAddr: w.mailbox(host), outsideAddr: w.mailbox(w.outside)} {
				if w.post(a.ns, to); w.got(box, impatient) {
					t.Errorf("a packet reached %s", to)
				}
				key := linkKey("ipv4", link, "rp_filter")
				w.must(writeSysctl(key, "0"))
				if w.post(a.ns, to); !w.got(box, patient) {
					t.Errorf("without mini's setting the attack on %s does not work", to)
				}
				w.mended(a, key)
			}
			w.stop(a)
		})
	}
}

// mended lets doctor find a setting that is not as it should be, and repair it.
func (w *world) mended(a *box, key string) {
	w.t.Helper()
	ctx := context.Background()
	found, err := w.m.Diagnose(ctx, Census{
		Running: func(string) *Running { return &Running{Pid: os.Getpid(), Netns: a.ns} },
		Known:   func(string) bool { return true },
	})
	w.must(err)
	found = slices.DeleteFunc(found, func(f Finding) bool { return !strings.Contains(f.What, key) })
	if len(found) != 1 {
		w.t.Errorf("doctor says of %s: %+v", key, found)
	}
	w.must(w.m.Repair(ctx, found, nil))
	if !sysctlIs(key, "1") {
		w.t.Errorf("%s is not repaired", key)
	}
}
