package network

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/ipam"
)

// Reserve takes an address and the host ports for a container, and records
// them. On error nothing is held. The caller keeps the endpoint open as long
// as the container lives, because its sockets hold the ports; a caller that
// dies leaves a record behind for [Manager.Drop].
func (m *Manager) Reserve(n *Network, spec EndpointSpec) (*Endpoint, error) {
	if err := m.moveAside(n); err != nil {
		return nil, err
	}
	n, ep, err := m.intend(n, spec)
	if err != nil {
		return nil, err
	}
	if err := m.claim(n, ep, spec); err != nil {
		return nil, errors.Join(err, ep.Close(), m.Release(ep))
	}
	return ep, nil
}

// newEndpoint checks spec and fills in what does not depend on others.
func (m *Manager) newEndpoint(n *Network, spec EndpointSpec) (*Endpoint, error) {
	if err := checkSpec(n, spec); err != nil {
		return nil, err
	}
	ep := &Endpoint{
		ID: newID(), NetworkID: n.ID, NetworkName: n.Name,
		ContainerID: spec.ContainerID, ContainerName: spec.ContainerName,
		Tag: short(spec.ContainerID) + ":" + spec.ContainerName, Interface: spec.Interface, Driver: n.Driver,
		PrefixLen: max(n.Subnet.Bits(), 0), Gateway: n.Gateway, MAC: MAC(spec.MAC),
		PrefixLen6: max(n.Subnet6.Bits(), 0), Gateway6: n.Gateway6,
		Ports: slices.Clone(spec.Ports), Aliases: spec.Aliases, Hostname: spec.Hostname,
		DefaultRoute:  spec.DefaultRoute && !n.Internal && n.HasIPv4(),
		DefaultRoute6: spec.DefaultRoute6 && !n.Internal && n.HasIPv6(),
		routeWhy:      spec.RouteWhy, routeWhy6: spec.RouteWhy6, Created: time.Now().UTC(),
	}
	m.links(n.Driver).dress(n, ep, spec)
	if err := n.addHostIP(ep.Ports, spec.HostIP); err != nil {
		return nil, err
	}
	m.placePorts(n, ep)
	return ep, nil
}

// vethName is made of the container's id, the interface's number, and a random
// part: a container that restarts must not wait until the kernel is done with
// its last pair.
func vethName(s EndpointSpec) string {
	var b [2]byte
	rand.Read(b[:]) // never fails, see crypto/rand
	index := strings.TrimPrefix(s.Interface, "eth")
	return ("veth" + s.ContainerID[:7] + index + hex.EncodeToString(b[:]))[:15]
}

// intend writes the record before anything is taken. The lock is shared with
// other containers, and keeps the network from being removed meanwhile.
// It gives the network as it is now.
func (m *Manager) intend(n *Network, spec EndpointSpec) (*Network, *Endpoint, error) {
	unlock, err := lock(m.netDir(n)+"/lock", unix.LOCK_SH)
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	if n, err = m.current(n); err != nil {
		return nil, nil, err
	}
	ep, err := m.newEndpoint(n, spec)
	if err != nil {
		return nil, nil, err
	}
	return n, ep, m.createRecord(n, ep)
}

