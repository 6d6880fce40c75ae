package network

import (
	"bytes"
	"fmt"
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
	// Stage6 and MadeUser6 are the same for the chains of IPv6.
	Stage6    string `json:"stage6,omitempty"`
	MadeUser6 bool   `json:"made_user_chain6,omitempty"`
	// Moving to Prefix: the records have the rules of before, too.
	Moving bool `json:"moving,omitempty"`
	// Left are chains of mini's that could not be deleted: see keepLeft.
	Left []firewall.Chain `json:"left,omitempty"`
	// Chains and Rules are exactly those that were made, of both families. Those of
	// a family without a stage are gone, but for what the administrator needs.
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

// stage is how far the chains of a family are.
func (s *chainState) stage(v6 bool) *string {
	if v6 {
		return &s.Stage6
	}
	return &s.Stage
}

func (s *chainState) madeUser(v6 bool) *bool {
	if v6 {
		return &s.MadeUser6
	}
	return &s.MadeUser
}

// families gives those that have chains of ours, or half made ones.
func (s chainState) families() []bool {
	return slices.DeleteFunc(slices.Clone(bothFamilies), func(v6 bool) bool { return *s.stage(v6) == "" })
}

// active says that chains of ours are there, or half made.
func (s chainState) active() bool { return len(s.families()) > 0 }

// up says that the chains of a family are there.
func (s chainState) up(v6 bool) bool { return *s.stage(v6) == baseUp }

// anyUp says that the chains of a family, whichever, are there.
func (s chainState) anyUp() bool { return s.Stage == baseUp || s.Stage6 == baseUp }

// standing gives those of rules whose family's chains are there.
func (s chainState) standing(rules []firewall.Rule) []firewall.Rule {
	return slices.DeleteFunc(slices.Clone(rules), func(r firewall.Rule) bool { return !s.up(r.V6) })
}

// bases gives the shared chains and rules of the families that are up.
func (s chainState) bases(owner string) firewall.BaseSet {
	var all firewall.BaseSet
	for _, v6 := range bothFamilies {
		if s.up(v6) {
			set := firewall.Base(s.Prefix, owner, v6)
			all.Chains, all.Rules = append(all.Chains, set.Chains...), append(all.Rules, set.Rules...)
		}
	}
	return all
}

// setBase notes the shared chains and rules of a family, in place of those of
// before.
func (s *chainState) setBase(owner string, v6 bool) {
	stage := *s.stage(v6)
	s.forget(v6)
	*s.stage(v6) = stage
	set := firewall.Base(s.Prefix, owner, v6)
	for _, c := range set.Chains {
		s.Chains = append(s.Chains, c.Chain)
	}
	for _, r := range set.Rules {
		s.Rules = append(s.Rules, r.Rule)
	}
}

// forget takes a family off the record.
func (s *chainState) forget(v6 bool) {
	*s.stage(v6) = ""
	s.Chains = slices.DeleteFunc(slices.Clone(s.Chains), func(c firewall.Chain) bool { return c.V6 == v6 })
	s.Rules = slices.DeleteFunc(slices.Clone(s.Rules), func(r firewall.Rule) bool { return r.V6 == v6 })
}

func userChain(v6 bool) firewall.Chain {
	return firewall.Chain{Table: "filter", Name: firewall.UserChain, V6: v6}
}

// setStage records how far the shared chains of families are.
func (m *Manager) setStage(stage string, families ...bool) error {
	before, err := m.chainState()
	if err != nil {
		return err
	}
	s := before
	for _, v6 := range families {
		if *s.stage(v6) == stage {
			continue
		}
		*s.stage(v6) = stage
		if made := s.madeUser(v6); stage == "" && *made {
			if *made, err = m.fw().HasChain(userChain(v6)); err != nil {
				return err
			}
		}
	}
	if s.Stage == before.Stage && s.Stage6 == before.Stage6 {
		return nil
	}
	return replaceJSON(m.chainPath(), s)
}
