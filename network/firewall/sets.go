package firewall

import (
	"fmt"
	"net/netip"
	"slices"
)

// UserChain is the administrator's own chain. It is the first that forwarded
// packets meet. Mini makes it when it is missing and never writes to it.
const UserChain = "DOCKER-USER"

// Noted is a rule with the reason for it.
type Noted struct {
	Rule
	Name string // imperative, for a plan's step
	Why  string
}

// NotedChain is a chain with the reason for it.
type NotedChain struct {
	Chain
	Why string
}

// BaseSet is what all networks share: chains, and the jumps to them.
type BaseSet struct {
	Chains []NotedChain
	Rules  []Noted
}

// Base gives the chains and jumps for the prefix, such as DOCKER, tagged with
// owner. The last rule of all is the jump to [UserChain], so that it ends up
// before the others at the head of FORWARD.
func Base(prefix, owner string) BaseSet {
	rule := func(table, chain, match, target string, first bool, name, why string) Noted {
		r := newRule(table, chain, match, owner, target)
		r.First = first
		return Noted{Rule: r, Name: name, Why: why}
	}
	local := "-m addrtype --dst-type LOCAL"
	return BaseSet{Chains: baseChains(prefix), Rules: []Noted{
		rule("raw", "PREROUTING", "", prefix+"-RAW", true, "guard arriving packets",
			"Before connection tracking sees them, packets that no honest peer sends are dropped."),
		rule("raw", prefix+"-RAW", "-d 127.0.0.0/8 ! -i lo", "DROP", false, "drop packets to 127/8 from outside",
			"route_localnet lets 127.0.0.1:port reach a container; without this rule it would also let a container reach the host's own loopback services."),
		rule("raw", prefix+"-RAW", "-s 127.0.0.0/8 ! -i lo", "DROP", false, "drop packets from 127/8 from outside",
			"No packet on a wire comes from a loopback address, except a forged one."),
		rule("nat", "PREROUTING", local, prefix, false, "look up published ports for arriving packets",
			"Packets to any address of this host may be for a published port."),
		rule("nat", "OUTPUT", local, prefix, false, "look up published ports for the host's own packets",
			"Connections from this host to itself, 127.0.0.1 included, do not pass PREROUTING."),
		rule("filter", prefix+"-FORWARD", "", prefix+"-CT", false, "first let answers through",
			"Most packets belong to a connection that was already allowed."),
		rule("filter", prefix+"-FORWARD", "", prefix+"-INTERNAL", false, "then close internal networks",
			"An internal network has no way in or out."),
		rule("filter", prefix+"-FORWARD", "", prefix+"-BRIDGE", false, "then judge packets to a bridge",
			"The destination decides: one pair of rules per network isolates it from all others."),
		rule("filter", "FORWARD", "", prefix+"-FORWARD", true, "send forwarded packets to mini's chains",
			"They stand before other rules, which could accept what mini must drop. FORWARD's policy stays as it is."),
		rule("filter", "FORWARD", "", UserChain, true, "send forwarded packets to the administrator's chain first",
			"Rules in "+UserChain+" have the first word; mini never changes them."),
	}}
}

func baseChains(prefix string) []NotedChain {
	return []NotedChain{
		{Chain{Table: "raw", Name: prefix + "-RAW"}, "It drops what must not even be tracked."},
		{Chain{Table: "nat", Name: prefix}, "It holds one DNAT rule per published port, or per range of them."},
		{Chain{Table: "filter", Name: prefix + "-CT"}, "It accepts answers to containers."},
		{Chain{Table: "filter", Name: prefix + "-INTERNAL"}, "It closes internal networks."},
		{Chain{Table: "filter", Name: prefix + "-BRIDGE"}, "It protects each network from all others."},
		{Chain{Table: "filter", Name: prefix + "-FORWARD"}, "It orders the stages above, then lets containers out."},
		{Chain{Table: "filter", Name: UserChain}, "It is for the administrator's own rules."},
	}
}

// BridgeConfig is what the rules of one network depend on.
type BridgeConfig struct {
	Prefix   string // of the chains
	Owner    string // for the tag
	Link     string // the bridge
	Subnet   netip.Prefix
	Subnet6  netip.Prefix // zero: no IPv6
	Internal bool
	Mode     string // of the gateway, see ModeNAT
	Mode6    string // the same for IPv6
	// From are bridges that must not reach this unprotected network directly, To
	// are unprotected ones that this network must not reach.
	From, To []string
	// NoICC keeps containers from reaching each other through the host.
	NoICC bool
	// NoMasquerade lets packets leave with the container's address.
	NoMasquerade bool
}

// Bridge gives the rules of one network: their number does not depend on how
// many containers or ports it has, and on how many networks there are only where
// one is unprotected.
func Bridge(c BridgeConfig) []Noted { return append(c.alone(), c.apart()...) }

// alone gives the rules that do not depend on other networks.
func (c BridgeConfig) alone() []Noted {
	switch {
	case c.Internal && c.Mode == ModeIsolated:
		return c.closed() // no route leads there, so nothing is to be guarded
	case c.Internal:
		return append([]Noted{c.guard()}, c.closed()...)
	case c.Mode == ModeRouted:
		return c.routed()
	case c.Mode == ModeUnprotected:
		return append(c.sources(), c.unprotected()...)
	case c.NoMasquerade:
		// The guard would drop answers too: they come for a container's address.
		return append(c.sources(), c.ways()...)
	}
	return slices.Concat([]Noted{c.guard()}, c.sources(), c.ways())
}

