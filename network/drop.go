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

// DeleteLink deletes the veth pair of an endpoint that was dropped. Without it
// the pair lives as long as the container's namespace, and the kernel keeps
// that for the TCP connections whose last data nobody took: minutes, see
// tcp_orphan_retries in tcp(7). It costs some 20 ms, so it is for the time when
// nobody waits any more. A link that is gone is no error.
func (m *Manager) DeleteLink(ep *Endpoint) error {
	if ep.HostLink == "" {
		return nil
	}
	h, err := m.host()
	if err != nil {
		return err
	}
	return deleteLink(h, ep.HostLink, ep.owns)
}
