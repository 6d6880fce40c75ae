package network

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/port"
)

// flushUDP deletes the tracked UDP flows to the given host ports. It reads the
// whole table once, however many ports there are.
func flushUDP(ports []port.Mapping) error {
	filters := make([]netlink.CustomConntrackFilter, 0, len(ports))
	for _, p := range ports {
		f := &netlink.ConntrackFilter{}
		// The library refuses a port before a protocol.
		err := f.AddProtocol(unix.IPPROTO_UDP)
		if err == nil {
			err = f.AddPort(netlink.ConntrackOrigDstPort, p.HostPort)
		}
		if err == nil && !p.HostIP.IsUnspecified() {
			err = f.AddIP(netlink.ConntrackOrigDstIP, p.HostIP.AsSlice())
		}
		if err != nil {
			return fmt.Errorf("selecting the UDP flows to port %d: %w", p.HostPort, err)
		}
		filters = append(filters, f)
	}
	if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, filters...); err != nil {
		return fmt.Errorf("deleting tracked UDP flows: %w", err)
	}
	return nil
}
