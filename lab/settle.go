package lab

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/plan"
)

// How long settle waits for all links together at most, and how often it looks.
const (
	settleLimit = 2 * time.Second
	settlePause = 500 * time.Microsecond
)

// settle waits until the links are what they were made to be. The kernel leaves the carrier and IPv6
// addresses to a worker, see linkwatch and addrconf_dad_work in the kernel's net/core and net/ipv6. Who asks for a neighbour before
// gets no answer, and asks again a second later. That a link is not ready in time is no error: the worker goes on.
func (b *builder) settle() plan.Step {
	return plan.Step{
		Name: "wait for the links",
		Why:  "The kernel finishes links and IPv6 addresses a moment after they are switched on.",
		Do: func(ctx context.Context) error {
			limit := time.Now().Add(settleLimit)
			for _, c := range b.m.cables {
				for _, e := range []end{c.a, c.b} {
					if err := b.settleEnd(ctx, e, limit); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
}

func (b *builder) settleEnd(ctx context.Context, e end, limit time.Time) error {
	h, err := b.s.handle(b.m.spaceName(e.in))
	if err != nil {
		return err
	}
	addresses := e.addresses
	if e.bridge != nil && e.bridge.address.IsValid() {
		addresses = []netip.Prefix{e.bridge.address}
	}
	for {
		ready, err := isReady(h, e.link, addresses)
		if err != nil || ready || time.Now().After(limit) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		time.Sleep(settlePause)
	}
}

// isReady says that a link has its carrier, and that its IPv6 addresses are the kernel's own.
func isReady(h *netlink.Handle, name string, addresses []netip.Prefix) (bool, error) {
	link, err := h.LinkByName(name)
	if err != nil {
		return false, fmt.Errorf("looking for link %s: %w", name, err)
	}
	if link.Attrs().OperState != netlink.OperUp {
		return false, nil
	}
	for _, a := range addresses {
		if a.Addr().Is4() {
			continue
		}
		routes, err := h.RouteGet(a.Addr().AsSlice())
		if err != nil || len(routes) == 0 || routes[0].Type != unix.RTN_LOCAL {
			return false, nil // the error is that there is no route yet
		}
	}
	return true, nil
}
