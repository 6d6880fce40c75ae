package network

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/network/port"
	"github.com/minirt/mini/plan"
)

// change is an endpoint of a running container and what becomes of it.
type change struct {
	ep   *Endpoint
	next Endpoint
}

func changeOf(ep *Endpoint) *change { return &change{ep: ep, next: *ep} }

// apply changes endpoints: first the records say all that may exist meanwhile,
// then the plan runs, then they say what is there. So whoever clears up after
// a crash, at any moment, deletes every rule. When the plan fails, nothing has changed.
//
// The lock keeps [Manager.Reload] from putting back a rule that is being deleted.
func (m *Manager) apply(ctx context.Context, p plan.Plan, changes []*change, observe plan.Observer) error {
	unlock, err := m.lockNetworks()
	if err != nil {
		return err
	}
	defer unlock()
	for _, c := range changes {
		err = errors.Join(err, m.checkMoved(c.ep))
	}
	if err != nil {
		return err
	}
	for _, c := range changes {
		err = errors.Join(err, m.save(c.intent()))
	}
	if err == nil {
		err = p.Run(ctx, observe)
	}
	if err != nil {
		for _, c := range changes {
			if halfDone(err) {
				c.ep.Rules = c.intent().Rules // whichever of them are there go with the container
			}
			err = errors.Join(err, m.save(c.ep))
		}
		return err
	}
	for _, c := range changes {
		*c.ep = c.next
		// The change is made, and the record of before names all of it.
		if err := m.save(c.ep); err != nil {
			m.opt.Notice("the record of " + c.ep.ContainerName + " names rules that are gone: " + err.Error())
		}
	}
	return nil
}

// halfDone tells whether a plan failed and could not be undone either.
func halfDone(err error) bool {
	var failed *plan.StepError
	return errors.As(err, &failed) && failed.Rollback != nil
}

// intent has the rules and ports of before and after.
func (c *change) intent() *Endpoint {
	both := c.next
	both.Rules = append(slices.Clone(c.ep.Rules), missingIn(c.ep.Rules, c.next.Rules)...)
	both.Ports = append(slices.Clone(c.ep.Ports), missingPorts(c.ep.Ports, c.next.Ports)...)
	both.Open = append(slices.Clone(c.ep.Open), missingPorts(c.ep.Open, c.next.Open)...)
	return &both
}

// missingIn gives those of rules that are not in have.
func missingIn(have, rules []firewall.Rule) []firewall.Rule {
	return slices.DeleteFunc(slices.Clone(rules), func(r firewall.Rule) bool { return containsRule(have, r) })
}

func missingPorts(have, ports []port.Mapping) []port.Mapping {
	return slices.DeleteFunc(slices.Clone(ports), func(p port.Mapping) bool { return slices.Contains(have, p) })
}

// stepRules deletes rules and adds others, in one transaction. Where neither
// changes there is no step.
func (m *Manager) stepRules(name, why string, drop, add []firewall.Rule) []plan.Step {
	if len(drop)+len(add) == 0 {
		return nil
	}
	step := plan.Step{
		Name: name, Why: why,
		Do:   func(ctx context.Context) error { return m.swap(ctx, drop, add) },
		Undo: func(ctx context.Context) error { return m.swap(ctx, add, drop) },
	}
	for _, r := range drop {
		step.Cmds = append(step.Cmds, m.fw().DeleteCommand(r))
	}
	for _, r := range add {
		step.Cmds = append(step.Cmds, m.fw().AddCommand(r))
	}
	return []plan.Step{step}
}

