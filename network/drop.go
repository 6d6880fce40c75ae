package network

import (
	"context"

	"github.com/minirt/mini/plan"
)

// Drop detaches and releases one endpoint whose owner is dead. When something
// cannot be taken away, the record stays for the next try.
func (m *Manager) Drop(ctx context.Context, ep *Endpoint, observe plan.Observer) error {
	if err := m.DetachPlan(ep).RunAll(ctx, observe); err != nil {
		return err
	}
	return m.Release(ep)
}
