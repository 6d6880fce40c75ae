package lab

import (
	"net/netip"
	"slices"
)

// model is a topology whose names are resolved: what plans and probes are made of.
type model struct {
	name    string
	places  []*place // hosts, then nodes, as the file has them
	bridges []*bridge
	cables  []cable
	tunnels []tunnel
	routes  []route
	sysctls []setting
	nats    []rewrite
	drops   []drop
	ports   []listen
	probes  []probe
}

// place is a host or a node.
type place struct {
	name, about string
	host        bool
	on          string
	share       *place // whose namespace it uses, or nil

	// Of a place with a namespace of its own:
	links     []string
	addresses []netip.Prefix // in the order of the file
}

// space is the place that has the namespace.
func (p *place) space() *place {
	for p.share != nil {
		p = p.share
	}
	return p
}

// reaches says that an address is on one of the place's own networks.
func (p *place) reaches(a netip.Addr) bool {
	return slices.ContainsFunc(p.space().addresses, func(net netip.Prefix) bool { return net.Contains(a) })
}

type bridge struct {
	name    string
	in      *place
	address netip.Prefix // not valid: none
	mtu     int
}

type cable struct {
	a, b end
	mtu  int
}

// end is one end of a cable.
type end struct {
	in        *place
	link      string
	bridge    *bridge // that it is a port of, or nil
	addresses []netip.Prefix
}

type tunnel struct {
	in            *place
	name          string
	id, port, mtu int
	local, remote netip.Addr
	bridge        *bridge // or nil
}

type route struct {
	in  *place
	to  netip.Prefix
	via netip.Addr // not valid: none
	dev string
}

type setting struct {
	in         *place
	key, value string
}

// rewrite is a masquerade, or a dnat when at is valid.
type rewrite struct {
	in          *place
	from        netip.Prefix
	out, notOut string

	at, to netip.AddrPort
	proto  string
	hooks  []string
	chain  string
}

type drop struct {
	in       *place
	from, to string
}

// listen is something that answers.
type listen struct {
	in    *place
	proto string // tcp, udp or http
	port  uint16
}

// probe is an expectation.
type probe struct {
	from  *place
	to    netip.AddrPort // port 0: none
	as    string         // the target in the file's words
	by    string
	want  Outcome
	sees  netip.Addr // not valid: whatever
	ttl   int        // 0: whatever
	hops  []netip.Addr
	wire  *wire
	at    string // before which part; "" when all is there
	index int    // in the file
}

// wire is a link that is listened to.
type wire struct {
	in    *place
	link  string
	proto string
	port  uint16
}
