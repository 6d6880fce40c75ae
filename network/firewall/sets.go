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

// Base gives the chains and jumps of one family for the prefix, such as DOCKER,
// tagged with owner. The last rule of all is the jump to [UserChain], so that it
// ends up before the others at the head of FORWARD.
func Base(prefix, owner string, v6 bool) BaseSet {
	f := family(v6)
	rule := func(table, chain, match, target, name, why string) Noted {
		r := f.rule(table, chain, match, owner, target)
		r.First = chain == "FORWARD" || table == "raw" && chain == "PREROUTING"
		return Noted{Rule: r, Name: f.step(name), Why: why}
	}
	const local = "-m addrtype --dst-type LOCAL"
	rules := []Noted{rule("raw", "PREROUTING", "", prefix+"-RAW", "guard arriving packets",
		"Before connection tracking sees them, packets that no honest peer sends are dropped.")}
	ownWhy := "Connections from this host to itself, 127.0.0.1 included, do not pass PREROUTING."
	if f {
		ownWhy = "Connections from this host to itself do not pass PREROUTING. Those to ::1 cannot be led out of lo: the kernel drops that address on any other link."
	} else {
		rules = append(rules,
			rule("raw", prefix+"-RAW", "-d 127.0.0.0/8 ! -i lo", "DROP", "drop packets to 127/8 from outside",
				"route_localnet lets 127.0.0.1:port reach a container; without this rule it would also let a container reach the host's own loopback services."),
			rule("raw", prefix+"-RAW", "-s 127.0.0.0/8 ! -i lo", "DROP", "drop packets from 127/8 from outside",
				"No packet on a wire comes from a loopback address, except a forged one."))
	}
	return BaseSet{Chains: f.baseChains(prefix), Rules: append(rules,
		rule("nat", "PREROUTING", local, prefix, "look up published ports for arriving packets",
			"Packets to any address of this host may be for a published port."),
		rule("nat", "OUTPUT", f.notLoopback()+local, prefix, "look up published ports for the host's own packets", ownWhy),
		rule("nat", "POSTROUTING", "", prefix+outChain, "look at what leaves a container's network",
			"The world has no route to a container's address."),
		rule("filter", prefix+"-FORWARD", "", prefix+"-CT", "first let answers through",
			"Most packets belong to a connection that was already allowed."),
		rule("filter", prefix+"-FORWARD", "", prefix+"-INTERNAL", "then close internal networks",
			"An internal network has no way in or out."),
		rule("filter", prefix+"-FORWARD", "", prefix+"-BRIDGE", "then judge packets to a bridge",
			"The destination decides: one pair of rules per network isolates it from all others."),
		rule("filter", "FORWARD", "", prefix+"-FORWARD", "send forwarded packets to mini's chains",
			"They stand before other rules, which could accept what mini must drop. FORWARD's policy stays as it is."),
		rule("filter", "FORWARD", "", UserChain, "send forwarded packets to the administrator's chain first",
			"Rules in "+UserChain+" have the first word; mini never changes them."),
	)}
}

func (f family) baseChains(prefix string) []NotedChain {
	chain := func(table, name, why string) NotedChain {
		return NotedChain{Chain{Table: table, Name: name, V6: bool(f)}, why}
	}
	return []NotedChain{
		chain("raw", prefix+"-RAW", "It drops what must not even be tracked."),
		chain("nat", prefix, "It holds one DNAT rule per published port, or per range of them."),
		chain("nat", prefix+outChain, "It masquerades what leaves for the world, and nothing between mini's networks."),
		chain("filter", prefix+"-CT", "It accepts answers to containers."),
		chain("filter", prefix+"-INTERNAL", "It closes internal networks."),
		chain("filter", prefix+"-BRIDGE", "It protects each network from all others."),
		chain("filter", prefix+"-FORWARD", "It orders the stages above, then lets containers out."),
		chain("filter", UserChain, "It is for the administrator's own rules."),
	}
}

