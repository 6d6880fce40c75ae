package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/plan"
)

// Telling says what the caller wants to know while a running container's
// networking changes.
type Telling struct {
	Explain bool `json:"explain,omitempty"` // each step
	// Note is told explanations, and what the user should know. May be nil.
	Note func(string) `json:"-"`
}

// ConnectNetwork connects a container to one more network: at once if it runs,
// else when it starts.
func (c *Container) ConnectNetwork(_ context.Context, n *network.Network, a NetworkAttachment, tell Telling) error {
	a.Network = n.Name
	if err := c.checkConnect(n, a); err != nil {
		return err
	}
	if c.State.Status != Running {
		return c.change(func(cfg *Config) { cfg.Networks = append(cfg.Networks, a) })
	}
	_, err := c.askTelling(opConnect, connectRequest{a, tell}, tell.Note)
	return err
}

// connectRequest asks a monitor to connect its container, or to disconnect it:
// then only the network's name counts.
type connectRequest struct {
	NetworkAttachment
	Telling
}

func (c *Container) checkConnect(n *network.Network, a NetworkAttachment) error {
	switch mode := c.Config.NetworkMode; {
	case n.Name == network.Host:
		return errorf(ErrConflict, "container cannot be disconnected from host network or connected to host network")
	case c.Config.sharesNetwork():
		return errorf(ErrConflict, "container sharing network namespace with another container or host cannot be connected to any other network")
	case n.Name == network.None || mode == network.None:
		return errorf(ErrConflict, "container cannot be connected to multiple networks with one of the networks in private (none) mode")
	}
	if c.on(n.Name) >= 0 {
		return errorf(ErrExists, "endpoint with name %s already exists in network %s", c.Config.Name, n.Name)
	}
	return a.fits(n)
}

// fits says whether the network can give what is asked of it.
func (a *NetworkAttachment) fits(n *network.Network) error {
	errs := []error{n.CheckAddress(a.IP), n.CheckAddress(a.IP6), network.CheckMAC(a.MAC)}
	for _, alias := range a.Aliases {
		errs = append(errs, network.CheckAlias(alias))
	}
	for _, err := range errs {
		if err != nil {
			return errorf(ErrInvalid, "%s", err.Error())
		}
	}
	return nil
}

// on gives the position of a network among the container's, or -1.
func (c *Container) on(name string) int {
	return slices.IndexFunc(c.Config.Networks, func(a NetworkAttachment) bool { return a.Network == name })
}

// leave takes a network off the list.
func (cfg *Config) leave(name string) {
	cfg.Networks = slices.DeleteFunc(cfg.Networks, func(a NetworkAttachment) bool { return a.Network == name })
}

// DisconnectNetwork takes a container off a network.
func (c *Container) DisconnectNetwork(_ context.Context, n *network.Network, tell Telling) error {
	if c.on(n.Name) < 0 {
		return errorf(ErrNotFound, "container %s is not connected to the network %s", c.Config.ID, n.Name)
	}
	if c.State.Status != Running {
		return c.change(func(cfg *Config) { cfg.leave(n.Name) })
	}
	_, err := c.askTelling(opDisconnect, connectRequest{NetworkAttachment{Network: n.Name}, tell}, tell.Note)
	return err
}

// connectNetwork is ConnectNetwork in the monitor of a running container. m.mu is
// held.
func (m *monitor) connectNetwork(a NetworkAttachment, observe plan.Observer) error {
	if m.ended {
		return m.notRunning()
	}
	n, err := m.r.Networks.Find(a.Network)
	if err != nil {
		return err
	}
	if err := m.c.checkConnect(n, a); err != nil {
		return err
	}
	// The record first: a Reap looks for endpoints on the networks it names.
	if err := m.c.change(func(cfg *Config) { cfg.Networks = append(cfg.Networks, a) }); err != nil {
		return err
	}
	ep, err := m.plugIn(n, a, observe)
	if err != nil {
		return errors.Join(err, m.c.change(func(cfg *Config) { cfg.leave(n.Name) }))
	}
	return m.updateEtc(nil, ep.Addresses())
}