// createRecord writes the first record of an endpoint.
func (m *Manager) createRecord(n *Network, ep *Endpoint) error {
	data, err := json.Marshal(ep)
	if err != nil {
		return fmt.Errorf("recording the endpoint of %s: %w", ep.ContainerName, err)
	}
	path := m.endpointPath(n, ep.ContainerID)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(m.endpointDir(n), 0o700); err == nil {
			f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return errorf(ErrExists, "endpoint with name %s already exists in network %s", ep.ContainerName, n.Name)
	}
	if err != nil {
		return fmt.Errorf("recording the endpoint of %s: %w", ep.ContainerName, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("recording the endpoint of %s: %w", ep.ContainerName, errors.Join(err, os.Remove(path)))
	}
	return nil
}

// claim takes the addresses and the ports, and records them.
func (m *Manager) claim(n *Network, ep *Endpoint, spec EndpointSpec) error {
	if err := m.takeAddresses(n, ep, spec, m.allocate); err != nil {
		return err
	}
	if err := m.bindPorts(ep); err != nil {
		return err
	}
	if note := m.Bypassed(ep.Ports); note != "" {
		m.opt.Notice(note)
	}
	if ep.publishes() {
		prefix, err := m.prefix(n.ruleFamilies())
		if err != nil {
			return err
		}
		ep.publish(prefix)
	}
	return m.save(ep)
}

// wish is an address of a family that an endpoint wants, zero for any.
type wish struct {
	v6   bool
	addr netip.Addr
}

// takeAddresses fills in the endpoint's addresses, which come from take.
func (m *Manager) takeAddresses(n *Network, ep *Endpoint, spec EndpointSpec, take func(*Network, *Endpoint, wish) (netip.Addr, error)) (err error) {
	if n.HasIPv4() {
		if ep.IP, err = take(n, ep, wish{false, spec.IP}); err != nil {
			return err
		}
	}
	if n.HasIPv6() {
		if ep.IP6, err = take(n, ep, wish{true, spec.IP6}); err != nil {
			return err
		}
	}
	if ep.MAC == nil {
		ep.MAC = MAC(macBeside(n.mainGateway(), ep.mainAddress()))
	}
	return nil
}

// allocate takes the address that is wanted, or the next free one.
func (m *Manager) allocate(n *Network, ep *Endpoint, want wish) (ip netip.Addr, err error) {
	owner, err := ipam.ParseOwner(ep.ContainerID)
	if err != nil {
		return ip, err
	}
	pool, err := ipam.OpenFile(m.leasePath(n, want.v6), n.pool(want.v6))
	if err != nil {
		return ip, fmt.Errorf("opening the addresses of network %s: %w", n.Name, err)
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	if !want.addr.IsValid() {
		if ip, err = pool.Allocate(owner); err != nil {
			return ip, fmt.Errorf("network %s: %w", n.Name, err)
		}
		return ip, nil
	}
	if err := pool.AllocateAddr(want.addr, owner); err != nil {
		return ip, m.explainTaken(n, ep.ContainerID, want.addr, err)
	}
	return want.addr, nil
}

// explainTaken names the container that has an address.
func (m *Manager) explainTaken(n *Network, self string, ip netip.Addr, err error) error {
	if errors.Is(err, ipam.ErrTaken) {
		eps, listErr := m.Endpoints(n)
		for _, ep := range eps {
			if listErr == nil && slices.Contains(ep.Addresses(), ip) && ep.ContainerID != self {
				return errorf(ipam.ErrTaken, "network %s: address %s is already in use by container %s", n.Name, ip, ep.ContainerName)
			}
		}
	}
	return fmt.Errorf("network %s: %w", n.Name, err)
}

// Release gives back the address and removes the record. It does nothing when
// that was done before. The kernel objects must be gone: see [Manager.DetachPlan].
func (m *Manager) Release(ep *Endpoint) error {
	n := networkOf(ep)
	ended := ep.endRelay() // before the lock, or others would wait for this one's clients
	unlock, err := m.lockRecords(n)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.Join(ended, ep.Close())
	}
	if err != nil {
		return fmt.Errorf("releasing the endpoint of %s: %w", ep.ContainerName, err)
	}
	defer unlock()
	path := m.endpointPath(n, ep.ContainerID)
	// What a killed writer left, if anything.
	if err := ignoreMissing(os.Remove(tempPath(path))); err != nil {
		return fmt.Errorf("releasing the endpoint of %s: %w", ep.ContainerName, err)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return errors.Join(ended, ep.Close())
	}
	err = errors.Join(ended, ep.Close(), m.dropMoved(ep), m.releaseAddresses(ep))
	if err != nil {
		return fmt.Errorf("releasing the endpoint of %s: %w", ep.ContainerName, err)
	}
	// The record goes last: while it is there, a crash loses nothing.
	return ignoreMissing(os.Remove(path))
}

// releaseAddresses frees the endpoint's addresses. An intent without one may
// have taken it all the same, so all that its owner has is freed.
func (m *Manager) releaseAddresses(ep *Endpoint) error {
	n, err := m.definition(ep)
	if err != nil || n == nil {
		return err
	}
	var errs []error
	for _, f := range n.families() {
		have := ep.IP
		if f.v6 {
			have = ep.IP6
		}
		errs = append(errs, m.releaseAddress(n, ep, wish{f.v6, have}))
	}
	return errors.Join(errs...)
}

func (m *Manager) releaseAddress(n *Network, ep *Endpoint, have wish) (err error) {
	owner, err := ipam.ParseOwner(ep.ContainerID)
	if err != nil {
		return err
	}
	pool, err := ipam.OpenFile(m.leasePath(n, have.v6), n.pool(have.v6))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	if have.addr.IsValid() {
		_, err = pool.Release(have.addr, owner)
		return err
	}
	var mine []netip.Addr
	for ip, o := range pool.Owned() {
		if o == owner {
			mine = append(mine, ip)
		}
	}
	if err := pool.Err(); err != nil {
		return err
	}
	for _, ip := range mine {
		if _, err := pool.Release(ip, owner); err != nil {
			return err
		}
	}
	return nil
}

// definition gives the endpoint's network, nil when it was removed.
func (m *Manager) definition(ep *Endpoint) (*Network, error) {
	n, err := m.load(ep.NetworkName)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && n.ID != ep.NetworkID) {
		return nil, nil
	}
	return n, err
}
