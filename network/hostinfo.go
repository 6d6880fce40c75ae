package network

import (
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/ipam"
)

// usedPrefixes gives what a new network must not overlap: the other networks,
// the host's on-link routes, and its nameservers.
func (m *Manager) usedPrefixes(except *Network) ([]ipam.Used, error) {
	nets, err := m.stored()
	if err != nil {
		return nil, err
	}
	used := subnetsOf(nets, except)
	routes, err := m.onLinkRoutes(except.wants)
	if err != nil {
		return nil, err
	}
	return append(append(used, routes...), nameservers("/etc/resolv.conf")...), nil
}

func subnetsOf(nets []*Network, except *Network) (used []ipam.Used) {
	for _, n := range nets {
		if n.Subnet.IsValid() && n.ID != except.ID {
			used = append(used, ipam.Used{Prefix: n.Subnet, By: "network " + n.Name})
		}
	}
	return used
}

// onLinkRoutes gives the prefixes that the host reaches without a gateway,
// except through links that skip, if set, wants.
func (m *Manager) onLinkRoutes(skip func(netlink.Link) bool) ([]ipam.Used, error) {
	h, err := m.host()
	if err != nil {
		return nil, err
	}
	routes, err := h.RouteListFiltered(unix.AF_INET, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, fmt.Errorf("listing the host's routes: %w", err)
	}
	names := make(map[int]string) // empty: skipped
	var used []ipam.Used
	for _, r := range routes {
		if r.Dst == nil || r.Gw != nil || len(r.MultiPath) > 0 {
			continue
		}
		addr, ok := netip.AddrFromSlice(r.Dst.IP.To4())
		bits, _ := r.Dst.Mask.Size()
		if !ok || bits == 0 {
			continue // the default route
		}
		if _, ok := names[r.LinkIndex]; !ok {
			names[r.LinkIndex] = linkName(h, r.LinkIndex, skip)
		}
		if name := names[r.LinkIndex]; name != "" {
			used = append(used, ipam.Used{Prefix: netip.PrefixFrom(addr, bits), By: "route on " + name})
		}
	}
	return used, nil
}

// linkName gives "" for a link to be skipped.
func linkName(h *netlink.Handle, index int, skip func(netlink.Link) bool) string {
	link, err := h.LinkByIndex(index)
	switch {
	case err != nil:
		return fmt.Sprintf("link %d", index)
	case skip != nil && skip(link):
		return ""
	}
	return link.Attrs().Name
}

// nameservers reads the IPv4 servers from a resolv.conf(5). A file that cannot
// be read has none. Loopback servers cannot clash with a bridge.
func nameservers(path string) []ipam.Used {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var used []ipam.Used
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil && a.Is4() && !a.IsLoopback() {
			used = append(used, ipam.Used{Prefix: netip.PrefixFrom(a, 32), By: "nameserver " + a.String()})
		}
	}
	return used
}

// defaultMTU is what links have when nothing else is known, in bytes (RFC 894).
const defaultMTU = 1500

// hostMTU gives the MTU of the link with the default route: a container that
// sends larger packets would see them fragmented, or lost.
func (m *Manager) hostMTU() (int, error) {
	h, err := m.host()
	if err != nil {
		return 0, err
	}
	routes, err := h.RouteListFiltered(unix.AF_INET, &netlink.Route{Table: unix.RT_TABLE_MAIN, Dst: nil},
		netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST)
	if err != nil {
		return 0, fmt.Errorf("looking for the default route: %w", err)
	}
	for _, r := range routes {
		if r.LinkIndex == 0 {
			continue
		}
		link, err := h.LinkByIndex(r.LinkIndex)
		if err != nil {
			continue // the link went away meanwhile
		}
		return min(max(link.Attrs().MTU, minMTU), maxMTU), nil
	}
	return defaultMTU, nil
}
