package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/ipam"
	"github.com/minirt/mini/plan"
)

// checkHost looks at the host's own settings, for the families of the networks
// that are up.
func (d *doctor) checkHost() {
	up := func(has func(*Network) bool) bool {
		return slices.ContainsFunc(d.wards, func(w *ward) bool { return w.mk != nil && has(w.n) })
	}
	const why = "no packet gets from a container to the world or back"
	if at := len(d.found); up((*Network).HasIPv4) {
		d.wantSysctl("the host", forward4, why, stepForward())
		d.fine(at, "the host", forward4+" is 1")
	}
	if at := len(d.found); up((*Network).HasIPv6) {
		d.wantSysctl("the host", forward6, why, d.m.stepForward6())
		d.fine(at, "the host", forward6+" is 1")
	}
}

// wantSysctl wants a setting to be 1.
func (d *doctor) wantSysctl(subject, key, why string, step plan.Step) {
	if isOn(key) {
		return // a link that is gone has no settings, and is found by its absence
	}
	d.add(NewFinding(subject, key+" is off", why, step))
}

// checkNetwork looks at a bridge.
func (d *doctor) checkNetwork(w *ward) error {
	at := len(d.found)
	switch {
	case w.mk == nil && len(w.eps) == 0:
		d.add(Fine(w.subject(), "is not up, and nobody is on it"))
		return nil
	case w.mk == nil:
		return nil // its containers, if they run, are found without a bridge
	case !w.mk.Ready:
		d.add(NewFinding(w.subject(), "is half up", "a mini was killed while it made or took away the bridge and the rules", d.stepFinish(w)))
		return nil
	}
	if w.n.Driver == DriverPtp {
		return d.checkPtp(w)
	}
	link := d.link(w.mk.Bridge)
	if w.mk.Found != nil && (link == nil || link.Attrs().Index != w.mk.Found.Index) {
		d.foreign(Wrong, w.subject(), "the bridge "+w.mk.Bridge+", which is not mini's, is gone, or another one has taken its place", "its containers reach nobody",
			plan.Command("ip", "link", "add", "name", w.mk.Bridge, "type", "bridge")+" # if it is gone", plan.Command("mini", "network", "reload", w.n.Name))
		return nil
	}
	if link == nil {
		d.add(NewFinding(w.subject(), "the bridge "+w.mk.Bridge+" is gone", "its containers reach nobody", d.m.remakeSteps(w.n, w.mk)...))
		return nil
	}
	if link.Type() != "bridge" {
		d.foreign(Wrong, w.subject(), w.mk.Bridge+" is a "+link.Type()+", not the bridge", "its containers reach nobody",
			plan.Command("ip", "link", "delete", "dev", w.mk.Bridge), "mini doctor --fix")
		return nil
	}
	w.mk.Index = link.Attrs().Index // somebody may have made it anew by hand
	d.checkBridge(w, link)
	for _, a := range w.n.bridgeAddresses(w.mk) {
		if err := d.checkGateway(w, link, a); err != nil {
			return err
		}
	}
	d.checkClash(w)
	has, err := d.checkFoundGateways(w, link)
	if err != nil {
		return err
	}
	d.fine(at, w.subject(), fmt.Sprintf("bridge %s is up, %s, MTU %d, %s", w.mk.Bridge, link.Attrs().HardwareAddr, w.mk.MTU, has))
	return nil
}

// stepFinish brings a network up as a whole that a crash left half up.
func (d *doctor) stepFinish(w *ward) plan.Step {
	return plan.Step{
		Name: "bring network " + w.n.Name + " up again",
		Why:  "All its steps are done again; those that were done before change nothing.",
		Cmds: []string{plan.Command("mini", "network", "up", w.n.Name)},
		Do:   func(ctx context.Context) error { return d.m.bringUp(ctx, w.n, nil) },
	}
}

