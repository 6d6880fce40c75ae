package dns

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func resolverOfThree() book {
	return book{
		"web": addrs("10.0.0.2"), "db": addrs("10.0.0.3", "10.0.0.4", "10.0.0.5"),
		"six": addrs("fd00::6"), "dual": addrs("10.0.0.7", "fd00::7"), "nothing": nil,
	}
}

// TestLocalNames: what the resolver knows, over UDP and TCP, with and without EDNS.
func TestLocalNames(t *testing.T) {
	s := start(t, resolverOfThree())
	for _, c := range []struct {
		name string
		kind dnsmessage.Type
		want []string
		code dnsmessage.RCode
	}{
		{"web.", dnsmessage.TypeA, []string{"10.0.0.2"}, 0},
		{"WeB.", dnsmessage.TypeA, []string{"10.0.0.2"}, 0},
		{"web.", dnsmessage.TypeAAAA, nil, 0},
		{"web.", dnsmessage.TypeMX, nil, 0},
		{"web.", dnsmessage.Type(65), nil, 0}, // HTTPS, RFC 9460
		{"six.", dnsmessage.TypeAAAA, []string{"fd00::6"}, 0},
		{"six.", dnsmessage.TypeA, nil, 0},
		{"dual.", dnsmessage.TypeA, []string{"10.0.0.7"}, 0},
		{"dual.", dnsmessage.TypeAAAA, []string{"fd00::7"}, 0},
		{"nothing.", dnsmessage.TypeA, nil, 0},
		{"2.0.0.10.in-addr.arpa.", dnsmessage.TypePTR, []string{"web.red."}, 0},
		{"6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.D.F.ip6.arpa.", dnsmessage.TypePTR, []string{"six.red."}, 0},
		{"9.0.0.10.in-addr.arpa.", dnsmessage.TypePTR, nil, dnsmessage.RCodeServerFailure},
		{"unknown.", dnsmessage.TypeA, nil, dnsmessage.RCodeServerFailure},
		{"web.example.", dnsmessage.TypeA, nil, dnsmessage.RCodeServerFailure},
		{".", dnsmessage.TypeNS, nil, dnsmessage.RCodeServerFailure},
	} {
		for _, network := range []string{"udp", "tcp"} {
			for _, size := range []int{0, 1232} {
				m := s.ask(network, c.name, c.kind, size)
				got := records(t, m)
				if !slices.Equal(got, c.want) || m.RCode != c.code {
					t.Errorf("%s %s over %s: got %v %v, want %v %v", c.name, c.kind, network, got, m.RCode, c.want, c.code)
				}
				if len(m.Questions) != 1 || m.Questions[0].Name.String() != c.name || !m.RecursionAvailable || !m.RecursionDesired {
					t.Errorf("%s: the answer is %v", c.name, m)
				}
				if edns := len(m.Additionals) == 1; edns != (size > 0) {
					t.Errorf("%s: asked with EDNS %v, answered with %v", c.name, size > 0, edns)
				}
			}
		}
	}
}

// records gives the data of the answers, all of which must have no time to live.
func records(t *testing.T, m dnsmessage.Message) []string {
	t.Helper()
	var out []string
	for _, r := range m.Answers {
		if r.Header.TTL != 0 {
			t.Errorf("%v may be kept for %d s", r, r.Header.TTL)
		}
		switch b := r.Body.(type) {
		case *dnsmessage.AResource:
			out = append(out, netip.AddrFrom4(b.A).String())
		case *dnsmessage.AAAAResource:
			out = append(out, netip.AddrFrom16(b.AAAA).String())
		case *dnsmessage.PTRResource:
			out = append(out, b.PTR.String())
		default:
			t.Errorf("unexpected answer %v", r)
		}
	}
	return out
}