// BridgeConfig is what the rules of one network depend on.
type BridgeConfig struct {
	Prefix   string       // of the chains
	Owner    string       // for the tag
	Link     string       // the bridge
	Subnet   netip.Prefix // zero: no IPv4
	Subnet6  netip.Prefix // zero: no IPv6
	Internal bool
	Mode     string // of the gateway, see ModeNAT
	Mode6    string // the same for IPv6
	// From are bridges that must not reach this unprotected network directly, To
	// are unprotected ones that this network must not reach.
	From, To []string
	// From6 and To6 are the same for IPv6.
	From6, To6 []string
	// NoICC keeps containers from reaching each other through the host.
	NoICC bool
	// NoMasquerade lets packets leave with the container's address.
	NoMasquerade bool
}

// Bridge gives the rules of one network, those for IPv4 if it has a subnet of
// IPv4, and those for IPv6 likewise. Their number does not depend on how many
// containers or ports it has, and on how many networks there are only where one is
// unprotected.
func Bridge(c BridgeConfig) []Noted {
	var rules []Noted
	for _, b := range []bridge{
		{c, false, c.Subnet, c.Mode, c.From, c.To},
		{c, true, c.Subnet6, c.Mode6, c.From6, c.To6},
	} {
		if b.subnet.IsValid() {
			rules = append(append(rules, b.alone()...), b.apart()...)
		}
	}
	return rules
}

// bridge is a network as one family has it.
type bridge struct {
	BridgeConfig
	family
	subnet   netip.Prefix
	mode     string
	from, to []string
}

// alone gives the rules that do not depend on other networks.
func (c bridge) alone() []Noted {
	switch {
	case c.Internal && c.mode == ModeIsolated:
		return c.closed() // no route leads there, so nothing is to be guarded
	case c.Internal:
		return append([]Noted{c.guard()}, c.closed()...)
	case c.mode == ModeRouted:
		return append(c.between(), c.routed()...)
	case c.mode == ModeUnprotected:
		return slices.Concat(c.between(), c.sources(), c.unprotected())
	case c.NoMasquerade:
		// The guard would drop answers too: they come for a container's address.
		return slices.Concat(c.between(), c.sources(), c.ways())
	}
	return slices.Concat([]Noted{c.guard()}, c.between(), c.sources(), c.ways())
}

func (c bridge) rule(table, chain, match, target, name, why string) Noted {
	return Noted{Rule: c.family.rule(table, chain, match, c.Owner, target), Name: c.step(name), Why: why}
}

// out and in match what leaves the bridge for elsewhere, and what comes from elsewhere.
func (c bridge) out() string { return "-i " + c.Link + " ! -o " + c.Link }
func (c bridge) in() string  { return "! -i " + c.Link + " -o " + c.Link }

func (c bridge) guard() Noted {
	return c.rule("raw", c.Prefix+"-RAW",
		fmt.Sprintf("-d %s ! -i %s -m addrtype ! --dst-type LOCAL", c.subnet, c.Link), "DROP",
		"drop direct packets to "+c.subnet.String(),
		"Containers are reached through published ports or from their own network, never by a route to their address. The gateway address stays reachable, as it is the host's.")
}

// between lets containers of other networks be seen by their own address: the
// host is the router of both networks. Both rules stand before what they make an
// exception to, whichever network came up first.
func (c bridge) between() []Noted {
	notLocal := "! -s 127.0.0.0/8 ! -d 127.0.0.0/8 "
	if c.family {
		notLocal = ""
	}
	rules := []Noted{
		c.rule("raw", c.Prefix+"-RAW", notLocal+"-i "+c.Link, "RETURN", "let "+c.Link+" answer other networks",
			"Containers of other networks are known by their own address here, so answers are sent to it. Who may begin is decided later, where connections are known."),
		c.rule("nat", c.Prefix+outChain, "-o "+c.Link, "RETURN", "keep the sender's address towards "+c.Link,
			"A container of another network is seen by its own address, as the host knows the way back."),
	}
	for i := range rules {
		rules[i].First = true
	}
	return rules
}

