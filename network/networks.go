package network

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The drivers, by the names Docker gives them.
const (
	DriverBridge = "bridge"
	DriverHost   = "host"
	DriverNull   = "null"
)

// The networks that always exist.
const (
	Bridge = "bridge"
	Host   = "host"
	None   = "none"
)

// Network is the definition of a network, as it is stored.
type Network struct {
	ID      string    `json:"id"` // 64 hexadecimal digits
	Name    string    `json:"name"`
	Driver  string    `json:"driver"`
	Created time.Time `json:"created"`
	// Subnet, Gateway and IPRange are zero without a bridge. IPRange is the part
	// of Subnet that dynamic addresses come from, zero for all of it.
	Subnet  netip.Prefix `json:"subnet"`
	Gateway netip.Addr   `json:"gateway"`
	IPRange netip.Prefix `json:"ip_range"`
	// Subnet6, Gateway6 and IPRange6 are the same of IPv6. Subnet is zero for a
	// network with IPv6 only, Subnet6 for one with IPv4 only.
	Subnet6  netip.Prefix `json:"subnet6,omitzero"`
	Gateway6 netip.Addr   `json:"gateway6,omitzero"`
	IPRange6 netip.Prefix `json:"ip_range6,omitzero"`
	// Reserved are addresses that no container gets, by the names of what has them.
	Reserved map[string]netip.Addr `json:"reserved,omitempty"`
	// Internal networks have no way in or out.
	Internal bool `json:"internal,omitempty"`
	// GatewayMode is routed, nat-unprotected, isolated, or empty for nat.
	GatewayMode string `json:"gateway_mode,omitempty"`
	// GatewayMode6 is the same for IPv6.
	GatewayMode6 string `json:"gateway_mode6,omitempty"`
	// NoICC: containers do not reach each other ("inter-container communication").
	NoICC bool `json:"no_icc,omitempty"`
	// NoMasquerade: the world sees the containers' own addresses.
	NoMasquerade bool `json:"no_masquerade,omitempty"`
	// InhibitIPv4: the bridge does not get the gateway's address. The containers'
	// gateway is somebody else's, on the same bridge.
	InhibitIPv4 bool `json:"inhibit_ipv4,omitempty"`
	// AnySubnet: the user asked for none. It was chosen, and another is chosen
	// when it clashes with the host before the network is used.
	AnySubnet bool `json:"any_subnet,omitempty"`
	// AnySubnet6 is the same for IPv6.
	AnySubnet6 bool `json:"any_subnet6,omitempty"`
	// Parent is the host's link that the containers' links are children of, and
	// MacvlanMode how they see each other: only with the driver macvlan.
	Parent      string `json:"parent,omitempty"`
	MacvlanMode string `json:"macvlan_mode,omitempty"`
	// MTU in bytes; 0 means that of the host's default route.
	MTU int `json:"mtu,omitempty"`
	// Bridge is the link's name. For the default network it is a wish: when
	// the name is taken, another one is found.
	Bridge  string            `json:"bridge,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Options map[string]string `json:"options,omitempty"`
}

// Predefined says that the network exists always and cannot be removed.
func (n *Network) Predefined() bool {
	return n.Name == Bridge || n.Name == Host || n.Name == None
}

// tag is the owner in the comments of the network's rules.
func (n *Network) tag() string { return short(n.ID) + ":" + n.Name }

// alias is the tag on the network's link.
func (n *Network) alias() string { return "mini:" + n.tag() }

// CreateOptions describes a network to be. Only Name is needed.
type CreateOptions struct {
	Name       string
	Driver     string // empty: bridge
	IPAMDriver string // empty: default
	Subnet     netip.Prefix
	Gateway    netip.Addr
	IPRange    netip.Prefix
	// IPv6 gives the network IPv6 beside IPv4, NoIPv4 takes IPv4 from it.
	IPv6, NoIPv4 bool
	// Subnet6, Gateway6 and IPRange6 are those of IPv6. Without a subnet it is a
	// /64 of unique local addresses.
	Subnet6  netip.Prefix
	Gateway6 netip.Addr
	IPRange6 netip.Prefix
	Reserved map[string]netip.Addr // addresses that no container gets, by name
	Internal bool
	MTU      int
	Bridge   string // name of the link, empty: br-<12 digits of the id>
	// GatewayMode is nat, also when empty, routed, nat-unprotected or isolated, as
	// Docker's gateway_mode_ipv4.
	GatewayMode string
	// GatewayMode6 is the same for IPv6.
	GatewayMode6 string
	Parent       string // link of the host, for macvlan
	MacvlanMode  string // bridge, also when empty, private, vepa or passthru
	NoICC        bool   // containers do not reach each other
	// NoMasquerade lets packets leave with the container's address.
	NoMasquerade bool
	InhibitIPv4  bool // the bridge does not get the gateway's address
	Labels       map[string]string
	// Options are a driver's, under Docker's or a shorter name. They stand for
	// fields above, except com.docker.network.bridge.host_binding_ipv4: the host
	// address of ports that are published without one.
	Options map[string]string
}

// Create defines a network and stores it. The host is not touched until a
// container needs the network.
func (m *Manager) Create(opt CreateOptions) (*Network, error) {
	unused := opt.unused()
	opt, err := checkCreate(opt)
	if err != nil {
		return nil, err
	}
	if len(unused) > 0 {
		m.opt.Notice("subnet " + strings.Join(unused, ", ") + " is not used: network " + opt.Name + " does not have that family, see --ipv6 and --ipv4")
	}
	if predefined(opt.Name) || opt.Name == "default" { // which --network takes for the bridge
		return nil, errorf(ErrExists, "operation is not permitted on predefined %s network", opt.Name)
	}
	if !opt.NoIPv4 && !opt.Subnet.IsValid() {
		// The default network has the first choice, whichever is needed first.
		if _, err := m.load(Bridge); err != nil {
			return nil, err
		}
	}
	return m.create(opt)
}

func predefined(name string) bool { return name == Bridge || name == Host || name == None }

// create stores a checked definition. The lock keeps two processes from
// choosing overlapping subnets.
func (m *Manager) create(opt CreateOptions) (*Network, error) {
	unlock, err := lock(m.defPath(".lock"), unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, err := os.Lstat(m.defPath(opt.Name)); err == nil {
		return nil, errorf(ErrExists, "network with name %s already exists", opt.Name)
	}
	n, err := m.define(opt)
	if err == nil {
		err = createJSON(m.defPath(n.Name), n)
	}
	if err != nil {
		return nil, fmt.Errorf("creating network %s: %w", opt.Name, err)
	}
	return n, nil
}

// define makes a definition that fits beside those on record. It stores nothing.
func (m *Manager) define(opt CreateOptions) (n *Network, err error) {
	n = newNetwork(opt)
	if predefined(n.Name) {
		n.ID = m.fixedID(n.Name)
	}
	if n.HasEndpoints() {
		err = m.links(n.Driver).place(n)
	}
	return n, err
}

func newNetwork(opt CreateOptions) *Network {
	n := &Network{
		ID: newID(), Name: opt.Name, Driver: opt.Driver, Created: time.Now().UTC(),
		Subnet: opt.Subnet, Gateway: opt.Gateway, IPRange: opt.IPRange,
		Subnet6: opt.Subnet6, Gateway6: opt.Gateway6, IPRange6: opt.IPRange6, GatewayMode6: opt.GatewayMode6,
		Reserved: maps.Clone(opt.Reserved), Internal: opt.Internal, Parent: opt.Parent, MacvlanMode: opt.MacvlanMode, GatewayMode: opt.GatewayMode, NoICC: opt.NoICC, NoMasquerade: opt.NoMasquerade, InhibitIPv4: opt.InhibitIPv4, MTU: opt.MTU, Bridge: opt.Bridge,
		Labels: maps.Clone(opt.Labels), Options: maps.Clone(opt.Options),
	}
	if n.Driver == DriverBridge && n.Bridge == "" {
		n.Bridge = "br-" + short(n.ID)
	}
	if n.HasEndpoints() {
		n.AnySubnet, n.AnySubnet6 = !opt.NoIPv4 && !n.Subnet.IsValid(), opt.IPv6 && !n.Subnet6.IsValid()
	}
	return n
}

// place gives the network a bridge and a subnet that no other has.
func (m *Manager) place(n *Network) error {
	nets, err := m.stored()
	if err != nil {
		return err
	}
	for _, o := range nets {
		if o.Bridge == n.Bridge && n.Name != Bridge {
			return errorf(ErrExists, "network %s has the bridge %s already", o.Name, n.Bridge)
		}
	}
	if err := m.planFor(n); err != nil {
		return err
	}
	return m.chooseSubnet(n)
}

// chooseSubnet fills in or checks the subnet against the rest of the host.
func (m *Manager) chooseSubnet(n *Network) error {
	used, err := m.usedPrefixes(n)
	if err != nil {
		return err
	}
	return m.takeSubnets(n, used)
}

// fixedID is the id of a predefined network. It follows from where the records
// are, so that a dry run shows the tags that a run will have.
func (m *Manager) fixedID(name string) string {
	sum := sha256.Sum256([]byte(m.opt.Root + "\n" + m.opt.State + "\n" + name))
	return hex.EncodeToString(sum[:])
}

// newID gives 64 random hexadecimal digits.
func newID() string {
	var b [32]byte
	rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}
