package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/minirt/mini/plan"
)

// builder makes the plan of a lab.
type builder struct {
	m   *model
	tag string // alias of each loopback link
	s   *spaces
	p   plan.Plan

	before func([]probe) []plan.Step // looks before a part is built; nil: only says what it would see
}

// spaceName is the name of a place's namespace.
func (m *model) spaceName(p *place) string { return "lab-" + m.name + "-" + p.name }

// names are those of all its namespaces, in the order in which they are made.
func (m *model) names() (out []string) {
	for _, p := range m.ordered() {
		out = append(out, m.spaceName(p))
	}
	return out
}

// ordered gives the places, those that share behind all that they share with.
func (m *model) ordered() (out []*place) {
	depth := func(p *place) (n int) {
		for ; p.share != nil; p = p.share {
			n++
		}
		return n
	}
	for d := range m.places {
		for _, p := range m.places {
			if depth(p) == d {
				out = append(out, p)
			}
		}
	}
	return out
}

// build makes the whole plan.
func (b *builder) build() plan.Plan {
	b.p.Title = "build lab " + b.m.name
	for _, p := range b.m.ordered() {
		b.p.Add(b.place(p))
	}
	for _, br := range b.m.bridges {
		b.p.Add(b.bridge(br))
	}
	for _, c := range b.m.cables {
		b.p.Add(b.cable(c)...)
	}
	if len(b.m.cables) > 0 {
		b.p.Add(b.settle())
	}
	b.look("tunnels")
	for _, t := range b.m.tunnels {
		b.p.Add(b.tunnel(t))
	}
	b.look("routes")
	for _, r := range b.m.routes {
		b.p.Add(b.route(r))
	}
	b.look("sysctls")
	for _, s := range b.m.sysctls {
		b.p.Add(b.sysctl(s))
	}
	b.look("nat")
	for _, n := range b.m.nats {
		b.p.Add(b.nat(n)...)
	}
	b.look("drops")
	for _, d := range b.m.drops {
		b.p.Add(b.drop(d))
	}
	return b.p
}

// ip is an ip(8) command in a place.
func (b *builder) ip(p *place, words ...string) string {
	return plan.Command(append([]string{"ip", "-n", b.m.spaceName(p)}, words...)...)
}

// inside is any command in a place.
func (b *builder) inside(p *place, words ...string) string {
	return plan.Command(append([]string{"ip", "netns", "exec", b.m.spaceName(p)}, words...)...)
}

// fresh are settings of a new namespace: those that it copies from the machine, as a lab is the same everywhere, see
// devconf_inherit_init_net in the kernel's Documentation/admin-guide/sysctl/net.rst; and that links need not
// wait a second for their link-local IPv6 address, without which they cannot ask for all neighbours.
func fresh() [][2]string {
	list := [][2]string{
		{"net.ipv4.ip_forward", "0"}, {"net.ipv4.conf.all.rp_filter", "0"}, {"net.ipv4.conf.default.rp_filter", "0"},
	}
	if _, err := os.Stat("/proc/sys/net/ipv6"); err == nil {
		list = append(list, [2]string{"net.ipv6.conf.default.accept_dad", "0"})
	}
	return list
}

func (b *builder) place(p *place) plan.Step {
	name, kind := b.m.spaceName(p), "node"
	if p.host {
		kind = "host"
	}
	made := false
	step := plan.Step{
		Name: "make " + kind + " " + p.name,
		Undo: func(context.Context) error {
			b.s.forget(name)
			if !made {
				return nil
			}
			return dropName(name)
		},
	}
	if p.share != nil {
		target := filepath.Join(runDir, b.m.spaceName(p.share))
		step.Why = fmt.Sprintf("It uses the network namespace of %s: one namespace with two names.", p.share.name)
		step.Cmds = []string{plan.Command("touch", filepath.Join(runDir, name)), plan.Command("mount", "--bind", target, filepath.Join(runDir, name))}
		step.Do = func(context.Context) (err error) { err = bindName(target, name); made = err == nil; return err }
		return step
	}
	step.Why = "A network namespace has links, addresses, routes and rules of its own. What it copies from the machine's settings is set, " +
		"so that a lab is the same everywhere. No address is doubted: nobody else has one."
	words := []string{"sysctl", "-q", "-w"}
	for _, kv := range fresh() {
		words = append(words, kv[0]+"="+kv[1])
	}
	step.Cmds = []string{
		plan.Command("ip", "netns", "add", name), b.ip(p, "link", "set", "dev", "lo", "alias", b.tag, "up"), b.inside(p, words...),
	}
	step.Do = func(context.Context) (err error) { err = makeSpace(name, b.prepare); made = err == nil; return err }
	return step
}

