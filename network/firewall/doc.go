// Package firewall holds iptables rules as values, and applies them.
//
// [Base] and [Bridge] compute which chains and rules mini needs: pure
// functions, tested against reviewed text. [Tool] puts them into the kernel.
// Chains, listings and checks go through coreos/go-iptables. Rules are added and
// deleted through iptables-restore: one exec is as fast for a hundred ports as
// for one, makes several changes at once or none, and can inherit a lock.
//
// Where a packet meets mini's chains (with the chain prefix DOCKER):
//
//	             raw PREROUTING      nat PREROUTING        filter FORWARD         nat POSTROUTING
//	in ────────► DOCKER-RAW ───────► DOCKER ─────(route)──► DOCKER-USER ────────► masquerade ───► out
//	             no 127/8 from       DNAT to a              DOCKER-FORWARD
//	             a wire, no direct   container              ├ DOCKER-CT        established
//	             way to containers                          ├ DOCKER-INTERNAL  closed networks
//	                                                        ├ DOCKER-BRIDGE    to a bridge: only published
//	             nat OUTPUT                                 └ from a bridge    outwards: accept
//	host ──────► DOCKER ──────────────────────────────────────────────────────► masquerade ───► out
//
// On the way out DOCKER-OUT masquerades what leaves for the world, and rules in
// POSTROUTING itself what must come back through the host.
//
// Rules and chains of IPv6 say so, and are made by the same functions: what differs
// is in family.go, and what is in those functions for one family only has its reason
// beside it. [Tool] takes lists of both and gives each family's to its program, in a
// transaction of its own. It looks for ip6tables when it meets the first one of IPv6.
//
// Every rule carries a comment `mini:<owner>`. A rule is removed by its exact
// recorded text, never by its position, and a chain only when it is empty.
package firewall
