package integration

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/minirt/mini/integration/host"
)

// nameServer is a name server somewhere around a private host. It answers every
// question for an address with its own mark, and counts.
type nameServer struct {
	asked atomic.Int32
	mark  [4]byte
	large atomic.Bool // 100 answers: too many for a datagram
	tcp   atomic.Int32
}

// serveNames starts one on the address, port 53. in calls a function in the
// namespace where it is to be.
func serveNames(t testing.TB, in func(func() error) error, addr string) *nameServer {
	t.Helper()
	s := &nameServer{mark: netip.MustParseAddr(addr).As4()}
	var udp net.PacketConn
	var tcp net.Listener
	err := in(func() (err error) {
		if udp, err = net.ListenPacket("udp4", addr+":53"); err != nil {
			return err
		}
		tcp, err = net.Listen("tcp4", addr+":53")
		return err
	})
	if err != nil {
		t.Fatalf("a name server on %s: %v", addr, err)
	}
	t.Cleanup(func() { udp.Close(); tcp.Close() })
	go s.serveUDP(udp)
	go s.serveTCP(tcp)
	return s
}

func (s *nameServer) serveUDP(conn net.PacketConn) {
	buf := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		s.asked.Add(1)
		if msg := s.answer(buf[:n], s.large.Load()); msg != nil {
			_, _ = conn.WriteTo(msg, from)
		}
	}
}

func (s *nameServer) serveTCP(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		s.asked.Add(1)
		s.tcp.Add(1)
		go func() {
			defer conn.Close()
			var size [2]byte
			if _, err := io.ReadFull(conn, size[:]); err != nil {
				return
			}
			query := make([]byte, binary.BigEndian.Uint16(size[:]))
			if _, err := io.ReadFull(conn, query); err != nil {
				return
			}
			msg := s.answer(query, false)
			_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...))
		}()
	}
}

// answer gives the mark, or 100 addresses when it is large. One that is cut has
// none and says so.
func (s *nameServer) answer(query []byte, cut bool) []byte {
	var q dnsmessage.Message
	if q.Unpack(query) != nil || len(q.Questions) != 1 {
		return nil
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: q.ID, Response: true, RecursionAvailable: true, Truncated: cut},
		Questions: q.Questions,
	}
	n := 1
	if s.large.Load() {
		n = 100
	}
	for i := range n {
		if cut || q.Questions[0].Type != dnsmessage.TypeA {
			break
		}
		a := s.mark
		a[2] += byte(i)
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: 60},
			Body:   &dnsmessage.AResource{A: a},
		})
	}
	msg, err := m.Pack()
	if err != nil {
		return nil
	}
	return msg
}

// lookup asks the container's name server for the IPv4 addresses of a name, as a
// program in it would, once. The error is the server's code, or that none came.
func lookup(h *host.Host, pid int, name string) (string, error) {
	m, err := askIn(h, pid, "127.0.0.11:53", name, dnsmessage.TypeA)
	var texts []string
	for _, r := range m.Answers {
		if a, ok := r.Body.(*dnsmessage.AResource); ok {
			texts = append(texts, netip.AddrFrom4(a.A).String())
		}
	}
	slices.Sort(texts)
	return strings.Join(texts, " "), err
}

// errNoAddress says that the name exists, without an address.
var errNoAddress = errors.New("no address")

// codeError is an answer that is an error.
type codeError dnsmessage.RCode

func (e codeError) Error() string { return dnsmessage.RCode(e).String() }

// askIn asks a server in a container's namespace, over UDP, and over TCP when
// the answer does not fit.
func askIn(h *host.Host, pid int, server, name string, kind dnsmessage.Type) (dnsmessage.Message, error) {
	m, err := askOver(h, pid, "udp", server, name, kind)
	if err == nil && m.Truncated {
		m, err = askOver(h, pid, "tcp", server, name, kind)
	}
	if err == nil && m.RCode != 0 {
		err = codeError(m.RCode)
	}
	if err == nil && len(m.Answers) == 0 {
		err = errNoAddress
	}
	return m, err
}

func askOver(h *host.Host, pid int, network, server, name string, kind dnsmessage.Type) (m dnsmessage.Message, err error) {
	var conn net.Conn
	if err := h.InNetnsOf(pid, func() (err error) { conn, err = net.DialTimeout(network, server, patience); return err }); err != nil {
		return m, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		return m, err
	}
	q := dnsmessage.Message{Header: dnsmessage.Header{ID: 4711, RecursionDesired: true}, Questions: []dnsmessage.Question{
		{Name: dnsmessage.MustNewName(name + "."), Type: kind, Class: dnsmessage.ClassINET},
	}}
	msg, err := q.Pack()
	if err != nil {
		return m, err
	}
	if network == "tcp" {
		msg = append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)
	}
	if _, err := conn.Write(msg); err != nil {
		return m, err
	}
	buf := make([]byte, 65535)
	n, err := conn.Read(buf)
	if err != nil {
		return m, err
	}
	if network == "tcp" {
		size := 2 + int(binary.BigEndian.Uint16(buf))
		if _, err := io.ReadFull(conn, buf[n:max(n, size)]); err != nil {
			return m, err
		}
		return m, m.Unpack(buf[2:size])
	}
	return m, m.Unpack(buf[:n])
}

// wantName checks what a container is told of a name.
func wantName(t testing.TB, h *host.Host, pid int, name, want string) {
	t.Helper()
	if got, err := lookup(h, pid, name); got != want || err != nil {
		t.Errorf("%s: got %q, error %v, want %q", name, got, err, want)
	}
}

// wantNoName checks that a container gets no address for a name, but an answer.
func wantNoName(t testing.TB, h *host.Host, pid int, name string) {
	t.Helper()
	got, err := lookup(h, pid, name)
	var code codeError
	if !errors.Is(err, errNoAddress) && !errors.As(err, &code) {
		t.Errorf("%s: got %q, error %v, want none", name, got, err)
	}
}

func ipOf(t testing.TB, h *host.Host, container, network string) string {
	t.Helper()
	return must(t, h.Run("inspect", "-f", "{{(index .NetworkSettings.Networks \""+network+"\").IPAddress}}", container))
}