func (c BridgeConfig) rule(table, chain, match, target, name, why string) Noted {
	return Noted{Rule: newRule(table, chain, match, c.Owner, target), Name: name, Why: why}
}

// out and in match what leaves the bridge for elsewhere, and what comes from elsewhere.
func (c BridgeConfig) out() string { return "-i " + c.Link + " ! -o " + c.Link }
func (c BridgeConfig) in() string  { return "! -i " + c.Link + " -o " + c.Link }

func (c BridgeConfig) guard() Noted {
	return c.rule("raw", c.Prefix+"-RAW",
		fmt.Sprintf("-d %s ! -i %s -m addrtype ! --dst-type LOCAL", c.Subnet, c.Link), "DROP",
		"drop direct packets to "+c.Subnet.String(),
		"Containers are reached through published ports or from their own bridge, never by a route to their address. The gateway address stays reachable, as it is the host's.")
}

// closed are the rules of an internal network.
func (c BridgeConfig) closed() []Noted {
	out, in := c.out(), c.in()
	if c.NoICC {
		out, in = "-i "+c.Link, "-o "+c.Link // and the way through the host
	}
	rules := []Noted{
		c.rule("filter", c.Prefix+"-INTERNAL", out, "DROP", "close the way out of "+c.Link,
			"The network is internal."),
		c.rule("filter", c.Prefix+"-INTERNAL", in, "DROP", "close the way into "+c.Link,
			"The network is internal."),
		c.deaf(),
	}
	if c.NoICC {
		return rules
	}
	return append(rules,
		c.rule("filter", c.Prefix+"-FORWARD", "-i "+c.Link, "ACCEPT", "accept packets inside "+c.Link,
			"With bridge-nf-call-iptables=1 packets between two containers of a bridge pass FORWARD too."))
}

// deaf keeps containers of an internal network from the host's own services, on
// all of its addresses. It stands at the head of INPUT, as others may accept
// there what listens on all addresses.
func (c BridgeConfig) deaf() Noted {
	n := c.rule("filter", "INPUT", "-i "+c.Link+" -m conntrack ! --ctstate RELATED,ESTABLISHED", "DROP",
		"close the host's own services to "+c.Link,
		"The network is internal: what listens on the host is no part of it. The host still reaches the containers, and gets their answers.")
	n.First = true
	return n
}

// sources are the rules that change the source address.
func (c BridgeConfig) sources() []Noted {
	rules := []Noted{
		c.rule("nat", "POSTROUTING", fmt.Sprintf("-s %s -o %s -m conntrack --ctstate DNAT", c.Subnet, c.Link), "MASQUERADE",
			"masquerade published ports used from "+c.Subnet.String(),
			"A container that calls a published port of its own bridge must get the answer through the host, or it would not recognise the sender."),
		c.rule("nat", "POSTROUTING", "-s 127.0.0.0/8 -o "+c.Link, "MASQUERADE", "masquerade 127.0.0.1 towards "+c.Link,
			"A container cannot answer to 127.0.0.1: that is itself."),
	}
	if c.NoMasquerade {
		return rules
	}
	outwards := c.rule("nat", "POSTROUTING", fmt.Sprintf("-s %s ! -o %s", c.Subnet, c.Link), "MASQUERADE",
		"masquerade what leaves "+c.Subnet.String(),
		"The world has no route to a container's address: on the way out it is replaced by the host's.")
	return append([]Noted{outwards}, rules...)
}

// ways are the rules that say who may send what where.
func (c BridgeConfig) ways() []Noted {
	return []Noted{c.answers(), c.published(), c.last(), c.leave()}
}

func (c BridgeConfig) answers() Noted {
	return c.rule("filter", c.Prefix+"-CT", "-o "+c.Link+" -m conntrack --ctstate RELATED,ESTABLISHED", "ACCEPT",
		"accept answers to "+c.Link, "They belong to connections that were allowed.")
}

func (c BridgeConfig) published() Noted {
	return c.rule("filter", c.Prefix+"-BRIDGE", "-o "+c.Link+" -m conntrack --ctstate DNAT", "ACCEPT",
		"accept published ports of "+c.Link,
		"Only a DNAT rule gives a connection this state, so the DNAT rules alone decide what is published.")
}

func (c BridgeConfig) leave() Noted {
	return c.rule("filter", c.Prefix+"-FORWARD", "-i "+c.Link, "ACCEPT", "let containers of "+c.Link+" out",
		"What a protected bridge must not get was dropped one stage before.")
}

// last drops what was not accepted before. The host itself is not concerned:
// what it sends is not forwarded.
func (c BridgeConfig) last() Noted {
	match, why := c.in(), "Other bridges and the outside have no business here."
	if c.NoICC {
		match = "-o " + c.Link
		why += " Nor have the network's own containers: they are kept apart, also when they send through the host."
	}
	return c.rule("filter", c.Prefix+"-BRIDGE", match, "DROP", "drop everything else towards "+c.Link, why)
}