// TestRoundRobin: each of several addresses comes first in turn, and all come.
func TestRoundRobin(t *testing.T) {
	s := start(t, resolverOfThree())
	first := map[string]int{}
	for range 9 {
		got := records(t, s.ask("udp", "db.", dnsmessage.TypeA, 0))
		first[got[0]]++
		slices.Sort(got)
		if want := []string{"10.0.0.3", "10.0.0.4", "10.0.0.5"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	for a, n := range first {
		if n != 3 {
			t.Errorf("%s came first %d times of 9, want 3", a, n)
		}
	}
}

// TestManyAddresses: over UDP the answer is cut to what the client takes, and
// says so; over TCP it is whole.
func TestManyAddresses(t *testing.T) {
	b := book{}
	for i := range 200 {
		b["many"] = append(b["many"], netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}))
	}
	for i := range 5000 {
		b["huge"] = append(b["huge"], netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}))
	}
	s := start(t, b)
	for _, c := range []struct {
		network, name string
		size          int
		truncated     bool
		least         int
	}{
		{"udp", "many.", 0, true, 29}, {"udp", "many.", 1232, true, 70}, {"udp", "many.", 4096, false, 200}, {"tcp", "many.", 0, false, 200},
		{"udp", "huge.", 65535, true, 4000}, {"tcp", "huge.", 0, true, 4000},
	} {
		m := s.ask(c.network, c.name, dnsmessage.TypeA, c.size)
		if m.Truncated != c.truncated || len(m.Answers) < c.least {
			t.Errorf("%s over %s, size %d: %d answers, cut %v; want %d or more, cut %v", c.name, c.network, c.size, len(m.Answers), m.Truncated, c.least, c.truncated)
		}
	}
}

// TestBadQueries are answered with the error they are, or not at all.
func TestBadQueries(t *testing.T) {
	s := start(t, resolverOfThree())
	good := asking(t, "web.", dnsmessage.TypeA, 0)
	status := append([]byte(nil), good...)
	status[2] |= 2 << 3 // another operation
	answer := append([]byte(nil), good...)
	answer[2] |= flagResponse
	none := append([]byte(nil), good[:headerSize]...)
	binary.BigEndian.PutUint16(none[4:], 0)
	two := append([]byte(nil), good...)
	binary.BigEndian.PutUint16(two[4:], 2)
	two = append(two, good[headerSize:]...)
	for name, c := range map[string]struct {
		msg  []byte
		code dnsmessage.RCode // of the answer
		any  bool             // there is one
	}{
		"short":            {good[:11], 0, false},
		"empty":            {nil, 0, false},
		"an answer":        {answer, 0, false},
		"other operation":  {status, dnsmessage.RCodeNotImplemented, true},
		"no question":      {none, dnsmessage.RCodeFormatError, true},
		"two questions":    {two, dnsmessage.RCodeFormatError, true},
		"cut question":     {good[:len(good)-1], dnsmessage.RCodeFormatError, true},
		"endless name":     {append(append([]byte(nil), good[:headerSize]...), 0xc0, 0x0c, 0, 1, 0, 1), dnsmessage.RCodeFormatError, true},
		"rubbish after it": {append(append([]byte(nil), good...), 1, 2, 3), 0, true},
	} {
		patience := 5 * time.Second
		if !c.any {
			patience = 200 * time.Millisecond
		}
		got := s.exchangeRaw("udp", c.msg, patience)
		if (got != nil) != c.any {
			t.Errorf("%s: answer %x, want one: %v", name, got, c.any)
			continue
		}
		if c.any && (got[3]&0x0f != byte(c.code) || got[0] != good[0] || got[1] != good[1]) {
			t.Errorf("%s: answer %x, want code %v", name, got, c.code)
		}
	}
	// It goes on.
	if got := records(t, s.ask("udp", "web.", dnsmessage.TypeA, 0)); !slices.Equal(got, []string{"10.0.0.2"}) {
		t.Errorf("after all that: %v", got)
	}
}