// swap also works when somebody took some of the rules away.
func (m *Manager) swap(ctx context.Context, drop, add []firewall.Rule) error {
	switch {
	case len(drop) == 0:
		return m.fw().AddAll(ctx, add)
	case len(add) == 0:
		return m.fw().RemoveAll(ctx, drop)
	}
	if err := m.fw().Replace(ctx, drop, add); err == nil {
		return nil
	}
	if err := m.fw().RemoveAll(ctx, drop); err != nil {
		return err
	}
	for _, r := range add { // it may have been killed after it had added them
		if _, err := m.fw().Ensure(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// stepFlushSome is [stepFlush] for those of the ports that are UDP, if any.
func stepFlushSome(ports []port.Mapping) []plan.Step {
	ep := Endpoint{Ports: ports}
	if udp := ep.udpPorts(); len(udp) > 0 {
		return []plan.Step{stepFlush(udp)}
	}
	return nil
}

// Publish publishes more ports of a container that is connected and running.
// It gives them as they are published.
func (m *Manager) Publish(ctx context.Context, ep *Endpoint, spec EndpointSpec, observe plan.Observer) ([]port.Mapping, error) {
	if err := m.ready(ctx, ep, observe); err != nil {
		return nil, err
	}
	added, err := m.hold(ep, spec)
	if err != nil {
		return nil, err
	}
	c := changeOf(ep)
	c.next.Ports, c.next.sockets = append(slices.Clone(ep.Ports), added.Ports...), append(slices.Clone(ep.sockets), added.sockets...)
	mk, err := m.readMark(networkOf(ep))
	if err == nil && mk == nil {
		err = fmt.Errorf("network %s is not up", ep.NetworkName)
	}
	if err == nil {
		c.next.publish(mk.Prefix)
		p := plan.Plan{Title: "publish " + portList(added.Ports) + " of " + ep.ContainerName}
		p.Add(m.stepRules("publish "+portList(added.Ports), whyPublish,
			missingIn(c.next.Rules, ep.Rules), missingIn(ep.Rules, c.next.Rules))...)
		p.Add(stepFlushSome(added.Ports)...)
		p.Add(stepServe6(ep, &c.next)...)
		err = m.apply(ctx, p, []*change{c}, observe)
	}
	if err != nil {
		return nil, errors.Join(err, added.Close())
	}
	return added.Ports, nil
}

// hold takes the host ports of spec. What it gives stands for ep's new ports.
func (m *Manager) hold(ep *Endpoint, spec EndpointSpec) (*Endpoint, error) {
	if err := checkPorts(spec.Ports); err != nil {
		return nil, err
	}
	n, err := m.definition(ep)
	if err != nil {
		return nil, err
	}
	if n == nil || n.Internal {
		return nil, errorf(ErrInvalid, "network %s is internal: no ports are published on it", ep.NetworkName)
	}
	if n.Driver == DriverMacvlan {
		return nil, errorf(ErrInvalid, "network %s is a macvlan: no ports are published on it, all of the container's can be reached at its address", ep.NetworkName)
	}
	added := &Endpoint{ContainerID: ep.ContainerID, ContainerName: ep.ContainerName, Ports: slices.Clone(spec.Ports)}
	if err := n.addHostIP(added.Ports, spec.HostIP); err != nil {
		return nil, err
	}
	if n.routes(added.Ports) {
		return nil, errorf(ErrInvalid, "network %s is routed: ports of a running container cannot be opened on it, only with -p when it starts", ep.NetworkName)
	}
	if err := m.bindPorts(added); err != nil {
		var bind *port.BindError
		if errors.As(err, &bind) && ep.holds(bind) {
			bind.Holder = "container " + ep.ContainerName
		}
		return nil, errors.Join(err, added.Close())
	}
	return added, nil
}

// Unpublish stops publishing the ports at these positions of ep.Ports.
func (m *Manager) Unpublish(ctx context.Context, ep *Endpoint, at []int, observe plan.Observer) error {
	if err := m.followMove(ep); err != nil {
		return err
	}
	c := changeOf(ep)
	c.next.Ports, c.next.sockets = nil, nil
	gone := &Endpoint{}
	for i, p := range ep.Ports {
		to := &c.next
		if slices.Contains(at, i) {
			to = gone
		}
		to.Ports, to.sockets = append(to.Ports, p), append(to.sockets, ep.sockets[i])
	}
	if len(gone.Ports) == 0 {
		return nil
	}
	c.next.publish(ep.Prefix)
	p := plan.Plan{Title: "stop publishing " + portList(gone.Ports) + " of " + ep.ContainerName}
	p.Add(stepServe6(ep, &c.next)...)
	p.Add(m.stepRules("stop publishing "+portList(gone.Ports),
		"Exactly the rules on record are deleted. The port stays held until they are gone.",
		missingIn(c.next.Rules, ep.Rules), missingIn(ep.Rules, c.next.Rules))...)
	p.Add(stepFlushSome(gone.Ports)...)
	if err := m.apply(ctx, p, []*change{c}, observe); err != nil {
		return err
	}
	return gone.Close()
}

// Find gives the positions of the published ports that want names. Where it
// leaves the host's address or port open, any will do. A port of both families is
// found without a host address only, as it is one port.
func (ep *Endpoint) Find(want port.Mapping) []int {
	var at []int
	for i, p := range ep.Ports {
		number := want.HostPort == 0 || (p.HostPort >= want.HostPort && p.HostPort <= max(want.HostPort, want.HostPortEnd))
		if p.Exposed() == want.Exposed() && number && (!want.HostIP.IsValid() || want.HostIP == p.HostIP && want.Dual == p.Dual) {
			at = append(at, i)
		}
	}
	return at
}
