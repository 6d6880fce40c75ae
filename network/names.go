package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/minirt/mini/network/netns"
	"github.com/minirt/mini/network/nft"
	"github.com/minirt/mini/plan"
)

// NameServer is where a container on a user's network asks for names. It is an
// address of the container's own loopback link.
var NameServer = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 11}), 53)

// NameSockets are the sockets at which a container's questions arrive, in its
// namespace. They keep the namespace alive as long as they are open.
type NameSockets struct {
	UDP *net.UDPConn
	TCP *net.TCPListener
}

// namePortTries bounds the search for a port that is free for UDP and TCP. In
// a new namespace all are.
const namePortTries = 16

// ListenNames opens them at a port that the kernel chooses, the same for both.
// They do not take port 53, so that the container may run a name server of its
// own on all its addresses.
func ListenNames(ns *os.File) (*NameSockets, error) {
	var s *NameSockets
	err := netns.Do(ns, func() (err error) {
		for range namePortTries {
			if s, err = listenNames(); err == nil {
				return nil
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listening for the container's questions: %w", err)
	}
	return s, nil
}

func listenNames() (*NameSockets, error) {
	udp, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(NameServer.Addr(), 0)))
	if err != nil {
		return nil, err
	}
	tcp, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(udp.LocalAddr().(*net.UDPAddr).AddrPort()))
	if err != nil {
		return nil, errors.Join(err, udp.Close())
	}
	return &NameSockets{UDP: udp, TCP: tcp}, nil
}

// Addr gives where the sockets are.
func (s *NameSockets) Addr() netip.AddrPort { return s.UDP.LocalAddr().(*net.UDPAddr).AddrPort() }

// Close closes them.
func (s *NameSockets) Close() error { return errors.Join(s.UDP.Close(), s.TCP.Close()) }

// NamesPlan gives the steps that lead a container's questions for names to
// sockets that [ListenNames] opened in its namespace. The rules die with the
// namespace. ep is any of the container's endpoints.
func (m *Manager) NamesPlan(ep *Endpoint, ns *os.File, to netip.AddrPort) plan.Plan {
	return plan.Plan{Title: "answer the names that " + ep.ContainerName + " asks for", Steps: []plan.Step{stepNames(ep, ns, to)}}
}

// namesTable is the one in a container's namespace.
func namesTable(ep *Endpoint, to netip.AddrPort) nft.Table {
	table := nft.Table{Name: "mini", Chain: "names"}
	for _, proto := range []nft.Proto{nft.UDP, nft.TCP} {
		table.Rules = append(table.Rules, nft.Redirect{Proto: proto, From: NameServer, To: to, Comment: "mini:" + ep.Tag})
	}
	return table
}

func stepNames(ep *Endpoint, ns *os.File, to netip.AddrPort) plan.Step {
	table := namesTable(ep, to)
	return plan.Step{
		Name: "lead questions for " + NameServer.String() + " to mini's name server",
		Why: "It listens inside the container at a port that the kernel chose, so that port 53 stays free for a name server of the container's own. " +
			"By hand nobody listens there.",
		Cmds: table.Commands("ip", "netns", "exec", ep.NamespaceName()),
		Do:   func(context.Context) error { return netns.Do(ns, table.Add) },
		Undo: func(context.Context) error { return netns.Do(ns, table.Delete) },
	}
}

// HasNames tells whether containers on the network can ask for each other's
// names: on all but the default one, as with Docker.
func (n *Network) HasNames() bool { return n.HasEndpoints() && n.Name != Bridge }

// previewNames is NamesPlan for a container that does not exist, with a port
// that is free here.
func (m *Manager) previewNames(ep *Endpoint) (plan.Plan, error) {
	s, err := listenNames()
	if err != nil {
		return plan.Plan{}, fmt.Errorf("looking for a free port: %w", err)
	}
	defer s.Close()
	return m.NamesPlan(ep, nil, s.Addr()), nil
}
