package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func serverOf(t *testing.T, code dnsmessage.RCode, n int) *upstream {
	return startUpstream(t, func(_ string, q []byte) [][]byte { return [][]byte{answering(q, code, n)} })
}

// TestForward: the first server that has an answer gives it. One that refuses
// or fails is no answer, one that knows that there is no such name is.
func TestForward(t *testing.T) {
	good, failing, refusing := serverOf(t, 0, 2), serverOf(t, dnsmessage.RCodeServerFailure, 0), serverOf(t, dnsmessage.RCodeRefused, 0)
	knowing := serverOf(t, dnsmessage.RCodeNameError, 0)
	for name, c := range map[string]struct {
		servers []*upstream
		code    dnsmessage.RCode
		answers int
	}{
		"one":         {[]*upstream{good}, 0, 2},
		"failing":     {[]*upstream{failing, good}, 0, 2},
		"refusing":    {[]*upstream{refusing, good}, 0, 2},
		"no such":     {[]*upstream{knowing, good}, dnsmessage.RCodeNameError, 0},
		"all failing": {[]*upstream{failing, refusing}, dnsmessage.RCodeServerFailure, 0},
		"none":        {nil, dnsmessage.RCodeServerFailure, 0},
		"the fourth":  {[]*upstream{failing, failing, failing, good}, dnsmessage.RCodeServerFailure, 0},
	} {
		s := start(t, book{}, askUpstreams(c.servers...))
		for _, network := range []string{"udp", "tcp"} {
			m := s.ask(network, "www.example.", dnsmessage.TypeA, 0)
			if m.RCode != c.code || len(m.Answers) != c.answers {
				t.Errorf("%s over %s: got %v with %d answers, want %v with %d", name, network, m.RCode, len(m.Answers), c.code, c.answers)
			}
		}
	}
	if good.tcp.Load() == 0 || good.udp.Load() == 0 {
		t.Errorf("asked %d times over UDP and %d times over TCP: want both", good.udp.Load(), good.tcp.Load())
	}
}

// TestKnownNamesAreNotForwarded, for no type of record.
func TestKnownNamesAreNotForwarded(t *testing.T) {
	u := serverOf(t, 0, 1)
	s := start(t, resolverOfThree(), askUpstreams(u))
	for _, kind := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeTXT, dnsmessage.TypeALL} {
		s.ask("udp", "web.", kind, 0)
	}
	s.ask("udp", "2.0.0.10.in-addr.arpa.", dnsmessage.TypePTR, 0)
	if n := u.udp.Load(); n != 0 {
		t.Errorf("%d questions left", n)
	}
}

// TestBareNames: with KeepBareNames, names without a dot stay here.
func TestBareNames(t *testing.T) {
	u := serverOf(t, 0, 1)
	s := start(t, book{}, askUpstreams(u), func(s *Server) { s.KeepBareNames = true })
	if m := s.ask("udp", "printer.", dnsmessage.TypeA, 0); m.RCode != 0 || len(m.Answers) != 0 || u.udp.Load() != 0 {
		t.Errorf("a bare name: %v, asked %d times", m, u.udp.Load())
	}
	if m := s.ask("udp", "printer.example.", dnsmessage.TypeA, 0); len(m.Answers) != 1 {
		t.Errorf("a name with a dot: %v", m)
	}
}

// TestTruncation: an answer that does not fit into a datagram is fetched over
// TCP, and the client gets what it takes.
func TestTruncation(t *testing.T) {
	const n = 100
	u := startUpstream(t, func(network string, q []byte) [][]byte {
		msg := answering(q, 0, n)
		if network == "udp" {
			msg = cut(msg, 512)
		}
		return [][]byte{msg}
	})
	s := start(t, book{}, askUpstreams(u))
	if m := s.ask("udp", "big.example.", dnsmessage.TypeA, 4096); m.Truncated || len(m.Answers) != n {
		t.Errorf("a client that takes 4096 bytes: %d answers, cut %v", len(m.Answers), m.Truncated)
	}
	if m := s.ask("udp", "big.example.", dnsmessage.TypeA, 0); !m.Truncated || len(m.Answers) < 20 || len(m.Answers) >= n {
		t.Errorf("a client that takes 512 bytes: %d answers, cut %v", len(m.Answers), m.Truncated)
	}
	if m := s.ask("tcp", "big.example.", dnsmessage.TypeA, 0); m.Truncated || len(m.Answers) != n {
		t.Errorf("over TCP: %d answers, cut %v", len(m.Answers), m.Truncated)
	}
	if u.tcp.Load() != 3 || u.udp.Load() != 2 {
		t.Errorf("asked %d times over UDP and %d times over TCP, want 2 and 3", u.udp.Load(), u.tcp.Load())
	}
}

// TestLargeDatagram: what the kernel had to cut is fetched over TCP as well.
func TestLargeDatagram(t *testing.T) {
	u := startUpstream(t, func(_ string, q []byte) [][]byte { return [][]byte{answering(q, 0, 500)} })
	s := start(t, book{}, askUpstreams(u))
	if m := s.ask("udp", "huge.example.", dnsmessage.TypeA, 16000); len(m.Answers) != 500 || u.tcp.Load() != 1 {
		t.Errorf("%d answers, asked %d times over TCP", len(m.Answers), u.tcp.Load())
	}
}

// TestTCPOfUpstreamFails: then the cut answer is better than none.
func TestTCPOfUpstreamFails(t *testing.T) {
	u := startUpstream(t, func(network string, q []byte) [][]byte {
		if network == "tcp" {
			return nil
		}
		return [][]byte{cut(answering(q, 0, 100), 512)}
	})
	s := start(t, book{}, askUpstreams(u))
	if m := s.ask("udp", "big.example.", dnsmessage.TypeA, 4096); !m.Truncated || len(m.Answers) < 20 {
		t.Errorf("%d answers, cut %v", len(m.Answers), m.Truncated)
	}
}

