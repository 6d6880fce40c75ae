package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// problem is a fault of a topology: a path of keys and indices, and what is wrong there.
type problem struct {
	at   []any
	text string
}

// Check says what is wrong with a topology that was not read by [Parse]: all faults, joined.
func (t *Topology) Check() error {
	var errs []error
	for _, p := range t.problems() {
		errs = append(errs, errors.New(p.text))
	}
	return errors.Join(errs...)
}

func (t *Topology) problems() []problem {
	_, found := t.resolve()
	return found
}

// checker makes a model and collects what is wrong.
type checker struct {
	t     *Topology
	m     *model
	found []problem
	owner map[netip.Addr]string // who has an address
}

// resolve makes the model. It is complete only when there are no problems.
func (t *Topology) resolve() (*model, []problem) {
	c := &checker{t: t, m: &model{name: t.Name}, owner: map[netip.Addr]string{}}
	c.checkTags()
	c.places()
	c.sharing()
	c.bridges()
	for i, l := range t.Links {
		c.cable(l, "links", i)
	}
	for i, v := range t.Tunnels {
		c.tunnel(v, "tunnels", i)
	}
	for i, r := range t.Routes {
		c.route(r, "routes", i)
	}
	for i, s := range t.Sysctls {
		c.m.sysctls = append(c.m.sysctls, setting{c.place(s.In, "sysctls", i, "in"), s.Key, s.Value})
	}
	for i, n := range t.NAT {
		c.nat(n, "nat", i)
	}
	for i, d := range t.Drops {
		u := drop{c.place(d.In, "drops", i, "in"), d.From, d.To}
		c.hasLink(u.in, d.From, "drops", i, "from")
		c.hasLink(u.in, d.To, "drops", i, "to")
		c.m.drops = append(c.m.drops, u)
	}
	for i, p := range t.Ports {
		c.port(p, "ports", i)
	}
	for i, e := range t.Expect {
		c.expectation(e, i)
	}
	return c.m, c.found
}

// fail notes a problem. At is the path to it.
func (c *checker) fail(at []any, format string, a ...any) {
	c.found = append(c.found, problem{at, fmt.Sprintf(format, a...)})
}

// Patterns of names. They are compiled when they are needed: mini's start must not pay for them.
const (
	placeName = `^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$`
	linkName  = `^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}$`
)

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }

func (c *checker) places() {
	add := func(name string, p Place, section string) {
		at := []any{section, name}
		if !matches(placeName, name) {
			c.fail(at, "bad name %q: want up to 20 of a-z, 0-9 and -", name)
		}
		if c.find(name) != nil {
			c.fail(at, "%s is a host already", name)
			return
		}
		c.m.places = append(c.m.places, &place{name: name, about: p.About, on: p.On, host: section == "hosts"})
	}
	for _, name := range inOrder(c.t.Hosts, c.t.order.hosts) {
		add(name, c.t.Hosts[name], "hosts")
	}
	for _, name := range inOrder(c.t.Nodes, c.t.order.nodes) {
		add(name, c.t.Nodes[name], "nodes")
	}
	if len(c.m.places) == 0 {
		c.fail(nil, "neither hosts nor nodes: want one at least")
	}
}

// sharing resolves who uses whose namespace. A chain is fine, a circle is not.
func (c *checker) sharing() {
	for _, p := range c.m.places {
		section, decl := "nodes", c.t.Nodes[p.name]
		if p.host {
			section, decl = "hosts", c.t.Hosts[p.name]
		}
		if decl.On != "" {
			c.place(decl.On, section, p.name, "on")
		}
		if decl.Share == "" {
			continue
		}
		with := c.place(decl.Share, section, p.name, "share")
		if with.space() == p {
			c.fail([]any{section, p.name, "share"}, "%s and %s share each other's namespace", p.name, decl.Share)
			continue
		}
		p.share = with
	}
}

func (c *checker) find(name string) *place {
	for _, p := range c.m.places {
		if p.name == name {
			return p
		}
	}
	return nil
}

// place finds a place by name. It never gives nil, so that checking can go on.
func (c *checker) place(name string, at ...any) *place {
	if p := c.find(name); p != nil {
		return p
	}
	if name == "" {
		return &place{} // that it is missing was said
	}
	var names []string
	for _, p := range c.m.places {
		names = append(names, p.name)
	}
	c.fail(at, "no host or node %q: there are %s", name, strings.Join(names, ", "))
	return &place{name: name}
}

func (c *checker) findBridge(name string) *bridge {
	for _, b := range c.m.bridges {
		if b.name == name {
			return b
		}
	}
	return nil
}

// link takes a link's name in a place.
func (c *checker) link(p *place, name string, at ...any) {
	s := p.space()
	switch {
	case name == "": // that it is missing was said
	case !matches(linkName, name):
		c.fail(at, "bad interface name %q: want up to 15 letters, digits, _, . and -", name)
	case name == "lo" || slices.Contains(s.links, name):
		c.fail(at, "%s has an interface %s already", s.name, name)
	}
	s.links = append(s.links, name)
}

// hasLink checks that a place has a link.
func (c *checker) hasLink(p *place, name string, at ...any) {
	if s := p.space(); name != "" && !slices.Contains(s.links, name) && name != "lo" {
		c.fail(at, "%s has no interface %q: it has lo, %s", s.name, name, strings.Join(s.links, ", "))
	}
}

// address reads an address with its prefix and takes it for a place.
func (c *checker) address(p *place, text string, at ...any) netip.Prefix {
	a, err := netip.ParsePrefix(text)
	if err != nil {
		c.fail(at, "bad address %q: want ADDRESS/BITS, as 10.0.0.1/24", text)
		return a
	}
	if who := c.owner[a.Addr()]; who != "" {
		c.fail(at, "%s has the address %s already", who, a.Addr())
	}
	c.owner[a.Addr()] = p.name
	s := p.space()
	s.addresses = append(s.addresses, a)
	return a
}

// addr reads an address without a prefix.
func (c *checker) addr(text string, at ...any) netip.Addr {
	a, err := netip.ParseAddr(text)
	if err != nil && text != "" {
		c.fail(at, "bad address %q: want one as 10.0.0.1", text)
	}
	return a
}
