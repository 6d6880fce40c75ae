package integration

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/integration/host"
)

// advertisement is a frame with a router advertisement from fe80::bad that is good
// for half an hour, see RFC 4861, section 4.2.
func advertisement() []byte {
	icmp := make([]byte, 16)
	icmp[0], icmp[4] = 134, 64
	binary.BigEndian.PutUint16(icmp[6:], 1800)
	from, to := netip.MustParseAddr("fe80::bad").As16(), netip.MustParseAddr("ff02::1").As16()
	pseudo := append(append(append([]byte{}, from[:]...), to[:]...), 0, 0, 0, byte(len(icmp)), 0, 0, 0, unix.IPPROTO_ICMPV6)
	binary.BigEndian.PutUint16(icmp[2:], checksum(append(pseudo, icmp...)))

	frame := []byte{0x33, 0x33, 0, 0, 0, 1, 0x02, 0xba, 0xd0, 0, 0, 1, 0x86, 0xdd}
	frame = append(frame, 0x60, 0, 0, 0, 0, byte(len(icmp)), unix.IPPROTO_ICMPV6, 255)
	return append(append(append(frame, from[:]...), to[:]...), icmp...)
}

// checksum is that of RFC 1071.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// sendFrame puts a frame on a link of the calling thread's namespace, as a program
// with CAP_NET_RAW can.
func sendFrame(link string, frame []byte) error {
	l, err := net.InterfaceByName(link)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a packet socket: %w", err)
	}
	return errors.Join(unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: l.Index}), unix.Close(fd))
}

// learned gives the host's default routes that come from advertisements.
func learned(t testing.TB, h *host.Host, link string) string {
	t.Helper()
	return must(t, h.Exec("ip", "-6", "route", "show", "default", "dev", link, "proto", "ra"))
}

// TestRouterAdvertisementsOfContainers: a container cannot make itself the host's
// router, on networks with IPv6 or without.
func TestRouterAdvertisementsOfContainers(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.IPv6())
	must(t, h.Run("network", "create", "--ipv6", "-o", "bridge_name=six", "six"))
	must(t, h.Run("network", "create", "-o", "bridge_name=four", "four"))
	for _, link := range []string{"six", "four"} {
		pid := runIdle(t, h, "on-"+link, "--net", link)
		advertise := func() {
			if err := h.InNetnsOf(pid, func() error { return sendFrame("eth0", advertisement()) }); err != nil {
				t.Fatal(err)
			}
		}
		key := "net.ipv6.conf." + link + ".accept_ra"
		wantOut(t, h.Exec("sysctl", "-n", key), "0")
		must(t, h.Exec("sysctl", "-q", "-w", key+"=2"))
		host.Eventually(t, patience, func() error {
			if advertise(); learned(t, h, link) == "" {
				return errors.New("without mini's setting the attack does not work")
			}
			return nil
		})
		must(t, h.Exec("ip", "-6", "route", "flush", "dev", link, "proto", "ra"))
		if r := h.Run("doctor"); r.Code != 1 || !strings.Contains(r.Stdout, key+" is not 0") {
			t.Errorf("doctor does not see it: %v", r)
		}
		must(t, h.Run("doctor", "--fix"))
		advertise()
		time.Sleep(silence / 4) // a packet that must not have an effect
		if got := learned(t, h, link); got != "" {
			t.Errorf("the host has the route %q from a container on %s", got, link)
		}
	}
}

// TestRouterAdvertisementsToTheHost: a host whose default route comes from them
// keeps it when mini makes it a router, and goes on listening.
func TestRouterAdvertisementsToTheHost(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	listens := func() error {
		h.MustExec("ip", "-6", "route", "flush", "dev", host.UplinkName, "proto", "ra")
		if err := h.In(host.Outside, func() error { return sendFrame(host.OutsideLink, advertisement()) }); err != nil {
			return err
		}
		if learned(t, h, host.UplinkName) == "" {
			return errors.New("the host took no route from a router advertisement")
		}
		return nil
	}
	host.Eventually(t, patience, listens)
	must(t, h.Run("network", "create", "--ipv6", "six"))
	must(t, h.Run("network", "up", "six"))
	wantOut(t, h.Exec("sysctl", "-n", "net.ipv6.conf.all.forwarding"), "1")
	if learned(t, h, host.UplinkName) == "" {
		t.Error("the host has lost its default route")
	}
	host.Eventually(t, patience, listens)
	must(t, h.Exec("ip", "-6", "route", "flush", "dev", host.UplinkName, "proto", "ra"))
}