func (m *monitor) plugIn(n *network.Network, a NetworkAttachment, observe plan.Observer) (*network.Endpoint, error) {
	ns, err := m.netns()
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	gws, err := m.r.gatewayOf(m.c.Config.Networks)
	if err != nil {
		return nil, err
	}
	spec := attachmentSpec(&m.c.Config, a, m.freeInterface())
	gws.give(&spec, m.free(gws.of(n.Name)), &m.c.Config, m.wishes)
	ep, err := m.r.Networks.Reserve(n, spec)
	if err != nil {
		return nil, err
	}
	ctx, before, publisher := context.Background(), m.endpoints, m.gateway()
	err = m.join(ctx, ep, ns, observe)
	if err == nil {
		m.endpoints = append(m.endpoints, ep)
		err = m.serveNames(ctx, observe)
	}
	if err == nil {
		err = m.takeFromOthers(ctx, arrival{ep, gws, publisher}, observe)
		err = errors.Join(err, m.serveNames(ctx, observe)) // host.mini.internal is elsewhere now
	}
	if err != nil {
		err = errors.Join(err, m.succeed(ctx, ep, observe)) // what it has taken from others goes back
		m.endpoints = before
		return nil, errors.Join(err, m.serveNames(ctx, observe), m.r.Networks.DeleteLink(ep), m.r.Networks.Drop(ctx, ep, nil))
	}
	return ep, nil
}

// freeInterface gives the lowest number N for which ethN is not in use.
func (m *monitor) freeInterface() int {
	for i := 0; ; i++ {
		name := fmt.Sprintf("eth%d", i)
		if !slices.ContainsFunc(m.endpoints, func(ep *network.Endpoint) bool { return ep.Interface == name }) {
			return i
		}
	}
}

// disconnectNetwork is DisconnectNetwork in the monitor. m.mu is held.
func (m *monitor) disconnectNetwork(name string, observe plan.Observer) error {
	i := slices.IndexFunc(m.endpoints, func(ep *network.Endpoint) bool { return ep.NetworkName == name })
	if m.ended || i < 0 {
		return errorf(ErrNotFound, "container %s is not connected to the network %s", m.c.Config.ID, name)
	}
	ep := m.endpoints[i]
	ctx := context.Background()
	if err := m.succeed(ctx, ep, observe); err != nil {
		return err
	}
	ns, err := m.netns()
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := m.r.Networks.DisconnectPlan(ep, ns).RunAll(ctx, observe); err != nil {
		return err
	}
	if err := m.r.Networks.Release(ep); err != nil {
		return err
	}
	m.endpoints = slices.Delete(m.endpoints, i, i+1)
	return errors.Join(m.c.change(func(cfg *Config) { cfg.leave(name) }), m.serveNames(ctx, observe), m.updateEtc(ep.Addresses(), nil))
}

// Preview gives a shell script that builds by hand the network that a
// container with this configuration would get. It claims and touches nothing.
func (r *Runtime) Preview(_ context.Context, cfg Config) (string, error) {
	if err := r.resolveConfig(&cfg); err != nil {
		return "", err
	}
	cfg.Name = orDefault(cfg.Name, "dry-run")
	var steps plan.Plan
	switch {
	case len(cfg.Networks) > 0:
		requests, err := r.requests(&cfg)
		if err != nil {
			return "", err
		}
		if steps, _, err = r.Networks.PreviewAll(requests); err != nil {
			return "", err
		}
	case cfg.NetworkMode == network.None:
		steps = r.Networks.LoopbackPlan(cfg.Name, nil)
	default:
		steps = plan.Plan{Title: "network mode " + cfg.NetworkMode + ": the container shares a network namespace that exists; there is nothing to build"}
	}
	var b strings.Builder
	b.WriteString("#!/bin/sh\nset -eu\n\n")
	if err := steps.Script(&b); err != nil {
		return "", err
	}
	return b.String(), nil
}
