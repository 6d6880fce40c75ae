package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/network/port"
)

// EndpointSpec asks for a connection of a container to a network.
type EndpointSpec struct {
	ContainerID   string // at least 16 hexadecimal digits
	ContainerName string
	Interface     string           // inside the container: eth0, eth1, …
	IP, IP6       netip.Addr       // zero: the next free one, if the network has the family
	MAC           net.HardwareAddr // nil: derived from the address
	Ports         []port.Mapping
	HostIP        netip.Addr // of Ports that name none; zero: all addresses
	Aliases       []string   // further names on this network
	Hostname      string     // a name on this network as well
	DefaultRoute  bool       // the network's gateway is the way out
	DefaultRoute6 bool       // the same for IPv6
	RouteWhy      string     // it is this network's; for explanations
	RouteWhy6     string
}

// MAC is a hardware address that reads as text in JSON.
type MAC net.HardwareAddr

// String gives the usual form, 02:42:ac:11:00:02.
func (m MAC) String() string { return net.HardwareAddr(m).String() }

// MarshalText implements encoding.TextMarshaler.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *MAC) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*m = nil
		return nil
	}
	hw, err := net.ParseMAC(string(text))
	*m = MAC(hw)
	return err
}

// Endpoint is the connection of one container to one network: all that inspect
// shows and all that a teardown needs, also after a crash. Where IP and IP6 are
// zero, the record is an intent: its owner died, or is busy, before it had an address.
type Endpoint struct {
	ID            string `json:"id"`
	NetworkID     string `json:"network_id"`
	NetworkName   string `json:"network_name"`
	ContainerID   string `json:"container_id"`
	ContainerName string `json:"container_name"`
	// Tag names the owner in rule comments and link aliases. It is from the time
	// of the connection: a container that is renamed later keeps its tag.
	Tag       string `json:"tag"`
	Interface string `json:"interface"`
	Driver    string `json:"driver,omitempty"`
	HostLink  string `json:"host_link"` // the host's end of the veth pair; none with macvlan
	// Parent is the host's link that a macvlan link is a child of, else empty.
	Parent     string     `json:"parent,omitempty"`
	ParentMode string     `json:"parent_mode,omitempty"`
	MTU        int        `json:"mtu,omitempty"` // of a macvlan link; 0: the parent's
	IP         netip.Addr `json:"ip"`
	PrefixLen  int        `json:"prefix_len"`
	Gateway    netip.Addr `json:"gateway"`
	// Subnet and Subnet6 are the network's, and Localnet says that 127.0.0.1 of the
	// host shall reach the container: only with ptp.
	Subnet   netip.Prefix `json:"subnet,omitzero"`
	Subnet6  netip.Prefix `json:"subnet6,omitzero"`
	Localnet bool         `json:"route_localnet,omitempty"`
	// IP6, PrefixLen6 and Gateway6 are zero where the network has no IPv6, IP,
	// PrefixLen and Gateway where it has no IPv4.
	IP6        netip.Addr     `json:"ip6,omitzero"`
	PrefixLen6 int            `json:"prefix_len6,omitempty"`
	Gateway6   netip.Addr     `json:"gateway6,omitzero"`
	MAC        MAC            `json:"mac"`
	Ports      []port.Mapping `json:"ports,omitempty"`
	// Open are published ports on a network that is routed: nothing of the host
	// stands for them.
	Open         []port.Mapping `json:"open_ports,omitempty"`
	Aliases      []string       `json:"aliases,omitempty"`
	Hostname     string         `json:"hostname,omitempty"`
	DefaultRoute bool           `json:"default_route,omitempty"`
	// DefaultRoute6: the container's IPv6 default route is by this network.
	DefaultRoute6 bool `json:"default_route6,omitempty"`
	// Isolated: the container does not reach the others on the network.
	Isolated bool `json:"isolated,omitempty"`
	// BridgeMAC is that of a bridge which is not mini's, where the port needs it.
	BridgeMAC MAC       `json:"bridge_mac,omitempty"`
	Created   time.Time `json:"created"`
	// Rules are exactly those for Ports and Open.
	Rules []firewall.Rule `json:"rules,omitempty"`
	// Prefix of the chains that Rules stand in.
	Prefix string `json:"chain_prefix,omitempty"`

	sockets []*port.Socket // of Ports, one each
	widened []*port.Socket // those that were made to hold more, until that is for good
	relay   *port.Relay    // of Ports at [::1]; nil: none was ever served
	// Why the default routes are this network's, for explanations.
	routeWhy, routeWhy6 string
}

// Close frees the host ports. The record stays: see [Manager.Release].
func (ep *Endpoint) Close() error {
	errs := []error{ep.endRelay()}
	for _, s := range ep.sockets {
		if s != nil { // one that could not be bound
			errs = append(errs, s.Close())
		}
	}
	ep.sockets = nil
	return errors.Join(errs...)
}

// endRelay ends what goes on at [::1], which may take a moment: see [port.Relay.Close].
func (ep *Endpoint) endRelay() error {
	if ep.relay == nil {
		return nil
	}
	r := ep.relay
	ep.relay = nil
	return r.Close()
}

