package network

import (
	"context"
	"fmt"
)

// followMove takes over the rules on record, which a move has changed since the
// container's monitor read them.
func (m *Manager) followMove(ep *Endpoint) error {
	now, err := m.Endpoint(networkOf(ep), ep.ContainerID)
	if err != nil {
		return err
	}
	if now.ID == ep.ID && len(now.Rules) > 0 {
		ep.Prefix, ep.Rules = now.Prefix, now.Rules
	}
	return nil
}

// checkMoved keeps a change that was planned before a move from being made after
// it: its records would forget the rules of the new chains.
func (m *Manager) checkMoved(ep *Endpoint) error {
	now, err := m.Endpoint(networkOf(ep), ep.ContainerID)
	if err == nil && now.ID == ep.ID && len(now.Rules) > 0 && now.Prefix != ep.Prefix {
		err = fmt.Errorf("changing the ports of %s: mini's chains have just moved to %s: try again", ep.ContainerName, now.Prefix)
	}
	return err
}

// dropMoved deletes the rules on record that a move has added since the
// container's monitor read them. The caller holds the lock on records.
func (m *Manager) dropMoved(ep *Endpoint) error {
	now := new(Endpoint)
	if err := readJSON(m.endpointPath(networkOf(ep), ep.ContainerID), now); err != nil {
		return nil // an intent that was cut short has no rules
	}
	if more := missingIn(ep.Rules, now.Rules); now.ID == ep.ID && len(more) > 0 {
		return m.fw().RemoveAll(context.Background(), more)
	}
	return nil
}
