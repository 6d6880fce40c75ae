package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/ipam"
	"github.com/minirt/mini/plan"
)

// checkLeases fills in the network's containers, and looks for addresses that
// none of them has on record. The record is written before an address is taken,
// and removed after it was given back: so the addresses are read first.
func (d *doctor) checkLeases(w *ward) (err error) {
	leases, err := d.m.leases(w.n)
	if err != nil {
		return err
	}
	if w.eps, err = d.m.Endpoints(w.n); err != nil {
		return err
	}
	for ip, owner := range leases {
		has := slices.ContainsFunc(w.eps, func(ep Endpoint) bool {
			o, err := ipam.ParseOwner(ep.ContainerID)
			return err == nil && o == owner
		})
		if !has {
			d.add(NewFinding(w.subject(), fmt.Sprintf("the address %s is taken by nobody: container %s is not on record", ip, owner),
				"nobody else can get it", d.stepFreeAddress(w.n, ip, owner)))
		}
	}
	return nil
}

// leases gives the addresses that are taken, with their owners.
func (m *Manager) leases(n *Network) (map[netip.Addr]ipam.Owner, error) {
	all := make(map[netip.Addr]ipam.Owner)
	for _, f := range n.families() {
		if err := m.addLeases(n, f.v6, all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (m *Manager) addLeases(n *Network, v6 bool, all map[netip.Addr]ipam.Owner) (err error) {
	if _, err := os.Stat(m.leasePath(n, v6)); err != nil {
		return ignoreMissing(err)
	}
	pool, err := ipam.OpenFile(m.leasePath(n, v6), n.pool(v6))
	if err != nil {
		return fmt.Errorf("opening the addresses of network %s: %w", n.Name, err)
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	for ip, owner := range pool.Owned() {
		all[ip] = owner
	}
	return pool.Err()
}

func (d *doctor) stepFreeAddress(n *Network, ip netip.Addr, owner ipam.Owner) plan.Step {
	path := d.m.leasePath(n, ip.Is6())
	return plan.Step{
		Name: "free the address " + ip.String(), Why: "Nobody has it on record.",
		Cmds: []string{"mini doctor --fix # frees " + ip.String() + " in " + plan.Quote(path)},
		Do: func(context.Context) (err error) {
			pool, err := ipam.OpenFile(path, n.pool(ip.Is6()))
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, pool.Close()) }()
			_, err = pool.Release(ip, owner)
			return err
		},
	}
}

// checkLinks looks for bridges and cables with mini's tag that are on nobody's record.
func (d *doctor) checkLinks() {
	for _, l := range d.links {
		alias, ok := strings.CutPrefix(l.Attrs().Alias, "mini:")
		if !ok {
			continue
		}
		name := l.Attrs().Name
		switch {
		case l.Type() == "veth" && !d.isCable(l) && (d.onBridge(l) || d.isMine(alias)):
			d.add(NewFinding("link "+name, "a cable with the tag "+l.Attrs().Alias+" is not on record", "nobody would ever take it away",
				d.stepDeleteLink(name, func(a string) bool { return a == l.Attrs().Alias })))
		case l.Type() != "veth" && l.Type() != "bridge" || d.isCable(l) || d.isBridge(l):
		case !d.isMine(alias):
			d.checkStrayLink(l)
		case l.Type() == "bridge":
			d.add(NewFinding("link "+name, "a bridge with the tag "+l.Attrs().Alias+" is not on record", "nobody would ever take it away",
				d.stepDeleteLink(name, func(a string) bool { return a == l.Attrs().Alias })))
		}
	}
}

func (d *doctor) isCable(l netlink.Link) bool {
	return slices.ContainsFunc(d.wards, func(w *ward) bool {
		return slices.ContainsFunc(w.eps, func(ep Endpoint) bool { return ep.HostLink == l.Attrs().Name })
	})
}

func (d *doctor) isBridge(l netlink.Link) bool {
	for _, mk := range d.unowned {
		if mk.Bridge == l.Attrs().Name {
			return true
		}
	}
	return slices.ContainsFunc(d.wards, func(w *ward) bool { return w.mk != nil && w.mk.Bridge == l.Attrs().Name })
}

// onBridge tells whether the link is plugged into a bridge of this mini, or is a
// cable of one of its networks without a bridge.
func (d *doctor) onBridge(l netlink.Link) bool {
	return slices.ContainsFunc(d.wards, func(w *ward) bool {
		if w.n.hasCable(l) {
			return true
		}
		if w.mk == nil {
			return false
		}
		b := d.link(w.mk.Bridge)
		return b != nil && l.Attrs().MasterIndex == b.Attrs().Index
	})
}

// isElsewhere tells of a link that no packet of a container passes: one that does
// not exist, or a bridge of somebody else that is not a way to the world.
func (d *doctor) isElsewhere(name string) bool {
	if strings.HasSuffix(name, "+") {
		return false
	}
	l := d.link(name)
	if l == nil {
		return true
	}
	if l.Type() != "bridge" || d.isBridge(l) {
		return false
	}
	v4, err := hasDefault(d.h, l, unix.AF_INET)
	v6, err6 := hasDefault(d.h, l, unix.AF_INET6)
	return err == nil && err6 == nil && !v4 && !v6
}

func (d *doctor) stepDeleteLink(name string, tagged func(alias string) bool) plan.Step {
	return plan.Step{
		Name: "delete the leftover link " + name, Why: "It is tagged as mini's, and nobody has it on record.",
		Cmds: []string{plan.Command("ip", "link", "delete", "dev", name)},
		Do: func(context.Context) error {
			return deleteLink(d.h, name, func(l netlink.Link) bool { return tagged(l.Attrs().Alias) })
		},
	}
}

func stepRemoveAll(dir string) plan.Step {
	return plan.Step{
		Name: "remove the leftover directory " + dir, Why: "What it describes is gone.",
		Cmds: []string{plan.Command("rm", "-r", dir)},
		Do:   func(context.Context) error { return os.RemoveAll(dir) },
	}
}

// StrayDirs looks for directories of networks that have no definition and are
// not up: a kill while a network was removed leaves them.
func (m *Manager) StrayDirs() (found []Finding, err error) {
	nets, err := m.stored()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(m.statePath("networks"))
	if err != nil {
		return nil, ignoreMissing(err)
	}
	for _, e := range entries {
		n := &Network{ID: e.Name()}
		if !isHex(n.ID) || slices.ContainsFunc(nets, func(o *Network) bool { return o.ID == n.ID }) {
			continue
		}
		if mk, err := m.readMark(n); mk != nil || err != nil {
			continue // said by Diagnose
		}
		// The lock's directory is made just before a network is created in it.
		unlock, err := lock(m.netDir(n)+"/lock", unix.LOCK_EX|unix.LOCK_NB)
		if err != nil {
			continue
		}
		unlock()
		found = append(found, NewFinding("network "+short(n.ID), "its state is there, but the network is not", "it takes up memory", stepRemoveAll(m.netDir(n))))
	}
	return found, nil
}
