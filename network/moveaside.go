package network

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/ipam"
)

// moveAside gives a network whose subnet nobody asked for another one, if it is
// not up, has no containers, and clashes with the host as it is now: two minis
// with roots of their own choose the same subnet as long as neither is up.
func (m *Manager) moveAside(n *Network) error {
	if !n.AnySubnet {
		return nil
	}
	if mk, err := m.readMark(n); mk != nil || err != nil {
		return err
	}
	unlock, err := lock(m.netDir(n)+"/lock", unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	if n, err = m.current(n); err != nil {
		return err
	}
	mk, err := m.readMark(n)
	if mk != nil || err != nil {
		return err
	}
	eps, err := m.Endpoints(n)
	if len(eps) > 0 || err != nil {
		return err
	}
	// The network's own bridge may be there: a crash may have left it.
	routes, err := m.onLinkRoutes(n.uses)
	if err != nil || ipam.CheckOverlap(n.Subnet, routes) == nil {
		return err
	}
	return m.chooseAgain(n)
}

// chooseAgain stores another subnet. The caller holds the network's lock.
func (m *Manager) chooseAgain(n *Network) error {
	unlock, err := lock(m.defPath(".lock"), unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	old := n.Subnet
	used, err := m.usedPrefixes(n)
	if err != nil {
		return err
	}
	if n.Subnet, err = ipam.NextSubnet(ipam.DefaultPools(), used); err != nil {
		return fmt.Errorf("choosing another subnet for network %s: %w", n.Name, err)
	}
	n.Gateway = ipam.Config{Subnet: n.Subnet}.GatewayAddr()
	// Nobody has an address, and the file is for the old subnet.
	if err := ignoreMissing(os.Remove(m.leasePath(n))); err != nil {
		return fmt.Errorf("choosing another subnet for network %s: %w", n.Name, err)
	}
	if err := replaceJSON(m.defPath(n.Name), n); err != nil {
		return err
	}
	m.opt.Notice(fmt.Sprintf("network %s moves from subnet %s to %s: the host has another use for the old one", n.Name, old, n.Subnet))
	return nil
}