// checkBridge looks at the link's own settings.
func (d *doctor) checkBridge(w *ward, link netlink.Link) {
	if w.mk.Found == nil && !d.checkOwnBridge(w, link) {
		return
	}
	a, name := link.Attrs(), w.mk.Bridge
	if a.Flags&net.FlagUp == 0 {
		d.add(NewFinding(w.subject(), "the bridge "+name+" is down", "its containers reach nobody", d.m.stepBridgeUp(w.mk)))
	}
	if w.n.translates() {
		d.wantSysctl(w.subject(), linkKey("ipv4", name, "route_localnet"), "published ports do not answer at 127.0.0.1", stepLocalnet(w.mk))
	}
	if w.mk.Found == nil {
		d.checkBridgeIPv4(w)
		d.checkBridgeIPv6(w)
	}
	for _, f := range w.n.families() {
		key, why := forwardKey(name, f.v6)
		d.wantSysctl(w.subject(), key, why, stepSysctl(key))
	}
}

// checkBridgeIPv4 looks at what keeps IPv4 off a bridge.
func (d *doctor) checkBridgeIPv4(w *ward) {
	key := linkKey("ipv4", w.mk.Bridge, "rp_filter")
	for _, step := range w.n.stepNoIPv4(w.mk) {
		if sysctlIs(key, "0") {
			d.add(NewFinding(w.subject(), key+" is off", "the network has no IPv4, but its containers can send packets of it to the host, and through it", step))
		}
	}
}

// forwardKey is the setting of a link that makes the host send on what comes from it,
// with what is wrong without. For IPv6 it is that of all links which decides, see
// ip-sysctl in the kernel's documentation.
func forwardKey(link string, v6 bool) (key, why string) {
	if v6 {
		return linkKey("ipv6", link, "forwarding"), "the host says on this link that it is no router; packets pass all the same"
	}
	return linkKey("ipv4", link, "forwarding"), "no packet of its containers gets any further than the host"
}

// checkBridgeIPv6 looks at the settings that came with the bridge.
func (d *doctor) checkBridgeIPv6(w *ward) {
	name := w.mk.Bridge
	for _, step := range w.n.stepIPv6(w.mk) {
		if is := sysctlIs(linkKey("ipv6", name, "disable_ipv6"), "1"); w.n.hasAddress6() && is {
			d.add(NewFinding(w.subject(), "IPv6 is switched off on "+name, "its containers have no gateway of IPv6", step))
		} else if !w.n.hasAddress6() && w.n.Internal {
			d.wantSysctl(w.subject(), linkKey("ipv6", name, "disable_ipv6"), "what listens on the host's IPv6 addresses may be reached", step)
		} else if key := linkKey("ipv6", name, "accept_ra"); !sysctlIs(key, "0") {
			d.add(NewFinding(w.subject(), key+" is not 0", "a container can send router advertisements and lead the host's own packets its way", step))
		}
	}
}

// checkOwnBridge looks at what mini gave its bridge when it made it. It says
// whether the bridge is mini's.
func (d *doctor) checkOwnBridge(w *ward, link netlink.Link) bool {
	a, name := link.Attrs(), w.mk.Bridge
	mac := macFor(w.n.mainGateway())
	if a.Alias != w.n.alias() {
		if a.Alias != "" || a.HardwareAddr.String() != mac.String() {
			d.foreign(Wrong, w.subject(), fmt.Sprintf("the bridge %s has the alias %q, not mini's", name, a.Alias),
				"somebody else's bridge has taken the place of mini's", plan.Command("ip", "link", "delete", "dev", name), "mini doctor --fix")
			return false
		}
		d.add(NewFinding(w.subject(), "the bridge "+name+" has lost its alias", "the alias says whose it is",
			d.stepLink("tag "+name, "The alias says whose it is.", name, func(l netlink.Link) error { return d.h.LinkSetAlias(l, w.n.alias()) }, "alias", w.n.alias())))
	}
	if a.HardwareAddr.String() != mac.String() {
		d.add(NewFinding(w.subject(), fmt.Sprintf("the bridge %s has the MAC address %s", name, a.HardwareAddr),
			"containers know the gateway as "+mac.String(),
			d.stepLink("give "+name+" its MAC address", "It is pinned, or it would change with the ports.", name,
				func(l netlink.Link) error { return d.h.LinkSetHardwareAddr(l, mac) }, "address", mac.String())))
	}
	if a.MTU != w.mk.MTU {
		d.add(NewFinding(w.subject(), fmt.Sprintf("the bridge %s has the MTU %d", name, a.MTU),
			fmt.Sprintf("its containers send packets of %d bytes", w.mk.MTU),
			d.stepLink("give "+name+" its MTU", "It is that of the containers.", name,
				func(l netlink.Link) error { return d.h.LinkSetMTU(l, w.mk.MTU) }, "mtu", fmt.Sprint(w.mk.MTU))))
	}
	return true
}

