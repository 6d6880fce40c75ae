package network

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minirt/mini/network/netns"
)

// TestNamesPlan: what goes to the name server's address arrives at the sockets,
// over UDP and TCP, while another server has port 53 on all addresses.
func TestNamesPlan(t *testing.T) {
	w := newWorld(t, "iptables-nft", "1")
	ns, err := netns.New()
	w.must(err)
	defer ns.Close()
	w.must(w.m.LoopbackPlan("web", ns).Run(context.Background(), nil))
	s, err := ListenNames(ns)
	w.must(err)
	defer s.Close()
	ep := &Endpoint{ContainerName: "web", Tag: "a00000000000:web"}
	p := w.m.NamesPlan(ep, ns, s.Addr())
	w.must(p.Run(context.Background(), nil))

	for _, all := range []string{"0.0.0.0:53", "[::]:53"} {
		w.in(ns, func() error {
			udp, err := net.ListenPacket("udp", all)
			if err != nil {
				return fmt.Errorf("the container's own server: %w", err)
			}
			defer udp.Close()
			tcp, err := net.Listen("tcp", all)
			if err != nil {
				return fmt.Errorf("the container's own server: %w", err)
			}
			return tcp.Close()
		})
	}

	w.in(ns, func() error { return askNames(s) })

	w.must(p.Steps[0].Undo(context.Background()))
	w.in(ns, func() error {
		if left := w.sh("nft list ruleset"); left != "" {
			t.Errorf("after the undo there is\n%s", left)
		}
		if c, err := net.DialTimeout("tcp", NameServer.String(), time.Second); err == nil {
			c.Close()
			t.Error("port 53 still leads to the name server")
		}
		return nil
	})
}

// askNames sends a word to the name server's address over UDP and TCP, and
// looks for it at the sockets.
func askNames(s *NameSockets) error {
	udp, err := net.Dial("udp", NameServer.String())
	if err != nil {
		return err
	}
	defer udp.Close()
	if _, err := udp.Write([]byte("question")); err != nil {
		return err
	}
	buf := make([]byte, 100)
	if err := s.UDP.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	n, from, err := s.UDP.ReadFromUDPAddrPort(buf)
	if err != nil || string(buf[:n]) != "question" {
		return fmt.Errorf("got %q, error %w", buf[:n], err)
	}
	if _, err := s.UDP.WriteToUDPAddrPort([]byte("answer"), from); err != nil {
		return err
	}
	if err := udp.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if n, err = udp.Read(buf); err != nil || string(buf[:n]) != "answer" {
		return fmt.Errorf("the answer is %q, error %w", buf[:n], err)
	}
	tcp, err := net.DialTimeout("tcp", NameServer.String(), 5*time.Second)
	if err != nil {
		return err
	}
	defer tcp.Close()
	if err := s.TCP.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	c, err := s.TCP.Accept()
	if err != nil {
		return err
	}
	return c.Close()
}

// TestDirectory: a container has its name, aliases, short id and hostname,
// in whatever case, and loses them when it goes.
func TestDirectory(t *testing.T) {
	w := newWorld(t, "iptables-nft", "1")
	red := w.create(CreateOptions{Name: "red"})
	d := w.m.Directory(red)
	wantNames(t, d, "web", "")
	spec := w.spec("Web")
	spec.Aliases, spec.Hostname = []string{"www", "Front"}, "web.example"
	ep, err := w.m.Reserve(red, spec)
	w.must(err)
	other := w.spec("two")
	other.Aliases, other.Hostname = []string{"front", "two"}, "two"
	ep2, err := w.m.Reserve(red, other)
	w.must(err)
	id := spec.ContainerID[:12]
	for _, name := range []string{"web", "www", "web.example", id} {
		wantNames(t, d, name, ep.IP.String())
	}
	wantNames(t, d, "front", ep.IP.String()+" "+ep2.IP.String())
	wantNames(t, d, "two", ep2.IP.String())
	if l, ok, err := d.Reverse(ep.IP); err != nil || !ok || l.Name != "Web" || l.ContainerID != spec.ContainerID {
		t.Errorf("reverse: %v %v %v", l, ok, err)
	}
	if _, ok, err := d.Reverse(netip.MustParseAddr("10.9.9.9")); ok || err != nil {
		t.Errorf("reverse of nobody: %v %v", ok, err)
	}
	w.must(w.m.Rename(red, spec.ContainerID, "renamed"))
	wantNames(t, d, "web", "")
	wantNames(t, d, "renamed", ep.IP.String())
	w.must(w.m.Release(ep))
	wantNames(t, d, "renamed", "")
	wantNames(t, d, "front", ep2.IP.String())
	w.must(w.m.Release(ep2))
	wantNames(t, d, "front", "")
}

func wantNames(t *testing.T, d *Directory, name, want string) {
	t.Helper()
	got, err := d.Lookup(name)
	var addrs []string
	for _, l := range got {
		addrs = append(addrs, l.Addrs[0].String())
	}
	slices.Sort(addrs)
	if text := strings.Join(addrs, " "); text != want || err != nil {
		t.Errorf("%s: got %q, error %v, want %q", name, text, err, want)
	}
}

// TestDirectoryIsUpToDate: no change is missed, however soon it follows a look.
func TestDirectoryIsUpToDate(t *testing.T) {
	w := newWorld(t, "iptables-nft", "1")
	red := w.create(CreateOptions{Name: "red"})
	d := w.m.Directory(red)
	spec := w.spec("n0")
	ep, err := w.m.Reserve(red, spec)
	w.must(err)
	for i := range 300 {
		wantNames(t, d, fmt.Sprint("n", i), ep.IP.String())
		w.must(w.m.Rename(red, spec.ContainerID, fmt.Sprint("n", i+1)))
		if i%100 == 99 {
			time.Sleep(2 * settled) // now a look is trusted
			wantNames(t, d, fmt.Sprint("n", i+1), ep.IP.String())
			if d.stamp.IsZero() {
				t.Error("the records are read at each look")
			}
		}
	}
}

// TestDefaultNetworkHasNoNames, as with Docker.
func TestDefaultNetworkHasNoNames(t *testing.T) {
	w := newWorld(t, "iptables-nft", "1")
	n := w.find(Bridge)
	ep, err := w.m.Reserve(n, w.spec("web"))
	w.must(err)
	defer func() { w.must(w.m.Release(ep)) }()
	if n.HasNames() || ep.DNSNames() != nil || !w.create(CreateOptions{Name: "red"}).HasNames() {
		t.Error("the default network has names, or a user's has none")
	}
}
