package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/network/dns"
	"github.com/minirt/mini/plan"
	"github.com/minirt/mini/rootfs"
)

// names of the files that are bound over those in the container's /etc.
const (
	etcHosts  = "hosts"
	etcResolv = "resolv.conf"
)

// hasNames tells whether the container asks mini for names. Once it does, it
// goes on, as with Docker: its programs have read their resolv.conf.
func (m *monitor) hasNames() bool {
	return m.names != nil || slices.ContainsFunc(m.endpoints, func(ep *network.Endpoint) bool { return ep.NetworkName != network.Bridge })
}

// writeEtc writes the files that are bound over /etc/hosts and its kin.
func (m *monitor) writeEtc() error {
	if etcDir(&m.c.Config, m.c.Dir()) != m.c.Dir() {
		return nil // another container's
	}
	hosts, err := m.hosts()
	if err != nil {
		return err
	}
	if m.resolv, err = m.resolvConf(); err != nil {
		return err
	}
	return errors.Join(m.writeEtcFile(etcResolv, m.resolv), m.writeEtcFile(etcHosts, hosts),
		m.writeEtcFile("hostname", rootfs.Hostname(m.c.Config.Hostname)))
}

// updateEtc tells the files of a running container that it left some addresses
// and got others. What the user wrote into them stays: a resolv.conf that was
// edited is left alone, and of hosts only our own lines change.
func (m *monitor) updateEtc(gone, came []netip.Addr) error {
	return errors.Join(m.updateHosts(gone, came), m.updateResolv())
}

func (m *monitor) updateHosts(gone, came []netip.Addr) error {
	text, err := m.readEtcFile(etcHosts)
	if err != nil {
		return err
	}
	return m.writeEtcFile(etcHosts, rootfs.EditHosts(text, m.c.Config.fullName(), gone, came))
}

func (m *monitor) updateResolv() error {
	now, err := m.readEtcFile(etcResolv)
	if err != nil || now != m.resolv {
		return err
	}
	if m.resolv, err = m.resolvConf(); err != nil {
		return err
	}
	return m.writeEtcFile(etcResolv, m.resolv)
}

// maxEtcFile bounds what the monitor reads of a file that the container writes.
const maxEtcFile = 1 << 20

func (m *monitor) readEtcFile(name string) (string, error) {
	f, err := os.Open(filepath.Join(m.c.Dir(), name))
	if err != nil {
		return "", fmt.Errorf("opening the container's /etc/%s: %w", name, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxEtcFile+1))
	if err == nil && len(text) > maxEtcFile {
		err = fmt.Errorf("it has more than %d bytes, and is left as it is", maxEtcFile)
	}
	if err != nil {
		return "", fmt.Errorf("reading the container's /etc/%s: %w", name, err)
	}
	return string(text), nil
}

// writeEtcFile writes in place: a running container has the very file bound,
// and programs have it open. It is never empty meanwhile.
func (m *monitor) writeEtcFile(name, text string) error {
	f, err := os.OpenFile(filepath.Join(m.c.Dir(), name), os.O_WRONLY|os.O_CREATE, 0o644)
	if err == nil {
		_, err = f.WriteAt([]byte(text), 0)
		err = errors.Join(err, f.Truncate(int64(len(text))), f.Close())
	}
	if err != nil {
		return fmt.Errorf("writing the container's /etc/%s: %w", name, err)
	}
	return nil
}

// resolvConf gives the text of /etc/resolv.conf.
func (m *monitor) resolvConf() (string, error) {
	opt := rootfs.ResolvOptions{
		DNS: m.c.Config.DNS.Servers, Search: m.c.Config.DNS.Search, Options: m.c.Config.DNS.Options,
		HostNetwork: m.c.Config.NetworkMode == network.Host,
		NoIPv6:      !slices.ContainsFunc(m.endpoints, func(ep *network.Endpoint) bool { return ep.IP6.IsValid() }),
	}
	if !m.hasNames() {
		host, err := rootfs.ReadHostResolver(os.ReadFile)
		return host.ForContainer(opt).String(), err
	}
	host, err := rootfs.ReadResolver(os.ReadFile)
	if err != nil {
		return "", err
	}
	outside, err := m.r.leadOutside(m.endpoints)
	asked := asks(&m.c.Config, host)
	if !outside {
		asked.host = nil
	}
	return host.ForNames(opt, network.NameServer.Addr(), asked.describe()).String(), err
}

// asks gives the servers that the resolver asks in turn.
func asks(cfg *Config, host rootfs.Resolver) askedServers {
	var a askedServers
	for _, s := range cfg.DNS.Servers {
		if s != network.NameServer.Addr() { // itself
			a.own = append(a.own, s)
		}
	}
	a.own = a.own[:min(len(a.own), dns.MaxUpstreams)]
	a.host = host.Servers[:min(len(host.Servers), dns.MaxUpstreams)]
	return a
}

// serveNames begins to answer the container's questions for names, when it is
// on a network that has them, and tells the resolver of all its networks.
func (m *monitor) serveNames(ctx context.Context, observe plan.Observer) error {
	if !m.hasNames() {
		return nil
	}
	if m.names == nil {
		if err := m.beginNames(ctx, observe); err != nil {
			return err
		}
	}
	return m.names.connected(m.endpoints)
}

func (m *monitor) beginNames(ctx context.Context, observe plan.Observer) error {
	host, err := rootfs.ReadResolver(os.ReadFile)
	if err != nil {
		return err
	}
	ns, err := m.netns()
	if err != nil {
		return err
	}
	sockets, err := network.ListenNames(ns)
	if err != nil {
		ns.Close()
		return err
	}
	if err := m.r.Networks.NamesPlan(m.endpoints[0], ns, sockets.Addr()).Run(ctx, observe); err != nil {
		ns.Close()
		return errors.Join(err, sockets.Close())
	}
	dotted := rootfs.HasNdots(m.c.Config.DNS.Options) || len(m.c.Config.DNS.Options) == 0 && rootfs.HasNdots(host.Options)
	m.names = m.r.startResolver(m.c.Config.ID, ns, sockets, asks(&m.c.Config, host), dotted)
	return nil
}

// hosts gives the text of /etc/hosts. On the host's network it is the host's.
func (m *monitor) hosts() (string, error) {
	opt := rootfs.HostsOptions{Hostname: m.c.Config.fullName()}
	for _, ep := range m.endpoints {
		opt.Addresses = append(opt.Addresses, ep.Addresses()...)
		opt.Gateway = append(opt.Gateway, leading(ep)...)
	}
	if len(opt.Gateway) == 0 && len(m.endpoints) > 0 { // internal networks only: the host is their bridge's address
		opt.Gateway = m.endpoints[0].Gateways()
	}
	if m.c.Config.NetworkMode == network.Host {
		opt.Gateway = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	for _, text := range m.c.Config.ExtraHosts {
		entry, err := rootfs.ParseAddHost(text)
		if err != nil {
			return "", err
		}
		opt.Extra = append(opt.Extra, entry)
	}
	return rootfs.Hosts(opt)
}