// closed are the rules of an internal network.
func (c bridge) closed() []Noted {
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
func (c bridge) deaf() Noted {
	states, why := "RELATED,ESTABLISHED", "The network is internal: what listens on the host is no part of it. The host still reaches the containers, and gets their answers."
	if c.family {
		states += ",UNTRACKED"
		why += " Neighbour discovery is not tracked, and passes: without it nobody could answer."
	}
	n := c.rule("filter", "INPUT", "-i "+c.Link+" -m conntrack ! --ctstate "+states, "DROP",
		"close the host's own services to "+c.Link, why)
	n.First = true
	return n
}

// sources are the rules that change the source address.
func (c bridge) sources() []Noted {
	rules := []Noted{
		c.rule("nat", "POSTROUTING", fmt.Sprintf("-s %s -o %s -m conntrack --ctstate DNAT", c.subnet, c.Link), "MASQUERADE",
			"masquerade published ports used from "+c.subnet.String(),
			"A container that calls a published port of its own network must get the answer through the host, or it would not recognise the sender."),
		c.near(),
	}
	if c.NoMasquerade {
		return rules
	}
	outwards := c.rule("nat", c.Prefix+outChain, fmt.Sprintf("-s %s ! -o %s", c.subnet, c.Link), "MASQUERADE",
		"masquerade what leaves "+c.subnet.String(),
		"The world has no route to a container's address: on the way out it is replaced by the host's.")
	return append([]Noted{outwards}, rules...)
}

// near masquerades senders whose address has a meaning on one link only.
func (c bridge) near() Noted {
	if c.family {
		return c.rule("nat", "POSTROUTING", "-s fe80::/10 -o "+c.Link+" -m conntrack --ctstate DNAT", "MASQUERADE",
			"masquerade published ports used from link-local addresses towards "+c.Link,
			"A neighbour may call a published port at the link-local address of "+c.Link+", and by its own. It must get the answer through the host, too.")
	}
	return c.rule("nat", "POSTROUTING", "-s 127.0.0.0/8 -o "+c.Link, "MASQUERADE", "masquerade 127.0.0.1 towards "+c.Link,
		"A container cannot answer to 127.0.0.1: that is itself.")
}

// ways are the rules that say who may send what where.
func (c bridge) ways() []Noted {
	return []Noted{c.answers(), c.published(), c.last(), c.leave()}
}

func (c bridge) answers() Noted {
	return c.rule("filter", c.Prefix+"-CT", "-o "+c.Link+" -m conntrack --ctstate RELATED,ESTABLISHED", "ACCEPT",
		"accept answers to "+c.Link, "They belong to connections that were allowed.")
}

func (c bridge) published() Noted {
	return c.rule("filter", c.Prefix+"-BRIDGE", "-o "+c.Link+" -m conntrack --ctstate DNAT", "ACCEPT",
		"accept published ports of "+c.Link,
		"Only a DNAT rule gives a connection this state, so the DNAT rules alone decide what is published.")
}

func (c bridge) leave() Noted {
	return c.rule("filter", c.Prefix+"-FORWARD", "-i "+c.Link, "ACCEPT", "let containers of "+c.Link+" out",
		"What a protected network must not get was dropped one stage before.")
}

// last drops what was not accepted before. The host itself is not concerned:
// what it sends is not forwarded.
func (c bridge) last() Noted {
	match, why := c.in(), "Other networks and the outside have no business here."
	if c.NoICC {
		match = "-o " + c.Link
		why += " Nor have the network's own containers: they are kept apart, also when they send through the host."
	}
	return c.rule("filter", c.Prefix+"-BRIDGE", match, "DROP", "drop everything else towards "+c.Link, why)
}
