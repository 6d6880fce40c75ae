package nft

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"

	"github.com/minirt/mini/network/firewall"
)

// state is what the kernel has of our table of one family.
type state struct {
	family
	chains   map[string][]*nftables.Rule
	elements []mapElement
}

// tables are those of the families that were asked for.
type tables map[family]state

// has tells whether a rule exists.
func (all tables) has(r rule) bool { return all[r.family].has(r) }

// hasChain tells whether a chain is there as we make it.
func (all tables) hasChain(c firewall.Chain) bool { return all[family(c.V6)].hasChain(c) }

// mapElement is an element of one of the maps.
type mapElement struct {
	set *nftables.Set
	nftables.SetElement
}

// read asks the kernel for the tables of some families. A table that is not there
// is empty.
func (d *Driver) read(fs ...family) (tables, error) {
	b, end, err := d.open()
	if err != nil {
		return nil, err
	}
	defer end()
	all := make(tables)
	for _, f := range fs {
		if all[f], err = b.read(f); err != nil {
			return nil, fmt.Errorf("reading the nftables table %s %s: %w", f, d.table, err)
		}
	}
	return all, nil
}

func (b *batch) read(f family) (state, error) {
	s := state{family: f, chains: make(map[string][]*nftables.Rule)}
	chains, err := b.conn.ListChainsOfTableFamily(f.table())
	if err != nil {
		return s, err
	}
	for _, c := range chains {
		if c.Table.Name != b.name {
			continue
		}
		rules, err := b.conn.GetRules(b.table(f), c)
		if err != nil {
			return s, err
		}
		s.chains[c.Name] = rules
	}
	if len(s.chains) == 0 {
		return s, nil
	}
	return s, b.readElements(&s)
}

// readElements fills in the elements of the maps of ports.
func (b *batch) readElements(s *state) error {
	maps, err := b.conn.GetSets(b.table(s.family))
	if err != nil {
		return err
	}
	for _, m := range maps {
		name := m.Name
		if name != mapAny && name != mapAt {
			continue
		}
		set := b.portMap(s.family, name)
		elements, err := b.conn.GetSetElements(set)
		if err != nil {
			return err
		}
		for _, e := range elements {
			s.elements = append(s.elements, mapElement{set, e})
		}
	}
	return nil
}

func comment(r *nftables.Rule) string {
	text, _ := userdata.GetString(r.UserData, userdata.TypeComment)
	return text
}

// find gives the kernel's rule, nil when there is none.
func (s state) find(r rule) *nftables.Rule {
	i := s.index(r)
	if i < 0 {
		return nil
	}
	return s.chains[r.chain][i]
}

func (s state) index(r rule) int {
	return slices.IndexFunc(s.chains[r.chain], func(n *nftables.Rule) bool { return comment(n) == r.comment })
}

func (s state) has(r rule) bool {
	if _, ok := r.element(); ok {
		return s.element(r) != nil
	}
	return s.index(r) >= 0
}

// hasOwner tells whether the owner, mini:host for one, has a rule.
func (s state) hasOwner(owner string) bool {
	his := func(text string) bool { return strings.HasPrefix(text, owner+" #") }
	for _, rules := range s.chains {
		if slices.ContainsFunc(rules, func(r *nftables.Rule) bool { return his(comment(r)) }) {
			return true
		}
	}
	return slices.ContainsFunc(s.elements, func(e mapElement) bool { return his(e.Comment) })
}

// element gives the map element that stands for a rule, nil when there is none.
func (s state) element(r rule) *mapElement {
	i := slices.IndexFunc(s.elements, func(e mapElement) bool { return e.Comment == r.comment })
	if i < 0 {
		return nil
	}
	return &s.elements[i]
}

// hasChain tells whether a chain is there as we make it: one that somebody flushed
// no longer looks up ports.
func (s state) hasChain(c firewall.Chain) bool {
	rules, ok := s.chains[chainName(c.Table, c.Name)]
	return ok && (!c.HoldsPorts() || s.lookUps(rules) == len(s.mapRules()))
}

func (s state) exists(c firewall.Chain) bool {
	_, ok := s.chains[chainName(c.Table, c.Name)]
	return ok
}

func (s state) lookUps(rules []*nftables.Rule) (n int) {
	for _, r := range rules {
		if comment(r) == "" && slices.ContainsFunc(r.Exprs, func(e expr.Any) bool { _, ok := e.(*expr.Lookup); return ok }) {
			n++
		}
	}
	return n
}

func isBase(name string) bool {
	return slices.ContainsFunc(baseChains, func(b baseChain) bool { return b.name() == name })
}

// inUse tells whether a chain holds a rule that does more than look up ports, or
// is jumped to.
func (s state) inUse(c firewall.Chain) bool {
	name := chainName(c.Table, c.Name)
	if slices.ContainsFunc(s.chains[name], func(r *nftables.Rule) bool { return !looksUpPorts(c, r) }) {
		return true
	}
	for _, rules := range s.chains {
		if slices.ContainsFunc(rules, func(r *nftables.Rule) bool { return jumpsTo(r, name) }) {
			return true
		}
	}
	return false
}

func jumpsTo(r *nftables.Rule, chain string) bool {
	return slices.ContainsFunc(r.Exprs, func(e expr.Any) bool {
		v, ok := e.(*expr.Verdict)
		return ok && v.Chain == chain
	})
}

// bare tells whether only base chains without rules are left.
func (s state) bare() bool {
	for name, rules := range s.chains {
		if !isBase(name) || len(rules) > 0 {
			return false
		}
	}
	return true
}