// TestParallel: fifty lookups at once, each with its own answer.
func TestParallel(t *testing.T) {
	b := book{}
	for i := range 50 {
		b[fmt.Sprint("n", i)] = addrs(fmt.Sprint("10.0.0.", i))
	}
	s := start(t, b, askUpstreams(startUpstream(t, func(_ string, q []byte) [][]byte { return [][]byte{answering(q, 0, 1)} })))
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			network := []string{"udp", "tcp"}[i%2]
			m := s.ask(network, fmt.Sprintf("n%d.", i), dnsmessage.TypeA, 0)
			if got, want := records(t, m), []string{fmt.Sprint("10.0.0.", i)}; !slices.Equal(got, want) {
				t.Errorf("n%d: got %v, want %v", i, got, want)
			}
			m = s.ask(network, fmt.Sprintf("x%d.example.", i), dnsmessage.TypeA, 0)
			if len(m.Answers) != 1 || m.Questions[0].Name.String() != fmt.Sprintf("x%d.example.", i) {
				t.Errorf("x%d: got %v", i, m)
			}
		})
	}
	all.Wait()
}

// TestTCPConnection: several questions on one connection, and connections that
// say nothing keep nobody away for long.
func TestTCPConnection(t *testing.T) {
	s := start(t, resolverOfThree())
	conn, err := net.Dial("tcp", s.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 3 {
		msg, err := overTCP(conn, asking(t, "web.", dnsmessage.TypeA, 0))
		if err != nil || !strings.Contains(string(msg), "\x0a\x00\x00\x02") {
			t.Fatalf("got %x, error %v", msg, err)
		}
	}
}

// TestClose ends connections and queries that wait.
func TestClose(t *testing.T) {
	s := start(t, resolverOfThree(), askUpstreams(dead(t)))
	conn, err := net.Dial("udp", s.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(asking(t, "elsewhere.", dnsmessage.TypeA, 0)); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	s.Close()
	if d := time.Since(begin); d > time.Second {
		t.Errorf("closing took %v", d)
	}
	if _, err := net.Dial("tcp", s.addr.String()); err == nil {
		t.Error("it still listens")
	}
}

// FuzzQuery: no bytes make it panic, and what it answers can be read.
func FuzzQuery(f *testing.F) {
	f.Add(asking(f, "web.", dnsmessage.TypeA, 0))
	f.Add(asking(f, "2.0.0.10.in-addr.arpa.", dnsmessage.TypePTR, 4096))
	f.Add([]byte("\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"))
	s := New(resolverOfThree())
	f.Fuzz(func(t *testing.T, raw []byte) {
		q, msg := s.understand(raw)
		if q == nil {
			return
		}
		if msg == nil {
			msg = s.forward(q, "udp") // there is nobody to ask
		}
		var m dnsmessage.Message
		if err := m.Unpack(msg); err != nil {
			t.Fatalf("%x is answered with %x: %v", raw, msg, err)
		}
		if m.ID != q.header.ID || !m.Response {
			t.Fatalf("%x is answered with %v", raw, m)
		}
	})
}

// FuzzCut: a message of any bytes is cut to its limit, and one that was whole
// can still be read.
func FuzzCut(f *testing.F) {
	f.Add(answering(asking(f, "web.example.", dnsmessage.TypeA, 0), 0, 40), uint16(512))
	f.Add([]byte("\x00\x00\x80\x00\x00\x01\x00\x01\x00\x00\x00\x00\xc0"), uint16(12))
	f.Fuzz(func(t *testing.T, msg []byte, limit uint16) {
		size := max(int(limit), headerSize)
		short := cut(msg, size)
		if len(short) > size {
			t.Fatalf("%d bytes, want %d or fewer", len(short), size)
		}
		var whole, got dnsmessage.Message
		if whole.Unpack(msg) != nil {
			return
		}
		if err := got.Unpack(short); err != nil {
			t.Fatalf("%x was cut to %x: %v", msg, short, err)
		}
	})
}
