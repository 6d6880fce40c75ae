package network

import (
	"bytes"
	"crypto/rand"
	"maps"
	"net/netip"
	"os"

	"github.com/minirt/mini/ipam"
)

// pool describes the addresses of a family, as far as they were asked for.
func (o *CreateOptions) pool(v6 bool) ipam.Config {
	cfg := ipam.Config{Subnet: o.Subnet, Gateway: o.Gateway, Range: o.IPRange}
	if v6 {
		cfg = ipam.Config{Subnet: o.Subnet6, Gateway: o.Gateway6, Range: o.IPRange6}
	}
	for _, ip := range o.Reserved {
		if ip.Is6() == v6 {
			cfg.Reserved = append(cfg.Reserved, ip)
		}
	}
	return cfg
}

// unused names what was said of a family that the network is not to have. Docker
// passes it over.
func (o *CreateOptions) unused() []string {
	var words []string
	for v6, has := range map[bool]bool{false: !o.NoIPv4, true: o.IPv6} {
		if cfg := o.pool(v6); !has && cfg.Subnet.IsValid() {
			words = append(words, cfg.Subnet.String())
		}
	}
	return words
}

// dropUnused leaves it out.
func (o *CreateOptions) dropUnused() {
	drop := func(netip.Addr) bool { return false }
	if o.NoIPv4 {
		o.Subnet, o.Gateway, o.IPRange = netip.Prefix{}, netip.Addr{}, netip.Prefix{}
		drop = netip.Addr.Is4
	}
	if !o.IPv6 {
		o.Subnet6, o.Gateway6, o.IPRange6 = netip.Prefix{}, netip.Addr{}, netip.Prefix{}
		drop = netip.Addr.Is6
	}
	o.Reserved = maps.Clone(o.Reserved)
	maps.DeleteFunc(o.Reserved, func(_ string, ip netip.Addr) bool { return drop(ip) })
}

// CheckAddress says why a container cannot have an address of the network. No
// address at all is fine.
func (n *Network) CheckAddress(ip netip.Addr) error {
	if !ip.IsValid() || n.Contains(ip) {
		return nil
	}
	kind, v6 := "IPv4", ip.Is6()
	if v6 {
		kind = "IPv6"
	}
	if f := n.family(v6); f.subnet.IsValid() {
		return errorf(ErrInvalid, "invalid address %s: it is not in the subnet %s of network %s", ip, f.subnet, n.Name)
	}
	return errorf(ErrInvalid, "invalid address %s: network %s has no %s", ip, n.Name, kind)
}

// takeSubnets fills in or checks the subnets against what is used.
func (m *Manager) takeSubnets(n *Network, used []ipam.Used) error {
	if err := takeSubnet(&n.Subnet, n.AnySubnet, ipam.DefaultPools, used); err != nil {
		return err
	}
	if err := takeSubnet(&n.Subnet6, n.AnySubnet6, m.pools6, used); err != nil {
		return err
	}
	return n.takeGateways()
}

// takeSubnet fills in a subnet that may be any, or checks one that was asked for.
// One that is neither is not valid: the network has none of its family.
func takeSubnet(subnet *netip.Prefix, any bool, pools func() []ipam.Pool, used []ipam.Used) (err error) {
	switch {
	case any && !subnet.IsValid(): // that of a bridge that is there is taken
		*subnet, err = ipam.NextSubnet(pools(), used)
	case subnet.IsValid():
		err = ipam.CheckOverlap(*subnet, used)
	}
	return err
}

// takeGateways fills in the gateways that nobody asked for.
func (n *Network) takeGateways() error {
	for _, f := range n.families() {
		pool := n.pool(f.v6)
		if f.v6 {
			n.Gateway6 = pool.GatewayAddr()
		} else {
			n.Gateway = pool.GatewayAddr()
		}
		if err := n.pool(f.v6).Validate(); err != nil {
			return err
		}
	}
	return nil
}

// pools6 gives the unique local addresses that are this mini's own: they belong to
// the machine and to the root directory, and are the same every time. RFC 4193
// asks for a random prefix, so that networks which are joined one day do not
// clash; a machine without an id, see machine-id(5), gets a new one each time.
func (m *Manager) pools6() []ipam.Pool {
	id, err := os.ReadFile("/etc/machine-id")
	if id = bytes.TrimSpace(id); err != nil || len(id) == 0 {
		id = make([]byte, 16)
		rand.Read(id) // never fails, see crypto/rand
	}
	return []ipam.Pool{ipam.UniqueLocal([]byte("mini\x00" + string(id) + "\x00" + m.opt.Root))}
}