func stepSysctl(key string) plan.Step {
	return plan.Step{
		Name: "switch " + key + " on", Why: "The host routes packets that come from this link.",
		Cmds: []string{sysctlCommand(key, "1")},
		Do:   func(context.Context) error { _, err := setSysctl(key, "1"); return err },
	}
}

// stepLink changes one setting of a link.
func (d *doctor) stepLink(name, why, link string, set func(netlink.Link) error, words ...string) plan.Step {
	return plan.Step{
		Name: name, Why: why,
		Cmds: []string{plan.Command(append([]string{"ip", "link", "set", "dev", link}, words...)...)},
		Do: func(context.Context) error {
			l, err := d.h.LinkByName(link)
			if err != nil {
				return linkErr("looking for", link, err)
			}
			return linkErr("changing", link, set(l))
		},
	}
}

// checkGateway looks at an address of the bridge, and at the route to the
// containers.
func (d *doctor) checkGateway(w *ward, link netlink.Link, a netip.Prefix) error {
	has, err := hasAddress(d.h, link, a)
	if err != nil {
		return err
	}
	if !has {
		d.add(NewFinding(w.subject(), fmt.Sprintf("the bridge %s has lost the address %s", w.mk.Bridge, a),
			"its containers have no gateway, and the host no route to them", d.m.stepGateway(w.mk, a)))
		return nil
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		return nil // it comes with the link
	}
	routes, err := listRoutes(d.h, familyOf(a.Addr()), &netlink.Route{Table: unix.RT_TABLE_MAIN, LinkIndex: link.Attrs().Index},
		netlink.RT_FILTER_TABLE|netlink.RT_FILTER_OIF)
	if err != nil {
		return linkErr("listing routes of", w.mk.Bridge, err)
	}
	for _, r := range routes {
		if r.Dst != nil && r.Dst.String() == a.Masked().String() {
			return nil
		}
	}
	d.add(NewFinding(w.subject(), "the host has lost the route to "+a.Masked().String(), "the host and the world do not reach its containers",
		d.stepSubnetRoute(w, a)))
	return nil
}

// checkClash looks for a route of somebody else to a part of the subnet.
func (d *doctor) checkClash(w *ward) {
	if err := d.m.checkClash(w.n); err != nil {
		why := "the host sends what is for the containers another way"
		var clash *ipam.OverlapError
		if errors.As(err, &clash) && clash.Used.Yields {
			why = "the host drops what is for the containers"
		}
		d.foreign(Wrong, w.subject(), err.Error(), why)
	}
}

func (d *doctor) stepSubnetRoute(w *ward, a netip.Prefix) plan.Step {
	subnet := a.Masked()
	words := []string{"ip", "route", "add", subnet.String(), "dev", w.mk.Bridge, "proto", "kernel", "scope", "link", "src", a.Addr().String()}
	if a.Addr().Is6() {
		words = []string{"ip", "-6", "route", "add", subnet.String(), "dev", w.mk.Bridge, "proto", "kernel", "metric", "256"}
	}
	return plan.Step{
		Name: "route " + subnet.String() + " to " + w.mk.Bridge,
		Why:  "The kernel made this route when the bridge got its address.",
		Cmds: []string{plan.Command(words...)},
		Do: func(context.Context) error {
			l, err := d.h.LinkByName(w.mk.Bridge)
			if err != nil {
				return linkErr("looking for", w.mk.Bridge, err)
			}
			r := &netlink.Route{LinkIndex: l.Attrs().Index, Protocol: unix.RTPROT_KERNEL, Dst: ipNet(subnet)}
			if a.Addr().Is4() {
				r.Scope, r.Src = netlink.SCOPE_LINK, a.Addr().AsSlice()
			} else {
				r.Priority = 256 // IP6_RT_PRIO_ADDRCONF of the kernel's net/ip6_route.h
			}
			return linkErr("adding the route to", w.mk.Bridge, d.h.RouteAdd(r))
		},
	}
}

func hasAddress(h *netlink.Handle, link netlink.Link, want netip.Prefix) (bool, error) {
	addrs, err := addresses(h, link, familyOf(want.Addr()))
	return slices.Contains(addrs, want), err
}
