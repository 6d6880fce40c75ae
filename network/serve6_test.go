package network

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/minirt/mini/network/port"
)

// TestReleaseWaitsForClientsAlone: the end of what a container says at [::1] may take
// a moment, for which nobody else has to wait: it comes before the lock on records.
func TestReleaseWaitsForClientsAlone(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	m, err := Open(Options{Root: t.TempDir(), State: t.TempDir()})
	must(err)
	container, err := net.Listen("tcp", "[::1]:0")
	must(err)
	defer container.Close()
	to := container.Addr().(*net.TCPAddr).AddrPort()
	s, p, err := port.Reserve(port.Mapping{HostIP: netip.IPv6Loopback(), ContainerPort: to.Port(), Proto: port.TCP})
	must(err)
	n := &Network{ID: newID(), Name: "six"}
	ep := &Endpoint{ID: newID(), NetworkID: n.ID, NetworkName: n.Name, ContainerID: strings.Repeat("a", 64), IP6: to.Addr(), Ports: []port.Mapping{p}, sockets: []*port.Socket{s}}
	must(m.createRecord(n, ep))
	must((&Endpoint{}).serve6(ep))
	c, err := net.DialTimeout("tcp", fmt.Sprintf("[::1]:%d", p.HostPort), patient)
	must(err)
	defer c.Close()
	peer, err := container.Accept() // all the way
	must(err)
	defer peer.Close()
	unlock, err := m.lockRecords(n)
	must(err)
	released := make(chan error, 1)
	go func() { released <- m.Release(ep) }()
	must(c.SetReadDeadline(time.Now().Add(patient)))
	_, err = io.ReadAll(c)
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		t.Error("the client is not told of the end while somebody else has the lock")
	}
	unlock()
	must(<-released)
}
