package network

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/network/firewall/nft"
	"github.com/minirt/mini/plan"
)

// A stray is a thing with mini's tag that nobody has on record here. The tag names a
// container or a network by the digits of its id, and another mini, with another root,
// has others: so a tag that is unknown here does not say whose it is. What belongs to a
// network that is up elsewhere is passed over: a cable on a bridge, a rule whose
// container has such a cable, or which names a link while another mini has rules. What
// is left is named, but only a person knows that no other mini needs it.
const whyStray = "nobody would ever take it away, unless another mini, with another --root, has it on record"

// otherMini tells whether another mini's shared rules are on the host, of either
// firewall driver and back end.
func (d *doctor) otherMini() bool {
	if d.beside == nil {
		beside := d.seesOtherMini()
		d.beside = &beside
	}
	return *d.beside
}

func (d *doctor) seesOtherMini() bool {
	if d.other != nil && hasOther(d.other, d.m.owner) || hasOther(d.rules, d.m.owner) {
		return true
	}
	others, err := nft.OtherMinis(ownTable(d.m.owner))
	return others || err != nil // it may be there
}

func hasOther(l *firewall.Listing, own string) bool {
	for _, owner := range l.Tagged {
		owner, _, _ = strings.Cut(owner, " ") // nftables rules have their own mark behind it
		if (owner == "host" || strings.HasPrefix(owner, "host-")) && owner != own {
			return true
		}
	}
	return false
}

// checkStrayRule looks at a rule that is not on record, and whose tag is unknown here.
func (d *doctor) checkStrayRule(r firewall.Listed, owner string) {
	digits, _, _ := strings.Cut(owner, ":")
	if len(digits) != 12 || !isHex(digits) || d.isWired(digits) || d.otherMini() && d.namesLink(r.Words) {
		return
	}
	d.strays = append(d.strays, digits)
	d.foreign(Wrong, r.Chain.String(), "a rule with the tag mini:"+owner+" is not on record here: "+strings.Join(r.Words, " "), whyStray, d.m.fw().DeleteCommand(r.Rule()))
}

// isWired tells whether a tag is that of a bridge with ports, or of a cable on a bridge,
// elsewhere.
func (d *doctor) isWired(digits string) bool {
	return slices.ContainsFunc(d.links, func(l netlink.Link) bool {
		return strings.HasPrefix(l.Attrs().Alias, "mini:"+digits+":") && d.isInUse(l) && !d.onBridge(l)
	})
}

// isInUse tells of a link with mini's tag whether it looks like part of a network that
// is up.
func (d *doctor) isInUse(l netlink.Link) bool {
	a := l.Attrs()
	if l.Type() == "bridge" {
		return d.otherMini() || slices.ContainsFunc(d.links, func(o netlink.Link) bool { return o.Attrs().MasterIndex == a.Index })
	}
	return a.MasterIndex != 0 || strings.HasPrefix(a.Name, "pt") && d.otherMini()
}

// namesLink tells whether a rule is about a link that is there, or about all links
// whose names begin alike, as that of a ptp network.
func (d *doctor) namesLink(words []string) bool {
	for i, w := range words[:max(0, len(words)-1)] {
		if name := words[i+1]; (w == "-i" || w == "-o") && (strings.HasSuffix(name, "+") || d.link(name) != nil) {
			return true
		}
	}
	return false
}

// leadsHere tells whether a rule is about an address of a network of this mini's. Another
// one may have the same subnet while the network is not up here.
func (d *doctor) leadsHere(words []string) bool {
	alone := !d.otherMini()
	for _, word := range words {
		ip, err := netip.ParseAddr(word)
		if at, portErr := netip.ParseAddrPort(word); portErr == nil {
			ip, err = at.Addr(), nil
		} else if p, prefixErr := netip.ParsePrefix(word); prefixErr == nil && p.IsSingleIP() {
			ip, err = p.Addr(), nil
		}
		if err == nil && slices.ContainsFunc(d.wards, func(w *ward) bool { return (w.up() || alone) && w.n.Contains(ip) }) {
			return true
		}
	}
	return false
}

// checkStrayLink looks at a link with mini's tag which is unknown here.
func (d *doctor) checkStrayLink(l netlink.Link) {
	if a := l.Attrs(); !d.isInUse(l) {
		d.foreign(Wrong, "link "+a.Name, "a "+map[bool]string{true: "bridge", false: "cable"}[l.Type() == "bridge"]+" with the tag "+a.Alias+" is not on record here", whyStray,
			plan.Command("ip", "link", "delete", "dev", a.Name))
	}
}

// checkHeldRoutes looks for routes that hold the subnets of ptp networks which are not
// up. The metric tells whose they are: of a network here, or of a stray.
func (d *doctor) checkHeldRoutes() error {
	routes, err := listRoutes(d.h, netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_MAIN, Type: unix.RTN_UNREACHABLE}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_TYPE)
	if err != nil {
		return fmt.Errorf("listing the host's unreachable routes: %w", err)
	}
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		subnet, err := netip.ParsePrefix(r.Dst.String())
		if err != nil {
			continue
		}
		for _, w := range d.wards {
			if w.n.Driver == DriverPtp && w.mk == nil && w.n.isHeld(r) {
				d.add(NewFinding(w.subject(), "it is not up, and the host has a route that keeps "+subnet.String()+" for it", "nobody else can have these addresses", d.stepDropHeld(w.n, subnet)))
			}
		}
		for _, digits := range slices.Compact(slices.Sorted(slices.Values(d.strays))) {
			if n := (&Network{ID: digits}); n.heldMetric() == r.Priority {
				d.foreign(Wrong, "the host", "a route that keeps "+subnet.String()+" for network "+digits+" is not on record here", whyStray, plan.Command(heldWords(n, "delete", subnet)...))
			}
		}
	}
	return nil
}

func (d *doctor) stepDropHeld(n *Network, subnet netip.Prefix) plan.Step {
	return plan.Step{
		Name: "give " + subnet.String() + " up", Why: "The network is not up, and nobody is on it.",
		Cmds: []string{plan.Command(heldWords(n, "delete", subnet)...)},
		Do:   func(context.Context) error { return d.m.dropHeld(n, subnet) },
	}
}
