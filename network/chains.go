package network

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/minirt/mini/network/firewall"
)

// chainState is the record firewall.json: which chains are ours.
type chainState struct {
	Prefix string `json:"prefix"`
	// Driver is the firewall driver that made them. Empty stands for iptables.
	Driver string `json:"driver,omitempty"`
	// Boot is the kernel's boot_id: a record of another boot describes nothing.
	Boot string `json:"boot"`
	// Stage is "" when no chain of ours should exist, baseStarting while they
	// are made, baseUp when they are there.
	Stage string `json:"stage"`
	// MadeUser: the administrator's chain was missing, so we made it. It stays
	// on record as long as the chain stays, which is while it has rules.
	MadeUser bool `json:"made_user_chain,omitempty"`
	// Moving to Prefix: the records have the rules of before, too.
	Moving bool `json:"moving,omitempty"`
	// Left are chains of mini's that could not be deleted: see keepLeft.
	Left []firewall.Chain `json:"left,omitempty"`
	// Chains and Rules are exactly those that were made.
	Chains []firewall.Chain `json:"chains,omitempty"`
	Rules  []firewall.Rule  `json:"rules,omitempty"`
}

const (
	baseStarting = "starting"
	baseUp       = "up"
)

func (m *Manager) chainPath() string { return m.statePath("firewall.json") }

func (m *Manager) chainState() (chainState, error) {
	var s chainState
	if err := readJSON(m.chainPath(), &s); err != nil {
		return s, ignoreMissing(err)
	}
	boot, err := m.bootID()
	if s.Boot != boot {
		s = chainState{Prefix: s.Prefix}
	}
	return s, err
}

// bootID names the time from one boot to the next, see random(4).
func (m *Manager) bootID() (string, error) {
	m.bootOnce.Do(func() {
		text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
		if err != nil {
			m.bootErr = fmt.Errorf("reading the boot id: %w", err)
		}
		m.boot = string(bytes.TrimSpace(text))
	})
	return m.boot, m.bootErr
}

// prefix gives the chain prefix in use, or the one that the next network to
// come up will use, as far as can be told now.
func (m *Manager) prefix() (string, error) {
	s, err := m.chainState()
	if err != nil {
		return "", err
	}
	if s.Stage != "" {
		return s.Prefix, nil
	}
	return m.choosePrefix()
}

// choosePrefix finds a prefix whose chains nobody has. A Docker on the host
// flushes and deletes the chains it knows by name, whoever made them.
func (m *Manager) choosePrefix() (string, error) {
	if m.opt.ChainPrefix != "" {
		return m.opt.ChainPrefix, nil
	}
	candidates := []string{"DOCKER", "MINI", "MINI2", "MINI3", "MINI4"}
	for _, p := range candidates {
		taken, err := m.hasChains(p)
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
// at least one of.
func (m *Manager) hasChains(prefix string) (bool, error) {
	s, err := m.chainState()
	if err != nil {
		return false, err
	}
	for _, c := range []firewall.Chain{{Table: "nat", Name: prefix}, {Table: "filter", Name: prefix + "-FORWARD"}} {
		if free, err := m.isFree(c, s.Left); !free || err != nil {
			return !free, err
		}
	}
	return false, nil
}

// startChains records that the shared chains are about to be made, unless they
// are there. The caller holds networks.lock.
func (m *Manager) startChains() (chainState, error) {
	s, err := m.chainState()
	if err != nil {
		return s, err
	}
	if s.Stage != "" {
		return s, m.checkDriver()
	}
	prefix, err := m.choosePrefix()
	if err != nil {
		return s, err
	}
	if prefix != "DOCKER" && m.opt.ChainPrefix == "" && prefix != s.Prefix {
		m.opt.Notice("chain DOCKER belongs to somebody else: mini's chains are named " + prefix)
	}
	user, err := m.fw().HasChain(firewall.Chain{Table: "filter", Name: firewall.UserChain})
	if err != nil {
		return s, err
	}
	made, left := s.MadeUser || !user, s.Left
	s = m.baseState(prefix)
	s.MadeUser, s.Left = made, left
	if s.Boot, err = m.bootID(); err != nil {
		return s, err
	}
	if err := replaceJSON(m.chainPath(), s); err != nil {
		return s, fmt.Errorf("recording the chain prefix: %w", err)
	}
	return s, nil
}

func (m *Manager) baseState(prefix string) chainState {
	base := firewall.Base(prefix, m.owner, false)
	s := chainState{Prefix: prefix, Driver: m.driverName(), Stage: baseStarting}
	for _, c := range base.Chains {
		s.Chains = append(s.Chains, c.Chain)
	}
	for _, r := range base.Rules {
		s.Rules = append(s.Rules, r.Rule)
	}
	return s
}

// setStage records how far the shared chains are.
func (m *Manager) setStage(stage string) error {
	s, err := m.chainState()
	if err != nil {
		return err
	}
	if s.Stage == stage {
		return nil
	}
	s.Stage = stage
	if stage == "" && s.MadeUser {
		if s.MadeUser, err = m.fw().HasChain(firewall.Chain{Table: "filter", Name: firewall.UserChain}); err != nil {
			return err
		}
	}
	return replaceJSON(m.chainPath(), s)
}

// mark is the record up.json of a network that is up, or was about to be.
type mark struct {
	Bridge string `json:"bridge"`
	Index  int    `json:"index,omitempty"` // of the link
	MTU    int    `json:"mtu"`             // in bytes
	Prefix string `json:"chain_prefix"`
	// Backend of iptables that has the rules; "" when it is unknown.
	Backend firewall.Backend `json:"backend,omitempty"`
	Boot    string           `json:"boot"` // as in chainState
	Ready   bool             `json:"ready"`
	// From and To are bridges of other networks: see meet.
	From []string `json:"from,omitempty"`
	To   []string `json:"to,omitempty"`
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

// recorded gives the rules of the shared chains and of all networks, in an order
// in which they may be added: in a chain with rules of both, the shared ones
// come first.
func (m *Manager) recorded(s chainState) ([]firewall.Rule, error) {
	marks, err := m.marks()
	if err != nil {
		return nil, err
	}
	rules := slices.Clone(s.Rules)
	for _, id := range slices.Sorted(maps.Keys(marks)) {
		rules = append(rules, marks[id].Rules...)
	}
	return rules, nil
}
