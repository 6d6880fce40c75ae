package network

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"slices"

	"github.com/minirt/mini/network/firewall"
)

// bothFamilies are IPv4 and IPv6, as [firewall.Rule] tells them apart.
var bothFamilies = []bool{false, true}

// ruleFamilies gives the families that the network has, as rules name them.
func (n *Network) ruleFamilies() (fs []bool) {
	for _, f := range n.families() {
		fs = append(fs, f.v6)
	}
	return fs
}

// ruleFamilies gives the families that the network has: it has rules of each.
func (mk *mark) ruleFamilies() (fs []bool) {
	for _, v6 := range bothFamilies {
		if slices.ContainsFunc(mk.Rules, func(r firewall.Rule) bool { return r.V6 == v6 }) {
			fs = append(fs, v6)
		}
	}
	return fs
}

// prefix gives the chain prefix in use, or the one that the next network of these
// families to come up will use, as far as can be told now.
func (m *Manager) prefix(families []bool) (string, error) {
	s, err := m.chainState()
	if err != nil {
		return "", err
	}
	if s.active() {
		return s.Prefix, nil
	}
	return m.choosePrefix(families)
}

// choosePrefix finds a prefix whose chains nobody has. A Docker on the host
// flushes and deletes the chains it knows by name, whoever made them.
func (m *Manager) choosePrefix(families []bool) (string, error) {
	if m.opt.ChainPrefix != "" {
		return m.opt.ChainPrefix, nil
	}
	candidates := []string{"DOCKER", "MINI", "MINI2", "MINI3", "MINI4"}
	for _, p := range candidates {
		taken, err := m.hasChains(p, families)
		if err != nil {
			return "", err
		}
		if !taken {
			return p, nil
		}
	}
	return "", fmt.Errorf("choosing a chain prefix: others have chains for all of %q: use --chain-prefix", candidates)
}

// hasChains looks for the two chains that every Docker, or another mini, has
// at least one of, in each of the families.
func (m *Manager) hasChains(prefix string, families []bool) (bool, error) {
	s, err := m.chainState()
	if err != nil {
		return false, err
	}
	for _, v6 := range families {
		for _, c := range []firewall.Chain{{Table: "nat", Name: prefix, V6: v6}, {Table: "filter", Name: prefix + "-FORWARD", V6: v6}} {
			if free, err := m.isFree(c, s.Left); !free || err != nil {
				return !free, err
			}
		}
	}
	return false, nil
}

// startChains records that the shared chains of families are about to be made,
// unless they are there. The caller holds networks.lock.
func (m *Manager) startChains(families []bool) (chainState, error) {
	s, err := m.chainState()
	if err != nil {
		return s, err
	}
	missing := slices.DeleteFunc(slices.Clone(families), func(v6 bool) bool { return *s.stage(v6) != "" })
	if s.active() {
		if err := m.checkDriver(); err != nil || len(missing) == 0 {
			return s, err
		}
	} else if err := m.startPrefix(&s, families); err != nil {
		return s, err
	}
	for _, v6 := range missing {
		user, err := m.fw().HasChain(userChain(v6))
		if err != nil {
			return s, err
		}
		*s.madeUser(v6) = *s.madeUser(v6) || !user
		*s.stage(v6) = baseStarting
		s.setBase(m.owner, v6)
	}
	if err := replaceJSON(m.chainPath(), s); err != nil {
		return s, fmt.Errorf("recording the chain prefix: %w", err)
	}
	return s, nil
}

// startPrefix fills in what the chains of all families have in common.
func (m *Manager) startPrefix(s *chainState, families []bool) (err error) {
	before := s.Prefix
	if s.Prefix, err = m.choosePrefix(families); err != nil {
		return err
	}
	if s.Prefix != dockerPrefix && m.opt.ChainPrefix == "" && s.Prefix != before {
		m.opt.Notice("chain DOCKER belongs to somebody else: mini's chains are named " + s.Prefix)
	}
	s.Driver, s.Moving = m.driverName(), false
	s.Boot, err = m.bootID()
	return err
}

// mark is the record up.json of a network that is up, or was about to be.
type mark struct {
	// Bridge is the link that the rules name. With ptp it ends in iptables'
	// wildcard +, and stands for the host's ends of all cables.
	Bridge string `json:"bridge"`
	// Held are the subnets that are held by routes, only with ptp.
	Held   []netip.Prefix `json:"held,omitempty"`
	Index  int            `json:"index,omitempty"` // of the link
	MTU    int            `json:"mtu"`             // in bytes
	Prefix string         `json:"chain_prefix"`
	// Backend of iptables that has the rules; "" when it is unknown.
	Backend firewall.Backend `json:"backend,omitempty"`
	Boot    string           `json:"boot"` // as in chainState
	Ready   bool             `json:"ready"`
	// From and To are bridges of other networks: see meet.
	From []string `json:"from,omitempty"`
	To   []string `json:"to,omitempty"`
	// From6 and To6 are the same for IPv6.
	From6 []string `json:"from6,omitempty"`
	To6   []string `json:"to6,omitempty"`
	// Found is set when the bridge is somebody else's.
	Found *found          `json:"found,omitempty"`
	Rules []firewall.Rule `json:"rules"`
}

// readMark gives the network's mark, nil when it has none of this boot.
func (m *Manager) readMark(n *Network) (*mark, error) {
	mk := new(mark)
	err := readJSON(m.markPath(n), mk)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	boot, err := m.bootID()
	if err != nil || mk.Boot != boot {
		return nil, err
	}
	return mk, nil
}

// marks gives the marks of all networks, also of those that are half up.
func (m *Manager) marks() (map[string]*mark, error) {
	entries, err := os.ReadDir(m.statePath("networks"))
	if err != nil {
		return nil, ignoreMissing(err)
	}
	all := make(map[string]*mark)
	for _, e := range entries {
		mk, err := m.readMark(&Network{ID: e.Name()})
		if err != nil {
			return nil, err
		}
		if mk != nil {
			all[e.Name()] = mk
		}
	}
	return all, nil
}

// recorded gives the rules of the shared chains and of all networks, of the
// families that are up, in an order in which they may be added: in a chain with
// rules of both, the shared ones come first.
func (m *Manager) recorded(s chainState) ([]firewall.Rule, error) {
	marks, err := m.marks()
	if err != nil {
		return nil, err
	}
	rules := slices.Clone(s.Rules)
	for _, id := range slices.Sorted(maps.Keys(marks)) {
		rules = append(rules, marks[id].Rules...)
	}
	return s.standing(rules), nil
}
