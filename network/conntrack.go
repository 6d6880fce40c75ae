package network

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/port"
	"github.com/minirt/mini/plan"
)

// flushUDP deletes the tracked UDP flows to the given host ports. It reads the
// whole table of a family once, however many ports there are.
func flushUDP(ports []port.Mapping) error {
	filters := make(map[netlink.InetFamily][]netlink.CustomConntrackFilter)
	for _, p := range port.Split(ports) {
		f, err := udpFilter(p)
		if err != nil {
			return fmt.Errorf("selecting the UDP flows to %s: %w", p.Host(), err)
		}
		family := netlink.InetFamily(unix.AF_INET)
		if p.Has6() {
			family = unix.AF_INET6
		}
		filters[family] = append(filters[family], f)
	}
	for family, list := range filters {
		if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, list...); err != nil {
			return fmt.Errorf("deleting tracked UDP flows: %w", err)
		}
	}
	return nil
}

func udpFilter(p port.Mapping) (*netlink.ConntrackFilter, error) {
	f := &netlink.ConntrackFilter{}
	// The library refuses a port before a protocol.
	err := f.AddProtocol(unix.IPPROTO_UDP)
	if err == nil {
		err = f.AddPort(netlink.ConntrackOrigDstPort, p.HostPort)
	}
	if err == nil && !p.HostIP.IsUnspecified() {
		err = f.AddIP(netlink.ConntrackOrigDstIP, p.HostIP.AsSlice())
	}
	return f, err
}

// flushCommand is the shell command that does so for one port and family. The
// program conntrack fails when there is no such flow.
func flushCommand(p port.Mapping) string {
	words := []string{"conntrack", "-D"}
	if p.Has6() {
		words = append(words, "-f", "ipv6")
	}
	words = append(words, "-p", "udp", "--orig-port-dst", fmt.Sprint(p.HostPort))
	if !p.HostIP.IsUnspecified() {
		words = append(words, "--orig-dst", p.HostIP.String())
	}
	return plan.Command(words...) + " 2>/dev/null || true"
}
