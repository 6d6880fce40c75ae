package nft

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/network/port"
)

// The targets that are not chains.
const (
	accept     = "ACCEPT"
	drop       = "DROP"
	masquerade = "MASQUERADE"
	dnat       = "DNAT"
	goBack     = "RETURN"
)

// rule is a firewall rule, taken apart.
type rule struct {
	family
	chain   string
	first   bool
	matches []match
	target  string     // one of the above, or the name of a chain
	to      netip.Addr // of DNAT
	toPort  uint16     // 0: the port stays
	comment string
}

// match is one condition. Which fields have a meaning depends on the kind.
type match struct {
	kind   matchKind
	not    bool
	prefix netip.Prefix
	text   string // of an interface, a protocol or a list of states
	port   uint16
	last   uint16 // of a range of ports, or 0
}

type matchKind int

const (
	matchSource matchKind = iota
	matchDest
	matchIn
	matchOut
	matchLocal
	matchState
	matchProto
	matchPort
)

var kinds = map[string]matchKind{
	"-s": matchSource, "-d": matchDest, "-i": matchIn, "-o": matchOut, "-p": matchProto,
	"--dst-type": matchLocal, "--ctstate": matchState, "--dport": matchPort,
}

// chainName joins table and chain: nft chains of one table share one space.
func chainName(table, chain string) string { return table + "-" + chain }

// parse reads the words of a rule. A word that the driver does not know is an
// error: half a rule would be worse than none.
func parse(r firewall.Rule) (rule, error) {
	out := rule{family: family(r.V6), chain: chainName(r.Table, r.Chain), first: r.First}
	fail := func(err error) (rule, error) {
		return rule{}, fmt.Errorf("the nftables driver cannot express the rule %q: %w", strings.Join(r.Spec, " "), err)
	}
	if len(r.Spec) == 2 && r.Spec[0] == "--comment" {
		// Of a listing, see Driver.Listing: enough to find the rule and delete it.
		out.comment, out.target = r.Spec[1], goBack
		return out, nil
	}
	not := false
	for words := r.Spec; len(words) > 0; {
		if words[0] == "!" {
			not, words = true, words[1:]
			continue
		}
		if len(words) < 2 {
			return fail(fmt.Errorf("%q stands alone", words[0]))
		}
		if err := out.option(words[0], words[1], not); err != nil {
			return fail(err)
		}
		words, not = words[2:], false
	}
	if out.target == "" {
		return fail(errors.New("it has no target"))
	}
	if out.target == dnat && !out.to.IsValid() {
		return fail(errors.New("DNAT to nowhere"))
	}
	out.comment = clip(out.comment) + " #" + digest(r)
	if out.jumps() {
		out.target = chainName(r.Table, out.target)
	}
	return out, nil
}

// clip shortens an owner's tag to what a comment of nftables can hold, with the
// digest: 127 bytes, see NFTNL_UDATA_COMMENT_MAXLEN in libnftnl.
func clip(tag string) string { return tag[:min(len(tag), 110)] }

// option reads one option and its value.
func (r *rule) option(name, value string, not bool) (err error) {
	switch name {
	case "-m": // each match that follows says whose it is
	case "--comment":
		r.comment = value
	case "-j":
		r.target = value
	case "--to-destination":
		err = r.destination(value)
	default:
		kind, ok := kinds[name]
		if !ok {
			return fmt.Errorf("unknown option %s", name)
		}
		m := match{kind: kind, not: not, text: value}
		err = m.parseValue(r.family)
		r.matches = append(r.matches, m)
	}
	return err
}

// destination reads IP, or IP:PORT with an IPv6 address in brackets.
func (r *rule) destination(text string) (err error) {
	if r.to, err = netip.ParseAddr(text); err != nil {
		to, portErr := netip.ParseAddrPort(text)
		r.to, r.toPort, err = to.Addr(), to.Port(), portErr
	}
	if err == nil {
		err = r.check(r.to)
	}
	return err
}

// check refuses an address of the other family, and one with a zone.
func (f family) check(addr netip.Addr) error {
	switch {
	case !f.has(addr):
		return fmt.Errorf("%s is not of the family %s", addr, f)
	case addr.Zone() != "":
		return fmt.Errorf("%s has a zone", addr)
	}
	return nil
}

func (m *match) parseValue(f family) (err error) {
	switch m.kind {
	case matchSource, matchDest:
		err = m.parsePrefix(f)
	case matchPort:
		first, last, isRange := strings.Cut(m.text, ":")
		m.port, err = parsePort(first)
		if err == nil && isRange {
			m.last, err = parsePort(last)
		}
	case matchLocal:
		if m.text != "LOCAL" {
			err = fmt.Errorf("unknown type of address %s", m.text)
		}
	case matchState:
		for s := range strings.SplitSeq(m.text, ",") {
			if _, ok := states[s]; !ok {
				err = fmt.Errorf("unknown state %s", s)
			}
		}
	case matchProto:
		if _, ok := protocols[m.text]; !ok {
			err = fmt.Errorf("unknown protocol %s", m.text)
		}
	}
	return err
}

// parsePrefix reads an address or a prefix.
func (m *match) parsePrefix(f family) (err error) {
	if strings.Contains(m.text, "/") {
		m.prefix, err = netip.ParsePrefix(m.text)
	} else {
		var addr netip.Addr
		addr, err = netip.ParseAddr(m.text)
		m.prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	if err != nil {
		return err
	}
	return f.check(m.prefix.Addr())
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err
}

// jumps says that the target is a chain.
func (r rule) jumps() bool {
	return !slices.Contains([]string{accept, drop, masquerade, dnat, goBack}, r.target)
}

// element gives the map element that stands for a published port's rule.
func (r rule) element() (e element, ok bool) {
	if r.target != dnat || r.toPort == 0 {
		return e, false
	}
	e = element{to: netip.AddrPortFrom(r.to, r.toPort), comment: r.comment}
	for _, m := range r.matches {
		switch m.kind {
		case matchDest:
			e.at = m.prefix.Addr()
		case matchProto:
			e.proto = port.Proto(m.text)
		case matchPort:
			if e.port = m.port; m.last != 0 {
				return e, false
			}
		default:
			return e, false
		}
		if m.not {
			return e, false
		}
	}
	return e, e.proto != "" && e.port != 0
}

// element is one entry of the maps ports and ports-at.
type element struct {
	at      netip.Addr // zero: all host addresses
	proto   port.Proto
	port    uint16
	to      netip.AddrPort
	comment string
}

func (e element) mapName() string {
	if e.at.IsValid() {
		return mapAt
	}
	return mapAny
}

// digest tells a rule from all others of its owner.
func digest(r firewall.Rule) string {
	spec := slices.Clone(r.Spec)
	if i := slices.Index(spec, "--comment"); i >= 0 {
		spec = slices.Delete(spec, i, i+2)
	}
	sum := sha256.Sum256([]byte(r.Table + " " + r.Chain + " " + strings.Join(spec, " ")))
	return hex.EncodeToString(sum[:4])
}
