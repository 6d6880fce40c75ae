package lab

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

func (c *checker) bridges() {
	for _, name := range inOrder(c.t.Bridges, c.t.order.bridges) {
		decl, at := c.t.Bridges[name], []any{"bridges", name}
		b := &bridge{name: name, in: c.place(decl.In, "bridges", name, "in"), mtu: decl.MTU}
		c.link(b.in, name, at...)
		if c.find(name) != nil {
			c.fail(at, "%s is a place already: links could not tell them apart", name)
		}
		if decl.Address != "" {
			b.address = c.address(b.in, decl.Address, "bridges", name, "address")
		}
		c.m.bridges = append(c.m.bridges, b)
	}
}

// cable reads both ends: an end at a bridge may take its name from the other.
func (c *checker) cable(l Link, at ...any) {
	a, b := c.end(l.A, append(slices.Clone(at), "a")), c.end(l.B, append(slices.Clone(at), "b"))
	if a.link == "" {
		a.link = "veth-" + b.in.name
	}
	if b.link == "" {
		b.link = "veth-" + a.in.name
	}
	c.link(a.in, a.link, append(slices.Clone(at), "a")...)
	c.link(b.in, b.link, append(slices.Clone(at), "b")...)
	c.m.cables = append(c.m.cables, cable{a, b, cmp.Or(l.MTU, 1500)})
}

// end reads "PLACE:INTERFACE [ADDRESS/BITS...]" or "BRIDGE[:INTERFACE]".
func (c *checker) end(text string, at []any) end {
	words := strings.Fields(text)
	if len(words) == 0 {
		return end{in: &place{}, link: "none"} // the missing key was said
	}
	who, link, named := strings.Cut(words[0], ":")
	e := end{link: link, bridge: c.findBridge(who)}
	if e.bridge != nil {
		e.in = e.bridge.in
		if len(words) > 1 {
			c.fail(at, "the port of a bridge has no address: give the bridge %s one", who)
		}
		return e
	}
	e.in = c.place(who, at...)
	if !named || link == "" {
		c.fail(at, "which interface of %s? want %s:INTERFACE, as %s:eth0", who, who, who)
		e.link = "none"
	}
	for _, w := range words[1:] {
		e.addresses = append(e.addresses, c.address(e.in, w, at...))
	}
	return e
}

func (c *checker) tunnel(v Tunnel, at ...any) {
	sub := func(key string) []any { return append(slices.Clone(at), key) }
	u := tunnel{
		in: c.place(v.In, sub("in")...), name: v.Name, id: v.ID, port: cmp.Or(v.Port, 4789), mtu: cmp.Or(v.MTU, 1450),
		local: c.addr(v.Local, sub("local")...), remote: c.addr(v.Remote, sub("remote")...),
	}
	c.link(u.in, u.name, sub("name")...)
	if v.ID < 1 || v.ID >= 1<<24 {
		c.fail(sub("id"), "bad id %d: want 1 to 16777215", v.ID)
	}
	if v.Port < 0 || v.Port > 65535 {
		c.fail(sub("port"), "bad port %d: want 1 to 65535", v.Port)
	}
	if v.Bridge != "" {
		u.bridge = c.findBridge(v.Bridge)
		if u.bridge == nil || u.bridge.in.space() != u.in.space() {
			c.fail(sub("bridge"), "%s has no bridge %q", u.in.name, v.Bridge)
		}
	}
	c.m.tunnels = append(c.m.tunnels, u)
}

func (c *checker) route(r Route, at ...any) {
	sub := func(key string) []any { return append(slices.Clone(at), key) }
	u := route{in: c.place(r.In, sub("in")...), dev: r.Dev}
	if r.Via != "" {
		u.via = c.addr(r.Via, sub("via")...)
	}
	switch {
	case r.Via == "" && r.Dev == "":
		c.fail(sub("to"), "a route leads somewhere: want via, dev or both")
	case r.Dev != "":
		c.hasLink(u.in, r.Dev, sub("dev")...)
	case u.via.IsValid() && !u.in.reaches(u.via):
		c.fail(sub("via"), "no interface of %s is on a network with %s", u.in.name, u.via)
	}
	if r.To == "default" {
		u.to = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if u.via.Is6() {
			u.to = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
	} else {
		u.to = c.prefix(r.To, sub("to")...)
	}
	c.m.routes = append(c.m.routes, u)
}

func (c *checker) prefix(text string, at ...any) netip.Prefix {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil && text != "":
		c.fail(at, "bad prefix %q: want one as 10.0.0.0/24", text)
	case err == nil && p != p.Masked():
		c.fail(at, "bad prefix %q: it has host bits, want %s", text, p.Masked())
	}
	return p
}

func (c *checker) nat(n NAT, at ...any) {
	sub := func(key string) []any { return append(slices.Clone(at), key) }
	u := rewrite{in: c.place(n.In, sub("in")...), out: n.Out, notOut: n.NotOut, chain: n.Chain, hooks: n.Hooks}
	for key, link := range map[string]string{"out": n.Out, "not-out": n.NotOut} {
		if link != "" {
			c.hasLink(u.in, link, sub(key)...)
		}
	}
	switch {
	case (n.Masquerade == "") == (n.DNAT == ""):
		c.fail(at, "want either masquerade or dnat")
	case n.Masquerade != "":
		u.from = c.prefix(n.Masquerade, sub("masquerade")...)
		c.refuse(n.To != "" || n.Hooks != nil || n.Chain != "", at, "to, hooks and chain belong to dnat")
		c.refuse(n.Out != "" && n.NotOut != "", at, "want either out or not-out")
	default:
		c.refuse(n.Out != "" || n.NotOut != "", at, "out and not-out belong to masquerade")
		c.dnat(n, &u, sub)
	}
	c.m.nats = append(c.m.nats, u)
}

func (c *checker) refuse(bad bool, at []any, text string) {
	if bad {
		c.fail(at, "%s", text)
	}
}

func (c *checker) dnat(n NAT, u *rewrite, sub func(string) []any) {
	at, proto, _ := strings.Cut(n.DNAT, "/")
	u.proto = cmp.Or(proto, "tcp")
	var err error
	if u.at, err = netip.ParseAddrPort(at); err != nil || u.proto != "tcp" && u.proto != "udp" {
		c.fail(sub("dnat"), "bad dnat %q: want ADDRESS:PORT/tcp or ADDRESS:PORT/udp", n.DNAT)
	}
	if u.to, err = netip.ParseAddrPort(n.To); err != nil || u.to.Addr().Is4() != u.at.Addr().Is4() {
		c.fail(sub("to"), "bad target %q of a dnat: want ADDRESS:PORT of the same family", n.To)
	}
	if len(u.hooks) == 0 {
		u.hooks = []string{"prerouting"}
	}
}

func (c *checker) port(p Port, at ...any) {
	proto, text, _ := strings.Cut(p.Listen, ":")
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		c.fail(append(slices.Clone(at), "listen"), "bad port in %q: want 1 to 65535", p.Listen)
	}
	l := listen{c.place(p.In, append(slices.Clone(at), "in")...), proto, uint16(n)}
	if slices.ContainsFunc(c.m.ports, func(o listen) bool {
		return o.in.space() == l.in.space() && o.port == l.port && (o.proto == "udp") == (l.proto == "udp")
	}) {
		c.fail(append(slices.Clone(at), "listen"), "%s listens on port %d already", l.in.space().name, n)
	}
	c.m.ports = append(c.m.ports, l)
}