// TestServerWithoutTCP: it is asked over UDP for a client that comes over TCP,
// as one does whose answer was cut.
func TestServerWithoutTCP(t *testing.T) {
	u := startUpstream(t, func(network string, q []byte) [][]byte {
		if network == "tcp" {
			return nil
		}
		return [][]byte{answering(q, 0, 100)} // too long for most, and it does not say so
	})
	s := start(t, book{}, askUpstreams(u))
	if m := s.ask("udp", "big.example.", dnsmessage.TypeA, 0); !m.Truncated {
		t.Errorf("a client that takes 512 bytes: %d answers, cut %v", len(m.Answers), m.Truncated)
	}
	if m := s.ask("tcp", "big.example.", dnsmessage.TypeA, 0); len(m.Answers) != 100 || m.Truncated {
		t.Errorf("over TCP: %d answers, cut %v", len(m.Answers), m.Truncated)
	}
}

// TestForgedAnswers: other ids, other questions and rubbish are passed over.
func TestForgedAnswers(t *testing.T) {
	u := startUpstream(t, func(_ string, q []byte) [][]byte {
		id := binary.BigEndian.Uint16(q)
		other := asking(t, "other.example.", dnsmessage.TypeA, 0)
		return [][]byte{
			[]byte("x"), q, // a query is no answer
			withID(answering(q, 0, 9), id+1), withID(answering(other, 0, 9), id),
			withID(answering(asking(t, "www.example.", dnsmessage.TypeAAAA, 0), 0, 9), id),
			answering(q, 0, 1),
		}
	})
	s := start(t, book{}, askUpstreams(u))
	if m := s.ask("udp", "www.example.", dnsmessage.TypeA, 0); len(m.Answers) != 1 {
		t.Errorf("took a forged answer: %v", m)
	}
}

// TestIDsDiffer: the id sent on is not the client's, nor twice the same.
func TestIDsDiffer(t *testing.T) {
	ids := make(chan uint16, 20)
	u := startUpstream(t, func(_ string, q []byte) [][]byte {
		ids <- binary.BigEndian.Uint16(q)
		return [][]byte{answering(q, 0, 1)}
	})
	s := start(t, book{}, askUpstreams(u))
	seen := map[uint16]bool{}
	for range 20 {
		s.ask("udp", "www.example.", dnsmessage.TypeA, 0)
		seen[<-ids] = true
	}
	if len(seen) < 15 { // 20 of 65536: two alike are rare
		t.Errorf("20 queries had %d ids", len(seen))
	}
}

// TestDeadServers: one takes its time, and no more; all together too.
func TestDeadServers(t *testing.T) {
	t.Parallel()
	good := serverOf(t, 0, 1)
	s := start(t, book{}, askUpstreams(dead(t), good))
	begin := time.Now()
	m := s.ask("udp", "www.example.", dnsmessage.TypeA, 0)
	if d := time.Since(begin); len(m.Answers) != 1 || d < upstreamTimeout-time.Second || d > upstreamTimeout+time.Second {
		t.Errorf("%d answers after %v", len(m.Answers), d)
	}
	// Local names are answered meanwhile: see TestSlotsAreBounded.
}

func TestAllDead(t *testing.T) {
	t.Parallel()
	d := dead(t)
	s := start(t, book{}, askUpstreams(d, d, d, d))
	begin := time.Now()
	m := s.ask("udp", "www.example.", dnsmessage.TypeA, 0)
	if took := time.Since(begin); m.RCode != dnsmessage.RCodeServerFailure || took > MaxUpstreams*upstreamTimeout+time.Second {
		t.Errorf("got %v after %v", m.RCode, took)
	}
}

// TestSlotsAreBounded: with all slots taken by a dead server, further queries
// are told at once, and local names are answered.
func TestSlotsAreBounded(t *testing.T) {
	s := start(t, resolverOfThree(), askUpstreams(dead(t)))
	conn, err := net.Dial("udp", s.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	begin := time.Now()
	for i := range maxForwards {
		if _, err := conn.Write(asking(t, "slow.example.", dnsmessage.TypeA, 0)); err != nil {
			t.Fatal(err)
		}
		for len(s.slots) <= i { // else the socket's buffer overflows
			if time.Since(begin) > upstreamTimeout-time.Second {
				t.Fatalf("%d slots are taken", len(s.slots))
			}
			time.Sleep(10 * time.Microsecond)
		}
	}
	for _, network := range []string{"udp", "tcp"} {
		if m := s.ask(network, "more.example.", dnsmessage.TypeA, 0); m.RCode != dnsmessage.RCodeServerFailure {
			t.Errorf("got %v", m)
		}
		if m := s.ask(network, "web.", dnsmessage.TypeA, 0); len(m.Answers) != 1 {
			t.Errorf("a local name: %v", m)
		}
	}
	if d := time.Since(begin); d >= upstreamTimeout {
		t.Errorf("that took %v", d)
	}
}

// TestDial: servers are reached as the caller says.
func TestDial(t *testing.T) {
	u, calls := serverOf(t, 0, 1), 0
	s := start(t, book{}, func(s *Server) {
		s.Upstreams = func() []Upstream {
			return []Upstream{
				{Addr: u.addr, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no way") }},
				{Addr: u.addr, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
					calls++
					return new(net.Dialer).DialContext(ctx, network, addr)
				}},
			}
		}
	})
	if m := s.ask("udp", "www.example.", dnsmessage.TypeA, 0); len(m.Answers) != 1 || calls != 1 {
		t.Errorf("%d answers, dialled %d times", len(m.Answers), calls)
	}
}
