package network

import (
	"context"
	"errors"

	"github.com/minirt/mini/plan"
)

// Reap detaches and releases the endpoints of containers that are dead, and
// leaves all others alone. It looks at every endpoint on record. Dead must be
// sure: a container whose monitor is still starting is not dead.
func (m *Manager) Reap(ctx context.Context, dead func(containerID string) bool, observe plan.Observer) error {
	nets, err := m.stored()
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range nets {
		eps, err := m.Endpoints(n)
		errs = append(errs, err)
		for _, ep := range eps {
			if dead(ep.ContainerID) {
				errs = append(errs, m.Drop(ctx, &ep, observe))
			}
		}
	}
	return errors.Join(errs...)
}

// Drop detaches and releases one endpoint whose owner is dead. When something
// cannot be taken away, the record stays for the next try.
func (m *Manager) Drop(ctx context.Context, ep *Endpoint, observe plan.Observer) error {
	if err := m.DetachPlan(ep).RunAll(ctx, observe); err != nil {
		return err
	}
	return m.Release(ep)
}
