package network

import (
	"strconv"

	"github.com/vishvananda/netlink"

	"github.com/minirt/mini/ipam"
	"github.com/minirt/mini/network/firewall"
)

// checkClash compares the subnet with the host's routes as they are now: they
// may have changed since the network was created.
func (m *Manager) checkClash(n *Network) error {
	routes, err := m.onLinkRoutes(n, n.uses)
	if err != nil {
		return err
	}
	for _, f := range n.families() {
		if err := ipam.CheckOverlap(f.subnet, routes); err != nil {
			return err
		}
	}
	return nil
}

// layout decides what the network looks like on this host. It reads only.
func (m *Manager) layout(n *Network, prefix string) (*mark, error) {
	mk, err := m.readMark(n)
	if err != nil {
		return nil, err
	}
	if mk == nil {
		mk = new(mark)
	}
	if err := m.nets(n).fit(n, mk); err != nil {
		return nil, err
	}
	mk.Prefix, mk.Ready, mk.Index = prefix, false, 0
	// Without the program nothing comes up, and whoever runs it says so.
	mk.Backend, _ = m.fw().Backend()
	if mk.Boot, err = m.bootID(); err != nil {
		return nil, err
	}
	if err := m.meetAll(n, mk); err != nil {
		return nil, err
	}
	mk.Rules = nil
	for _, r := range firewall.Bridge(n.rules(mk)) {
		mk.Rules = append(mk.Rules, r.Rule)
	}
	return mk, nil
}

func (n *Network) rules(mk *mark) firewall.BridgeConfig {
	return firewall.BridgeConfig{
		Prefix: mk.Prefix, Owner: n.tag(), Link: mk.Bridge, Subnet: n.Subnet, Subnet6: n.Subnet6, Internal: n.Internal,
		Mode: n.GatewayMode, Mode6: n.GatewayMode6, From: mk.From, To: mk.To, From6: mk.From6, To6: mk.To6,
		NoICC: n.NoICC, NoMasquerade: n.NoMasquerade,
	}
}

// fitBridge decides which bridge it is, on the MTU, and on what to do with a
// bridge that is there.
func (m *Manager) fitBridge(n *Network, mk *mark) error {
	ours := n.owns
	if n.mayAdopt() && (mk.Bridge == "" || mk.Found != nil) { // else also what a crash left without an alias
		ours = func(l netlink.Link) bool { return l.Attrs().Alias == n.alias() }
	}
	if mk.Bridge == "" {
		mk.Bridge = n.Bridge
	}
	link, err := m.chooseBridge(n, mk, ours)
	if err != nil {
		return err
	}
	if link != nil {
		return m.adopt(n, mk, link)
	}
	mk.Found = nil
	return m.fitMTU(n, mk)
}

func (m *Manager) fitMTU(n *Network, mk *mark) (err error) {
	if mk.MTU = n.MTU; mk.MTU == 0 {
		mk.MTU, err = m.hostMTU(n)
	}
	return err
}

// chooseBridge fills in mk.Bridge, if the name is free or the link is ours. The
// default network moves on to mini1, mini2, …; a user's network has its fixed
// name, and takes a bridge that somebody else made, which is then given.
func (m *Manager) chooseBridge(n *Network, mk *mark, ours func(netlink.Link) bool) (netlink.Link, error) {
	h, err := m.host()
	if err != nil {
		return nil, err
	}
	name := mk.Bridge
	for i := 0; i < 100; i++ {
		link, err := findLink(h, name)
		if err != nil {
			return nil, err
		}
		if link == nil || ours(link) {
			mk.Bridge = name
			return nil, nil
		}
		if n.mayAdopt() {
			return link, checkFound(link)
		}
		if n.Name != Bridge {
			return nil, errorf(ErrExists, "link %s exists and is not mini's", name)
		}
		name = "mini" + strconv.Itoa(i)
	}
	return nil, errorf(ErrExists, "link %s and all of mini0 to mini99 exist and are not mini's", mk.Bridge)
}
