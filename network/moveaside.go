package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/ipam"
)

// moveAside gives a network whose subnet nobody asked for another one, if it is
// not up, has no containers, and clashes with the host as it is now: two minis
// with roots of their own choose the same subnet as long as neither is up.
func (m *Manager) moveAside(n *Network) error {
	if !n.AnySubnet && !n.AnySubnet6 {
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
	routes, err := m.onLinkRoutes(n, n.uses)
	if err != nil {
		return err
	}
	v4 := n.AnySubnet && ipam.CheckOverlap(n.Subnet, routes) != nil
	v6 := n.AnySubnet6 && ipam.CheckOverlap(n.Subnet6, routes) != nil
	if !v4 && !v6 {
		return nil
	}
	return m.chooseAgain(n, v4, v6)
}

// chooseAgain stores other subnets, of the families that are said. The caller
// holds the network's lock.
func (m *Manager) chooseAgain(n *Network, v4, v6 bool) error {
	unlock, err := lock(m.defPath(".lock"), unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	old := n.subnets()
	used, err := m.usedPrefixes(n)
	if err != nil {
		return err
	}
	if v4 {
		n.Subnet, n.Gateway = netip.Prefix{}, netip.Addr{}
	}
	if v6 {
		n.Subnet6, n.Gateway6 = netip.Prefix{}, netip.Addr{}
	}
	if err := m.takeSubnets(n, used); err != nil {
		return fmt.Errorf("choosing another subnet for network %s: %w", n.Name, err)
	}
	// Nobody has an address, and the files are for the old subnets.
	for _, v6 := range []bool{false, true} {
		err := errors.Join(ignoreMissing(os.Remove(m.leasePath(n, v6))), os.RemoveAll(m.leasePath(n, v6)+ipam.NamedSuffix))
		if err != nil {
			return fmt.Errorf("choosing another subnet for network %s: %w", n.Name, err)
		}
	}
	if err := replaceJSON(m.defPath(n.Name), n); err != nil {
		return err
	}
	m.opt.Notice(fmt.Sprintf("network %s moves from subnet %s to %s: the host has another use for the old one", n.Name, old, n.subnets()))
	return nil
}
