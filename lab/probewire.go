package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kind is what the wire may carry, in words.
func (w *wire) kind() string { return fmt.Sprintf("%s %d", strings.ToUpper(w.proto), w.port) }

// pingWatched pings, and listens to the probe's wire meanwhile, if it has one.
func (b *builder) pingWatched(ctx context.Context, p probe) (answer, error) {
	if p.wire == nil {
		return b.ping(ctx, p)
	}
	fd := -1
	err := b.s.do(b.m.spaceName(p.wire.in), func() (err error) { fd, err = tap(p.wire.link); return err })
	if err != nil {
		return answer{}, err
	}
	defer unix.Close(fd)
	a, err := b.ping(ctx, p)
	if err != nil {
		return a, err
	}
	kinds, err := drain(fd)
	switch {
	case err != nil:
		return a, err
	case len(kinds) == 0:
		a.wire = "nothing on the wire"
	default:
		a.wire = "only " + strings.Join(kinds, " and ")
	}
	return a, nil
}

// tap opens a packet socket on a link of the calling thread's namespace, see packet(7).
func tap(link string) (int, error) {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return -1, fmt.Errorf("looking for link %s: %w", link, err)
	}
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	// Protocol 0: nothing is queued before it is bound to the link.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("opening a packet socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: l.Attrs().Index}); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("listening to link %s: %w", link, err)
	}
	return fd, nil
}

// drain reads what a packet socket has heard: the kinds of IP packets, sorted. Everything that led to
// an answer was queued before the answer came.
func drain(fd int) (kinds []string, err error) {
	buf := make([]byte, 128)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EAGAIN) {
			slices.Sort(kinds)
			return kinds, nil
		}
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading from a packet socket: %w", err)
		}
		if k := kindOf(buf[:n]); k != "" && !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
}

// kindOf names an IP packet: "UDP 4789". It gives nothing for what is no IP (ARP), and for
// what each link says by itself from its link-local IPv6 address.
func kindOf(p []byte) string {
	var proto, head int
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		proto, head = int(p[9]), int(p[0]&0xf)*4
	case len(p) >= 40 && p[0]>>4 == 6:
		src, _ := netip.AddrFromSlice(p[8:24])
		if src.IsLinkLocalUnicast() || src.IsUnspecified() {
			return ""
		}
		proto, head = int(p[6]), 40
	default:
		return ""
	}
	name := map[int]string{1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6"}[proto]
	switch {
	case name == "":
		return fmt.Sprintf("IP protocol %d", proto)
	case (proto == 6 || proto == 17) && len(p) >= head+4:
		return fmt.Sprintf("%s %d", name, binary.BigEndian.Uint16(p[head+2:]))
	}
	return name
}
