package network

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/plan"
)

// familyOf gives the address family of an address for netlink.
func familyOf(ip netip.Addr) int {
	if ip.Is6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// joinAddrs names addresses for people.
func joinAddrs(all []netip.Addr) string {
	var words []string
	for _, ip := range all {
		words = append(words, ip.String())
	}
	return strings.Join(words, " and ")
}

// bridgeAddresses gives those that mini gives the bridge, with the length of the
// subnet's prefix: the gateways, unless a bridge that was found has them.
func (n *Network) bridgeAddresses(mk *mark) []netip.Prefix {
	var all []netip.Prefix
	if n.hasAddress() && (mk.Found == nil || !mk.Found.HasAddress) {
		all = append(all, netip.PrefixFrom(n.Gateway, n.Subnet.Bits()))
	}
	if n.hasAddress6() && (mk.Found == nil || !mk.Found.HasAddress6) {
		all = append(all, netip.PrefixFrom(n.Gateway6, n.Subnet6.Bits()))
	}
	return all
}

// forwardSteps switch forwarding on for each family that the network has.
func (m *Manager) forwardSteps(n *Network) []plan.Step {
	var steps []plan.Step
	if n.HasIPv4() {
		steps = append(steps, stepForward())
	}
	if n.HasIPv6() {
		steps = append(steps, m.stepForward6())
	}
	return steps
}

// The sysctls that make the host a router.
const (
	forward4 = "net.ipv4.ip_forward"
	forward6 = "net.ipv6.conf.all.forwarding"
)

// forwardAgain switches forwarding on that somebody switched off since the network
// came up.
func (m *Manager) forwardAgain(ctx context.Context, n *Network, observe plan.Observer) error {
	if (!n.HasIPv4() || isOn(forward4)) && (!n.HasIPv6() || isOn(forward6)) {
		return nil
	}
	m.opt.Notice("somebody switched forwarding off: it is switched on again")
	p := plan.Plan{Title: "switch forwarding on again", Steps: m.forwardSteps(n)}
	return p.Run(ctx, observe)
}

// stepForward6 has no undo, as stepForward. A router takes no router advertisements,
// unless a link is told to with accept_ra=2, see ip-sysctl in the kernel's
// documentation: without it the host would lose a default route that comes from one.
func (m *Manager) stepForward6() plan.Step {
	step := plan.Step{
		Name: "switch forwarding of IPv6 on",
		Why:  "The host routes packets between its containers and the world. It stays on when mini's networks are gone, because others may need it by then.",
		Do: func(context.Context) error {
			if isOn(forward6) {
				return nil
			}
			for _, key := range m.listeners() {
				if _, err := setSysctl(key, "2"); err != nil {
					return err
				}
			}
			_, err := setSysctl(forward6, "1")
			return err
		},
	}
	if keys := m.listeners(); len(keys) > 0 && !isOn(forward6) {
		step.Why += " A router does not listen to router advertisements: the links that do are told to go on, or the host could lose its own default route."
		for _, key := range keys {
			step.Cmds = append(step.Cmds, sysctlCommand(key, "2"))
		}
	}
	step.Cmds = append(step.Cmds, sysctlCommand(forward6, "1"))
	return step
}

// listeners gives the sysctls of the links that listen to router advertisements
// as long as the host is no router. Bridges' ports and loopbacks do not.
func (m *Manager) listeners() []string {
	h, err := m.host()
	if err != nil {
		return nil
	}
	links, err := dump(h.LinkList)
	if err != nil {
		return nil
	}
	var keys []string
	for _, l := range links {
		a := l.Attrs()
		if a.MasterIndex != 0 || a.Flags&net.FlagLoopback != 0 || strings.HasPrefix(a.Alias, "mini:") {
			continue
		}
		if key := linkKey("ipv6", a.Name, "accept_ra"); sysctlIs(key, "1") {
			keys = append(keys, key)
		}
	}
	return keys
}

// stepIPv6 decides on IPv6 on a bridge of mini's; there is none where the kernel
// would give it no IPv6. A bridge without it still passes the containers' own packets.
func (n *Network) stepIPv6(mk *mark) []plan.Step {
	switch {
	case !mk.mayHaveIPv6():
		return nil
	case n.hasAddress6():
		return []plan.Step{stepBridgeIPv6(mk)}
	case n.Internal:
		return []plan.Step{stepNoIPv6(mk)}
	}
	return []plan.Step{stepSettings("let "+mk.Bridge+" take no router advertisements", whyNoRA, []setting{noRA(mk)})}
}

// mayHaveIPv6 tells whether the kernel would give the network's links IPv6. One
// with a small MTU has not even the settings to switch it off.
func (mk *mark) mayHaveIPv6() bool { return hasIPv6() && mk.MTU >= minMTU6 }

const whyNoRA = "A container could send them, and lead the host's own packets its way."

func noRA(mk *mark) setting { return setting{linkKey("ipv6", mk.Bridge, "accept_ra"), "0"} }

func stepBridgeIPv6(mk *mark) plan.Step {
	settings := []setting{{linkKey("ipv6", mk.Bridge, "disable_ipv6"), "0"}, noRA(mk), {linkKey("ipv6", mk.Bridge, "accept_dad"), "0"}}
	return stepSettings("let "+mk.Bridge+" have IPv6, but take no router advertisements",
		whyNoRA+" No other has the bridge's addresses: without accept_dad=0 the kernel would ask for a second.", settings)
}

// stepNoIPv6 closes the bridge of an internal network to IPv6.
func stepNoIPv6(mk *mark) plan.Step {
	why := "The host shall not be reached from an internal network. The rules say so for IPv4; the kernel would give the bridge an IPv6 address of its own."
	return stepSettings("keep IPv6 off "+mk.Bridge, why, []setting{{linkKey("ipv6", mk.Bridge, "disable_ipv6"), "1"}})
}

// stepNoIPv4 closes a bridge of mini's to IPv4 that the network does not have: its
// rules are of IPv6 alone. On a link without an address of IPv4 rp_filter refuses
// every sender, see __fib_validate_source in the kernel's net/ipv4/fib_frontend.c.
func (n *Network) stepNoIPv4(mk *mark) []plan.Step {
	if n.HasIPv4() {
		return nil
	}
	return []plan.Step{stepSettings("keep IPv4 off "+mk.Bridge, whyNoIPv4, []setting{{linkKey("ipv4", mk.Bridge, "rp_filter"), "1"}})}
}

const whyNoIPv4 = "The network has no IPv4, and no rules of it: a container could send packets from an address of its choice to the host, and through it."

// stepSettings writes sysctls of the host.
func stepSettings(name, why string, settings []setting) plan.Step {
	step := plan.Step{Name: name, Why: why, Do: func(context.Context) error {
		for _, s := range settings {
			if _, err := setSysctl(s[0], s[1]); err != nil {
				return err
			}
		}
		return nil
	}}
	for _, s := range settings {
		step.Cmds = append(step.Cmds, sysctlCommand(s[0], s[1]))
	}
	return step
}

// linkKey is the key of a link's sysctl. A dot in a link's name is written as a
// slash, see sysctl(8).
func linkKey(family, link, name string) string {
	return fmt.Sprintf("net.%s.conf.%s.%s", family, strings.ReplaceAll(link, ".", "/"), name)
}

func sysctlIs(key, value string) bool {
	data, err := os.ReadFile(sysctlPath(key))
	return err == nil && strings.TrimSpace(string(data)) == value
}
