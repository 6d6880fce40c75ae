package lab

import (
	"net/netip"
	"strings"
)

// Part is one interface of a topology, for people.
type Part struct {
	Place     string // host or node
	Kind      string // host, node, or "node, as web" when it shares
	Interface string // empty: the place has none
	Addresses string
	Joins     string // what is at the other end
}

// Parts lists the interfaces of a topology, place by place, in the file's order.
func (t *Topology) Parts() []Part {
	m, _ := t.resolve()
	var out []Part
	for _, p := range m.places {
		of := m.partsOf(p)
		if p.share != nil || len(of) == 0 {
			of = []Part{{}}
		}
		for _, part := range of {
			part.Place, part.Kind = p.name, p.kind()
			out = append(out, part)
		}
	}
	return out
}

func (p *place) kind() string {
	switch {
	case p.share != nil:
		return "node, as " + p.share.name
	case p.host:
		return "host"
	}
	return "node"
}

func (m *model) partsOf(p *place) (out []Part) {
	for _, b := range m.bridges {
		if b.in.space() != p {
			continue
		}
		part := Part{Interface: b.name, Joins: "bridge"}
		if b.address.IsValid() {
			part.Addresses = b.address.String()
		}
		out = append(out, part)
	}
	for _, c := range m.cables {
		for _, e := range [][2]end{{c.a, c.b}, {c.b, c.a}} {
			if e[0].in.space() == p {
				out = append(out, Part{Interface: e[0].link, Addresses: prefixes(e[0].addresses), Joins: joins(e[0], e[1])})
			}
		}
	}
	for _, u := range m.tunnels {
		if u.in.space() != p {
			continue
		}
		part := Part{Interface: u.name, Joins: "VXLAN to " + u.remote.String()}
		if u.bridge != nil {
			part.Joins += ", port of " + u.bridge.name
		}
		out = append(out, part)
	}
	return out
}

// joins says where a cable leads from one of its ends.
func joins(from, to end) string {
	text := to.in.name + ":" + to.link
	if from.bridge != nil {
		text += ", port of " + from.bridge.name
	}
	return text
}

func prefixes(list []netip.Prefix) string {
	words := make([]string, len(list))
	for i, p := range list {
		words[i] = p.String()
	}
	return strings.Join(words, " ")
}
