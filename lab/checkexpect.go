package lab

import (
	"cmp"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

func (c *checker) expectation(e Expectation, i int) {
	at := func(key string) []any { return []any{"expect", i, key} }
	p := probe{
		from: c.place(e.From, at("from")...), as: e.To, by: e.By, want: Outcome(cmp.Or(e.Want, string(OK))),
		ttl: e.TTL, at: e.Before, index: i,
	}
	p.to = c.target(e.To, at("to"))
	hasPort := p.by == "tcp" || p.by == "udp" || p.by == "http"
	if hasPort != (p.to.Port() != 0) && p.to.IsValid() {
		c.fail(at("to"), "tcp, udp and http want a port, ping and traceroute none: %s is tried by %s", e.To, e.By)
	}
	if e.Sees != "" {
		p.sees = c.addr(e.Sees, at("sees")...)
		c.refuse(!hasPort, at("sees"), "sees is for tcp, udp and http: nobody tells what a ping looks like")
	}
	for j, h := range e.Hops {
		p.hops = append(p.hops, c.addr(h, "expect", i, "hops", j))
	}
	c.refuse((len(e.Hops) > 0) != (p.by == "traceroute" && p.want == OK), at("by"), "a traceroute that is ok wants hops, and nothing else has them")
	c.refuse(e.TTL != 0 && p.by != "ping", at("ttl"), "ttl is for ping")
	c.refuse(e.TTL < 0 || e.TTL > 255, at("ttl"), "bad ttl: want 1 to 255")
	c.refuse(p.want == Refused && (p.by == "ping" || p.by == "traceroute"), at("want"), "a ping cannot be refused: want ok, timeout or unreachable")
	c.refuse(p.want != OK && (e.Sees != "" || e.TTL != 0 || e.Wire != ""), at("want"), "sees, ttl and wire are for what is ok")
	if e.Wire != "" || e.Carries != "" {
		p.wire = c.wire(e, i)
	}
	c.m.probes = append(c.m.probes, p)
}

func (c *checker) wire(e Expectation, i int) *wire {
	place, link, _ := strings.Cut(e.Wire, ":")
	proto, port, ok := strings.Cut(e.Carries, ":")
	if e.Wire == "" || !ok || e.By != "ping" {
		c.fail([]any{"expect", i, "by"}, "wire and carries go together, and with ping")
		return nil
	}
	w := &wire{in: c.place(place, "expect", i, "wire"), link: link, proto: proto}
	c.hasLink(w.in, link, "expect", i, "wire")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		c.fail([]any{"expect", i, "carries"}, "bad port in %q: want 1 to 65535", e.Carries)
	}
	w.port = uint16(n)
	return w
}

// target reads ADDRESS, ADDRESS:PORT, PLACE or PLACE:PORT.
func (c *checker) target(text string, at []any) netip.AddrPort {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(a, 0)
	}
	if a, err := netip.ParseAddrPort(text); err == nil {
		return a
	}
	if text == "" {
		return netip.AddrPort{}
	}
	who, port := text, uint64(0)
	if host, p, err := net.SplitHostPort(text); err == nil {
		who = host
		if port, err = strconv.ParseUint(p, 10, 16); err != nil || port == 0 {
			c.fail(at, "bad port in %q: want 1 to 65535", text)
		}
	}
	p := c.find(who)
	switch {
	case p == nil:
		c.fail(at, "bad target %q: want an address or one of the hosts and nodes, with :PORT for tcp, udp and http", text)
	case len(p.space().addresses) == 0:
		c.fail(at, "%s has no address to reach it at", who)
	default:
		return netip.AddrPortFrom(p.space().addresses[0].Addr(), uint16(port))
	}
	return netip.AddrPort{}
}
