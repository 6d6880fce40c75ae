package runtime

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/plan"
)

// reserve takes addresses and ports on every network of the container.
func (m *monitor) reserve() error {
	requests, err := m.r.requests(&m.c.Config)
	if err != nil {
		return err
	}
	m.wishes = m.c.Config.Published()
	if err := m.tellHalf(); err != nil {
		return err
	}
	for _, req := range requests {
		ep, err := m.r.Networks.Reserve(req.Network, req.Spec)
		if err != nil {
			return err
		}
		m.endpoints = append(m.endpoints, ep)
	}
	return nil
}

// tellHalf tells the user which family ports are not published for.
func (m *monitor) tellHalf() error {
	if len(m.c.Config.Networks) < 2 || len(m.wishes) == 0 {
		return nil
	}
	gws, err := m.r.gatewayOf(m.c.Config.Networks)
	if err != nil {
		return err
	}
	note, err := m.r.half(gws)
	if note != "" {
		m.req.Options.Notice(note)
	}
	return err
}

func attachmentSpec(cfg *Config, a NetworkAttachment, number int) network.EndpointSpec {
	return network.EndpointSpec{
		ContainerID: cfg.ID, ContainerName: cfg.Name, Interface: "eth" + strconv.Itoa(number),
		IP: a.IP, IP6: a.IP6, MAC: a.MAC, Aliases: a.Aliases, Hostname: cfg.Hostname,
	}
}

// connect builds the network of the container, whose init exists by now.
func (m *monitor) connect() error {
	if !hasNamespace(m.spec, specs.NetworkNamespace) {
		return nil
	}
	ns, err := m.netns()
	if err != nil {
		return err
	}
	defer ns.Close()
	ctx := context.Background()
	if len(m.endpoints) == 0 {
		return m.r.Networks.LoopbackPlan(m.c.Config.Name, ns).Run(ctx, m.observe)
	}
	for _, ep := range m.endpoints {
		if err := m.join(ctx, ep, ns, m.observe); err != nil {
			return err
		}
	}
	return m.serveNames(ctx, m.observe)
}

// netns opens the container's network namespace. While the init is not reaped
// its number belongs to nobody else.
func (m *monitor) netns() (*os.File, error) {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", m.child.Pid))
	if err != nil {
		return nil, fmt.Errorf("opening the container's network namespace: %w", err)
	}
	if err := m.child.Signal(0); err != nil {
		ns.Close()
		return nil, m.notRunning()
	}
	return ns, nil
}

func (m *monitor) join(ctx context.Context, ep *network.Endpoint, ns *os.File, observe plan.Observer) error {
	n, err := m.r.Networks.Find(ep.NetworkName)
	if err != nil {
		return err
	}
	if err := m.r.Networks.Up(ctx, n, observe); err != nil {
		return err
	}
	var attach plan.Plan
	if attach, err = m.r.Networks.AttachPlan(ep, ns); err != nil {
		return err
	}
	return attach.Run(ctx, observe)
}
