package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/network/port"
	"github.com/minirt/mini/plan"
	"github.com/minirt/mini/runtime/wire"
)

// PortRequest names ports of a running container that shall be published, or
// no longer. Where one to be withdrawn leaves the host's address or port open,
// any will do.
type PortRequest struct {
	Ports  []port.Mapping `json:"ports"`
	HostIP netip.Addr     `json:"host_ip,omitzero"` // of new Ports that name none; zero: the container's default
	Telling
}

// AddPorts publishes more ports of a running container, also after its
// restarts, and gives them as they are now.
func (c *Container) AddPorts(_ context.Context, req PortRequest) ([]port.Mapping, error) {
	body, err := c.askTelling(opPortAdd, req, req.Note)
	if err != nil {
		return nil, err
	}
	var added []port.Mapping
	if err := json.Unmarshal(body, &added); err != nil {
		return nil, fmt.Errorf("decoding the published ports: %w", err)
	}
	return added, nil
}

// RemovePorts withdraws published ports of a running container.
func (c *Container) RemovePorts(_ context.Context, req PortRequest) error {
	_, err := c.askTelling(opPortRemove, req, req.Note)
	return err
}

// gateway gives the endpoint with the published ports, or nil: the one with the
// default route of IPv4, or of IPv6 where there is none.
func (m *monitor) gateway() *network.Endpoint {
	var v6 *network.Endpoint
	for _, ep := range m.endpoints {
		if ep.DefaultRoute {
			return ep
		}
		if ep.DefaultRoute6 {
			v6 = ep
		}
	}
	return v6
}

// publisher gives the endpoint that ports are published on, or says why there
// is none.
func (m *monitor) publisher() (*network.Endpoint, error) {
	cfg := &m.c.Config
	ep := m.gateway()
	switch {
	case m.ended:
		return nil, m.notRunning()
	case ep != nil:
		return ep, nil
	case len(m.endpoints) > 0:
		return nil, errorf(ErrConflict, "container %s has internal networks only: no ports are published on them", cfg.Name)
	case cfg.sharesNetwork():
		return nil, errorf(ErrConflict, "container %s shares a network namespace (network mode %s): its ports are not published", cfg.Name, cfg.NetworkMode)
	case cfg.NetworkMode == network.None:
		return nil, errorf(ErrConflict, "container %s is on no network (network mode none): its ports are not published", cfg.Name)
	}
	return nil, errorf(ErrConflict, "container %s is on no network: connect it with 'mini network connect'", cfg.Name)
}

// observer explains to the client of a request if it wants to know, else to
// whoever wanted to know everything when the container started.
func (m *monitor) observer(conn *wire.Conn, tell Telling) plan.Observer {
	if !tell.Explain {
		return m.observe
	}
	return plan.Explainer(conn.Writer(wire.TypeExplain))
}

// audience are the connections that hear what the user should know: those of
// the requests that are being carried out.
type audience struct {
	mu    sync.Mutex
	conns map[*wire.Conn]struct{}
}

// join adds a connection until leave is called.
func (a *audience) join(conn *wire.Conn) (leave func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conns == nil {
		a.conns = make(map[*wire.Conn]struct{})
	}
	a.conns[conn] = struct{}{}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.conns, conn)
	}
}

// note tells all of them. Whoever is gone need not know.
func (a *audience) note(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for conn := range a.conns {
		_ = conn.Send(wire.TypeExplain, []byte("note: "+text+"\n"))
	}
}

// addPorts is AddPorts in the monitor. m.mu is held.
func (m *monitor) addPorts(req PortRequest, observe plan.Observer) ([]port.Mapping, error) {
	ep, err := m.publisher()
	if err != nil {
		return nil, err
	}
	spec := network.EndpointSpec{Ports: req.Ports, HostIP: req.HostIP}
	if !spec.HostIP.IsValid() {
		spec.HostIP = m.c.Config.PublishIP
	}
	added, err := m.r.Networks.Publish(context.Background(), ep, spec, observe)
	if err != nil {
		return nil, err
	}
	// What was asked for is what a restart asks for, and a network that takes over.
	// Without a host address it is decided then, as for the other ports.
	wishes := slices.Clone(req.Ports)
	for i := range wishes {
		if !wishes[i].HostIP.IsValid() {
			// As a default 0.0.0.0 is for both families, and so it must stay.
			wishes[i].HostIP, wishes[i].Dual = req.HostIP, req.HostIP == netip.IPv4Unspecified()
		}
	}
	m.wishes = append(m.wishes, wishes...)
	return added, m.c.change(func(cfg *Config) { cfg.Ports = append(cfg.Ports, wishes...) })
}

// removePorts is RemovePorts in the monitor: all of them, or none. m.mu is held.
func (m *monitor) removePorts(req PortRequest, observe plan.Observer) error {
	ep, err := m.publisher()
	if err != nil {
		return err
	}
	if len(ep.Open) > 0 {
		return errorf(ErrInvalid, "network %s is routed: ports of a running container cannot be closed on it", ep.NetworkName)
	}
	var at []int
	for _, want := range req.Ports {
		found := ep.Find(want)
		if len(found) == 0 {
			return m.notPublished(ep, want)
		}
		at = append(at, found...)
	}
	if err := m.r.Networks.Unpublish(context.Background(), ep, at, observe); err != nil {
		return err
	}
	var left []port.Mapping
	for i, p := range m.wishes {
		if !slices.Contains(at, i) {
			left = append(left, p)
		}
	}
	m.wishes = left
	// From now on the list says all: -P would publish again what was withdrawn.
	return m.c.change(func(cfg *Config) { cfg.Ports, cfg.PublishAll = left, false })
}

// notPublished says what is, and how to name what was perhaps meant.
func (m *monitor) notPublished(ep *network.Endpoint, want port.Mapping) error {
	hint := ""
	if any := want; want.HostIP.IsUnspecified() {
		any.HostIP = netip.Addr{}
		if len(ep.Find(any)) > 0 {
			hint = ": a port of both families is withdrawn as " + any.Spec()
		}
	}
	return errorf(ErrNotFound, "container %s does not publish %s: it publishes %s%s", m.c.Config.Name, want.Spec(), listPorts(ep.Ports), hint)
}

// listPorts names some ports for an error.
func listPorts(ports []port.Mapping) string {
	const most = 10
	if len(ports) == 0 {
		return "nothing"
	}
	var words []string
	for _, p := range ports[:min(most, len(ports))] {
		words = append(words, p.String())
	}
	if more := len(ports) - len(words); more > 0 {
		words = append(words, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, ", ")
}