// prepare runs in a new namespace.
func (b *builder) prepare() error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetAlias(lo, b.tag)
	}
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("setting up the loopback link: %w", err)
	}
	for _, kv := range fresh() {
		if err := writeSysctl(kv[0], kv[1]); err != nil {
			return err
		}
	}
	return nil
}

// writeSysctl sets a sysctl of the calling thread's namespace. As for sysctl(8), a slash in the key is
// a dot of a link's name.
func writeSysctl(key, value string) error {
	path := "/proc/sys/" + strings.NewReplacer(".", "/", "/", ".").Replace(key)
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		return fmt.Errorf("setting sysctl %s to %s: %w", key, value, err)
	}
	return nil
}

func (b *builder) sysctl(s setting) plan.Step {
	return plan.Step{
		Name: fmt.Sprintf("set %s of %s to %s", s.key, s.in.name, s.value),
		Why:  reasonOf(s.key),
		Cmds: []string{b.inside(s.in, "sysctl", "-q", "-w", s.key+"="+s.value)},
		Do: func(context.Context) error {
			return b.s.do(b.m.spaceName(s.in), func() error { return writeSysctl(s.key, s.value) })
		},
	}
}

// reasonOf says what a sysctl is for, of those that labs are about.
func reasonOf(key string) string {
	switch {
	case key == "net.ipv4.ip_forward" || key == "net.ipv6.conf.all.forwarding":
		return "A namespace drops packets that are not for itself, unless it forwards them."
	case strings.HasSuffix(key, ".route_localnet"):
		return "127.0.0.0/8 is not routed off the loopback link, unless this is set."
	}
	return "The topology asks for it."
}

func (b *builder) route(r route) plan.Step {
	to := r.to.String()
	if r.to.Bits() == 0 {
		to = "default"
	}
	words, why := []string{"route", "add", to}, "It tells "+r.in.name+" where to send what is for "+to+"."
	if to == "default" {
		why = "Whatever is on none of its own networks goes there."
	}
	if r.via.IsValid() {
		words = append(words, "via", r.via.String())
	}
	if r.dev != "" {
		words = append(words, "dev", r.dev)
	}
	if r.to.Addr().Is6() {
		words = append([]string{"-6"}, words...)
	}
	name := b.m.spaceName(r.in)
	return plan.Step{
		Name: fmt.Sprintf("route %s of %s", to, r.in.name), Why: why, Cmds: []string{b.ip(r.in, words...)},
		Do: func(context.Context) error {
			h, err := b.s.handle(name)
			if err != nil {
				return err
			}
			return addRoute(h, r)
		},
	}
}

func addRoute(h *netlink.Handle, r route) error {
	u := &netlink.Route{Dst: ipNet(r.to)}
	if r.via.IsValid() {
		u.Gw = r.via.AsSlice()
	}
	if r.dev != "" {
		link, err := h.LinkByName(r.dev)
		if err != nil {
			return fmt.Errorf("looking for link %s: %w", r.dev, err)
		}
		u.LinkIndex = link.Attrs().Index
	}
	if !r.via.IsValid() {
		u.Scope = netlink.SCOPE_LINK
	}
	if err := h.RouteAdd(u); err != nil {
		return fmt.Errorf("adding the route to %s: %w", r.to, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
