package dns

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// book is a Resolver of fixed names.
type book map[string][]netip.Addr

func (b book) Addrs(name string) ([]netip.Addr, bool) {
	addrs, ok := b[name]
	return addrs, ok
}

func (b book) Name(addr netip.Addr) string {
	for name, addrs := range b {
		if len(addrs) == 1 && addrs[0] == addr {
			return name + ".red"
		}
	}
	return ""
}

func addrs(texts ...string) []netip.Addr {
	out := make([]netip.Addr, 0, len(texts))
	for _, s := range texts {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// testServer is a server on the loopback.
type testServer struct {
	*Server
	t    *testing.T
	addr netip.AddrPort
}

// listen opens a UDP and a TCP socket at one port.
func listen(t *testing.T) (*net.UDPConn, net.Listener) {
	t.Helper()
	for range 20 {
		udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := net.Listen("tcp4", udp.LocalAddr().String())
		if err == nil {
			return udp, tcp
		}
		udp.Close()
	}
	t.Fatal("no port is free for UDP and TCP")
	return nil, nil
}

func start(t *testing.T, names Resolver, change ...func(*Server)) *testServer {
	t.Helper()
	udp, tcp := listen(t)
	s := New(names)
	for _, c := range change {
		c(s)
	}
	s.Serve(udp, tcp)
	t.Cleanup(s.Close)
	return &testServer{s, t, udp.LocalAddr().(*net.UDPAddr).AddrPort()}
}

// asking makes the bytes of a query. size over 0 adds EDNS.
func asking(t testing.TB, name string, kind dnsmessage.Type, size int) []byte {
	t.Helper()
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: 4711, RecursionDesired: true})
	b.EnableCompression()
	err := b.StartQuestions()
	if err == nil {
		err = b.Question(dnsmessage.Question{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET})
	}
	if err == nil && size > 0 {
		var h dnsmessage.ResourceHeader
		if err = b.StartAdditionals(); err == nil {
			if err = h.SetEDNS0(size, 0, false); err == nil {
				err = b.OPTResource(h, dnsmessage.OPTResource{})
			}
		}
	}
	msg, last := b.Finish()
	if err != nil || last != nil {
		t.Fatal(err, last)
	}
	return msg
}

// exchangeRaw sends bytes and gives the answer, nil when none comes.
func (s *testServer) exchangeRaw(network string, msg []byte, patience time.Duration) []byte {
	s.t.Helper()
	conn, err := net.Dial(network, s.addr.String())
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	if network == "tcp" {
		if got, err := overTCP(conn, msg); err == nil {
			return got
		}
		return nil
	}
	if _, err := conn.Write(msg); err != nil {
		return nil
	}
	buf := make([]byte, 65535)
	n, err := conn.Read(buf)
	if err != nil {
		return nil
	}
	return buf[:n]
}

func (s *testServer) ask(network, name string, kind dnsmessage.Type, size int) dnsmessage.Message {
	s.t.Helper()
	var m dnsmessage.Message
	raw := s.exchangeRaw(network, asking(s.t, name, kind, size), 20*time.Second)
	if raw == nil {
		s.t.Fatalf("no answer for %s over %s", name, network)
	}
	if err := m.Unpack(raw); err != nil {
		s.t.Fatalf("the answer for %s over %s: %v", name, network, err)
	}
	if m.ID != 4711 || !m.Response {
		s.t.Errorf("the answer for %s over %s has the header %v", name, network, m.Header)
	}
	return m
}

// upstream is a name server that does with each query what handle says. A nil
// answer is none.
type upstream struct {
	addr     netip.AddrPort
	udp, tcp atomic.Int32 // queries that came
}

func startUpstream(t *testing.T, handle func(network string, query []byte) [][]byte) *upstream {
	t.Helper()
	udp, tcp := listen(t)
	u := &upstream{addr: udp.LocalAddr().(*net.UDPAddr).AddrPort()}
	t.Cleanup(func() { udp.Close(); tcp.Close() })
	go func() {
		buf := make([]byte, 65535)
		for {
			n, from, err := udp.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			u.udp.Add(1)
			for _, msg := range handle("udp", append([]byte(nil), buf[:n]...)) {
				_, _ = udp.WriteToUDPAddrPort(msg, from)
			}
		}
	}()
	go func() {
		for {
			conn, err := tcp.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				query, err := readTCP(conn)
				if err != nil {
					return
				}
				u.tcp.Add(1)
				for _, msg := range handle("tcp", query) {
					_ = writeTCP(conn, msg)
				}
			}()
		}
	}()
	return u
}

// answering gives an answer to a query with n addresses, 198.51.100.1 first.
func answering(query []byte, code dnsmessage.RCode, n int) []byte {
	q, _, ok := parseQuery(query)
	if !ok {
		return nil
	}
	msg, _ := q.reply(code, func(b *dnsmessage.Builder) error {
		for i := range n {
			h := dnsmessage.ResourceHeader{Name: q.question.Name, Class: dnsmessage.ClassINET, TTL: 60}
			if err := b.AResource(h, dnsmessage.AResource{A: [4]byte{198, 51, byte(100 + i>>8), byte(i + 1)}}); err != nil {
				return err
			}
		}
		return nil
	})
	return msg
}

func askUpstreams(list ...*upstream) func(*Server) {
	return func(s *Server) {
		s.Upstreams = func() []Upstream {
			var out []Upstream
			for _, u := range list {
				out = append(out, Upstream{Addr: u.addr})
			}
			return out
		}
	}
}

// dead gives an upstream that takes queries and never answers.
func dead(t *testing.T) *upstream {
	return startUpstream(t, func(string, []byte) [][]byte { return nil })
}

func withID(msg []byte, id uint16) []byte {
	msg = append([]byte(nil), msg...)
	binary.BigEndian.PutUint16(msg, id)
	return msg
}
