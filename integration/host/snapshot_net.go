package host

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// networkCollectors picture the network namespace of the calling thread.
func networkCollectors(env []string) []collector {
	return []collector{
		{SecLinks, links},
		{SecAddrs, addresses},
		{SecRoutes, routes},
		{SecPolicy, policyRules},
		{SecNeigh, neighbours},
		{SecSysctl, sysctls},
		{SecRules, func() ([]string, error) { return iptablesRules(env) }},
		{SecNFT, func() ([]string, error) { return nftRules(env) }},
	}
}

func links() ([]string, error) {
	all, err := listLinks()
	if err != nil {
		return nil, err
	}
	names := linkNames(all)
	var lines []string
	for _, l := range all {
		a := l.Attrs()
		line := fmt.Sprintf("%s %s mtu %d %s", a.Name, l.Type(), a.MTU, a.Flags&(net.FlagUp|net.FlagMulticast))
		if a.MasterIndex != 0 {
			line += " master " + names[a.MasterIndex]
		}
		if a.Alias != "" {
			line += " alias " + a.Alias
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// listLinks lists all links. The kernel says when the list changed while it
// was read; then it is read again.
func listLinks() ([]netlink.Link, error) {
	return dump(netlink.LinkList)
}

// dump repeats a listing that was interrupted by a change.
func dump[T any](list func() ([]T, error)) ([]T, error) {
	var all []T
	var err error
	for range 20 {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}

func linkNames(all []netlink.Link) map[int]string {
	names := map[int]string{}
	for _, l := range all {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	return names
}

func addresses() ([]string, error) {
	all, err := listLinks()
	if err != nil {
		return nil, err
	}
	names := linkNames(all)
	addrs, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, a := range addrs {
		lines = append(lines, fmt.Sprintf("%s %s", names[a.LinkIndex], a.IPNet))
	}
	return lines, nil
}

func routes() ([]string, error) {
	all, err := listLinks()
	if err != nil {
		return nil, err
	}
	names := linkNames(all)
	var lines []string
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		found, err := dump(func() ([]netlink.Route, error) {
			filter := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
			return netlink.RouteListFiltered(family, filter, netlink.RT_FILTER_TABLE)
		})
		if err != nil {
			return nil, err
		}
		for _, r := range found {
			if r.Flags&unix.RTM_F_CLONED != 0 || isLinkMulticast(r) {
				continue
			}
			lines = append(lines, routeLine(r, names))
		}
	}
	return lines, nil
}

// isLinkMulticast recognises the route that the kernel gives each link for
// IPv6 multicast: it comes and goes with the carrier, a little later.
func isLinkMulticast(r netlink.Route) bool {
	return r.Table == unix.RT_TABLE_LOCAL && r.Type == unix.RTN_MULTICAST && r.Dst != nil && r.Dst.String() == "ff00::/8"
}

func routeLine(r netlink.Route, names map[int]string) string {
	dst := "default"
	if r.Dst != nil {
		dst = r.Dst.String()
	}
	line := fmt.Sprintf("table %d type %d %s dev %s metric %d", r.Table, r.Type, dst, names[r.LinkIndex], r.Priority)
	if r.Gw != nil {
		line += " via " + r.Gw.String()
	}
	for _, hop := range r.MultiPath {
		line += fmt.Sprintf(" nexthop %s via %s", names[hop.LinkIndex], hop.Gw)
	}
	return line
}

func policyRules() ([]string, error) {
	rules, err := dump(func() ([]netlink.Rule, error) { return netlink.RuleList(netlink.FAMILY_ALL) })
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, r := range rules {
		lines = append(lines, fmt.Sprintf("%s mark %d iif %q oif %q", r, r.Mark, r.IifName, r.OifName))
	}
	return lines, nil
}

// neighbours lists permanent entries. The others come and go with traffic.
func neighbours() ([]string, error) {
	all, err := listLinks()
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, l := range all {
		for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
			found, err := dump(func() ([]netlink.Neigh, error) { return netlink.NeighList(l.Attrs().Index, family) })
			if err != nil {
				return nil, err
			}
			for _, n := range found {
				if n.State&netlink.NUD_PERMANENT != 0 {
					lines = append(lines, fmt.Sprintf("%s %s %s", l.Attrs().Name, n.IP, n.HardwareAddr))
				}
			}
		}
	}
	return lines, nil
}

// sysctlFiles are patterns of the settings to look at.
var sysctlFiles = []string{
	"net/ipv4/ip_*", "net/ipv4/conf/*/*", "net/ipv6/conf/*/*", "net/bridge/*",
	"net/ipv4/neigh/default/*", "net/netfilter/nf_conntrack_m*",
}

func sysctls() ([]string, error) {
	var lines []string
	for _, pattern := range sysctlFiles {
		// The patterns are constants, and well formed.
		found, err := filepath.Glob("/proc/sys/" + pattern)
		if err != nil {
			return nil, fmt.Errorf("finding settings %s: %w", pattern, err)
		}
		for _, file := range found {
			value, err := os.ReadFile(file)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EIO) {
				continue // its link died, it is write-only, or it has no value yet (stable_secret)
			}
			if err != nil {
				return nil, err
			}
			name := strings.TrimPrefix(file, "/proc/sys/")
			lines = append(lines, name+" = "+strings.TrimSpace(string(value)))
		}
	}
	return lines, nil
}