// alias is the tag on the host's end of the veth pair.
func (ep *Endpoint) alias() string { return "mini:" + ep.Tag + ":" + ep.Interface }

// NamespaceName is the name that printed commands use for the container's
// network namespace, as in `ip -n mini-web address`.
func (ep *Endpoint) NamespaceName() string { return "mini-" + ep.ContainerName }

// publishes says whether the endpoint has rules.
func (ep *Endpoint) publishes() bool { return len(ep.Ports)+len(ep.Open) > 0 }

// publish computes the rules for the ports.
func (ep *Endpoint) publish(prefix string) {
	ep.Prefix, ep.Rules = prefix, firewall.Publish(prefix, ep.Tag, ep.Ports, ep.IP, ep.IP6)
	ep.Rules = append(ep.Rules, firewall.Open(prefix, ep.Tag, ep.Open, ep.IP, ep.IP6)...)
}

// udpPorts gives the published UDP ports that rules lead to the container.
func (ep *Endpoint) udpPorts() []port.Mapping {
	var out []port.Mapping
	for _, p := range ep.Ports {
		if p.Proto == port.UDP && p.HostIP != netip.IPv6Loopback() {
			out = append(out, p)
		}
	}
	return out
}

// Endpoint gives the record of one container on a network. The error is
// [ErrNotFound] when it is not connected. One whose owner was killed while it
// wrote the first record is there, and bare, for [Manager.Drop].
func (m *Manager) Endpoint(n *Network, container string) (*Endpoint, error) {
	ep := new(Endpoint)
	path := m.endpointPath(n, container)
	if err := readJSON(path, ep); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			if _, err := os.Lstat(tempPath(path)); err == nil {
				return m.bareEndpoint(n, container), nil
			}
			return nil, notConnected(n, container)
		}
		var torn *json.SyntaxError
		if errors.As(err, &torn) {
			return m.bareEndpoint(n, container), nil
		}
		return nil, err
	}
	return ep, nil
}

// Endpoints gives the containers on a network, in no order. It reads one file
// per container: it is for listings, for names and for clean-up.
func (m *Manager) Endpoints(n *Network) ([]Endpoint, error) {
	entries, err := os.ReadDir(m.endpointDir(n))
	if err != nil {
		return nil, ignoreMissing(err)
	}
	var all []Endpoint
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || strings.HasPrefix(id, ".") {
			continue
		}
		ep, err := m.Endpoint(n, id)
		switch {
		case errors.Is(err, ErrNotFound):
			continue // released since the directory was read
		case err != nil:
			// A record cut short by a crash: the name says whose it is.
			ep = m.bareEndpoint(n, id)
		}
		all = append(all, *ep)
	}
	return all, nil
}

func (m *Manager) bareEndpoint(n *Network, container string) *Endpoint {
	return &Endpoint{NetworkID: n.ID, NetworkName: n.Name, ContainerID: container, ContainerName: short(container)}
}

// Rename records a container's new name on one network. Tags of
// rules and links keep the name from the time of the connection.
func (m *Manager) Rename(n *Network, container, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	return m.withRecord(n, container, func(now *Endpoint) error {
		now.ContainerName = name
		return m.write(now)
	})
}

// networkOf gives what record keeping needs to know of an endpoint's network.
func networkOf(ep *Endpoint) *Network { return &Network{ID: ep.NetworkID, Name: ep.NetworkName} }

// withRecord calls fn with an endpoint's record as it is now. The lock is on the
// directory of endpoints, and held by whoever replaces or removes a record: so
// the name of the temporary file can be fixed, and no record comes back that
// was removed. Reading needs no lock.
func (m *Manager) withRecord(n *Network, container string, fn func(now *Endpoint) error) error {
	unlock, err := m.lockRecords(n)
	if errors.Is(err, fs.ErrNotExist) {
		return notConnected(n, container)
	}
	if err != nil {
		return err
	}
	defer unlock()
	now, err := m.Endpoint(n, container)
	if err != nil {
		return err
	}
	return fn(now)
}

func (m *Manager) lockRecords(n *Network) (unlock func(), err error) {
	dir, err := os.Open(m.endpointDir(n))
	if err != nil {
		return nil, err
	}
	return flock(dir, unix.LOCK_EX)
}

func notConnected(n *Network, container string) error {
	return errorf(ErrNotFound, "container %s is not connected to network %s", container, n.Name)
}

// save replaces the record of an endpoint that has one. A name given by
// [Manager.Rename] meanwhile stays.
func (m *Manager) save(ep *Endpoint) error {
	return m.withRecord(networkOf(ep), ep.ContainerID, func(now *Endpoint) error {
		if now.ID == ep.ID {
			ep.ContainerName = now.ContainerName
		}
		return m.write(ep)
	})
}

// write replaces the record. The caller holds the lock.
func (m *Manager) write(ep *Endpoint) error {
	if err := replaceJSON(m.endpointPath(networkOf(ep), ep.ContainerID), ep); err != nil {
		return fmt.Errorf("recording the endpoint of %s: %w", ep.ContainerName, err)
	}
	return nil
}
