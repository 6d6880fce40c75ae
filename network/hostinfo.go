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
	routes, err := m.onLinkRoutes(except, except.wants)
	if err != nil {
		return nil, err
	}
	return append(append(used, routes...), nameservers("/etc/resolv.conf")...), nil
}

func subnetsOf(nets []*Network, except *Network) (used []ipam.Used) {
	for _, n := range nets {
		if n.ID == except.ID {
			continue
		}
		for _, f := range n.families() {
			used = append(used, ipam.Used{Prefix: f.subnet, By: "network " + n.Name})
		}
	}
	return used
}

// onLinkRoutes gives the prefixes that the host reaches without a gateway, of the
// families that the network has or will get, except through links that skip, if
// set, wants, and the one that holds the subnet of n.
func (m *Manager) onLinkRoutes(n *Network, skip func(netlink.Link) bool) ([]ipam.Used, error) {
	var used []ipam.Used
	for family, has := range map[int]bool{unix.AF_INET: n.HasIPv4() || n.AnySubnet, unix.AF_INET6: n.HasIPv6() || n.AnySubnet6} {
		if !has {
			continue
		}
		routes, err := m.onLinkRoutesOf(n, family, skip)
		if err != nil {
			return nil, err
		}
		used = append(used, routes...)
	}
	return used, nil
}

func (m *Manager) onLinkRoutesOf(own *Network, family int, skip func(netlink.Link) bool) ([]ipam.Used, error) {
	h, err := m.host()
	if err != nil {
		return nil, err
	}
	routes, err := listRoutes(h, family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, fmt.Errorf("listing the host's routes: %w", err)
	}
	names := make(map[int]string) // empty: skipped
	var used []ipam.Used
	for _, r := range routes {
		if own.isHeld(r) || r.Dst == nil || r.Gw != nil || len(r.MultiPath) > 0 {
			continue
		}
		addr, ok := netip.AddrFromSlice(r.Dst.IP)
		bits, _ := r.Dst.Mask.Size()
		if addr = addr.Unmap(); !ok || bits == 0 || addr.IsLinkLocalUnicast() && addr.Is6() {
			continue // the default route, or one that every link has
		}
		u := ipam.Used{Prefix: netip.PrefixFrom(addr, bits)}
		if kind := nullKind(r); kind != "" {
			u.By, u.Yields = kind+" route", !mayBeHeld(r)
			used = append(used, u)
			continue
		}
		if _, ok := names[r.LinkIndex]; !ok {
			names[r.LinkIndex] = linkName(h, r.LinkIndex, skip)
		}
		if name := names[r.LinkIndex]; name != "" {
			u.By = "route on " + name
			used = append(used, u)
		}
	}
	return used, nil
}

// nullKind names the types of routes that lead nowhere as ip-route(8) does, and
// gives "" for others. Such routes are common for all private addresses, so that
// no packet to them leaves by the default route; whatever is more specific wins.
func nullKind(r netlink.Route) string {
	switch r.Type {
	case unix.RTN_BLACKHOLE:
		return "blackhole"
	case unix.RTN_UNREACHABLE:
		return "unreachable"
	case unix.RTN_PROHIBIT:
		return "prohibit"
	case unix.RTN_THROW:
		return "throw"
	}
	return ""
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

// nameservers reads the servers from a resolv.conf(5). A file that cannot
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
		if a, err := netip.ParseAddr(f[1]); err == nil && a.Zone() == "" && !a.IsLoopback() {
			used = append(used, ipam.Used{Prefix: netip.PrefixFrom(a, a.BitLen()), By: "nameserver " + a.String()})
		}
	}
	return used
}

// defaultMTU is what links have when nothing else is known, in bytes (RFC 894).
const defaultMTU = 1500

// hostMTU gives the MTU of the link with the default route: a container that
// sends larger packets would see them fragmented, or lost. A network with IPv6
// has at least the MTU that every link with IPv6 has.
func (m *Manager) hostMTU(n *Network) (mtu int, err error) {
	least := minMTU
	if n.HasIPv6() {
		least = minMTU6
	}
	for _, f := range n.families() {
		family := unix.AF_INET
		if f.v6 {
			family = unix.AF_INET6
		}
		if mtu, err = m.defaultRouteMTU(family); mtu != 0 || err != nil {
			return min(max(mtu, least), maxMTU), err
		}
	}
	return defaultMTU, nil
}

// defaultRouteMTU gives 0 when there is no default route of the family.
func (m *Manager) defaultRouteMTU(family int) (int, error) {
	h, err := m.host()
	if err != nil {
		return 0, err
	}
	routes, err := listRoutes(h, family, &netlink.Route{Table: unix.RT_TABLE_MAIN, Dst: nil},
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
		return link.Attrs().MTU, nil
	}
	return 0, nil
}
