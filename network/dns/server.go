package dns

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// What clients can make a server do at once.
const (
	maxForwards = 256 // queries that wait for other servers
	maxConns    = 64  // TCP connections
	// connTimeout is how long a TCP connection may be idle, or an answer stuck.
	connTimeout = 10 * time.Second
)

// Server answers queries. Set its fields before Serve.
type Server struct {
	// Upstreams gives the servers to ask for other names, in order, at this
	// moment. Only the first [MaxUpstreams] are asked. Nil means none.
	Upstreams func() []Upstream
	// KeepBareNames says that unknown names without a dot are not asked of
	// others: the client's search list is to be tried.
	KeepBareNames bool

	names  Resolver
	turn   atomic.Uint64
	slots  chan struct{} // one for each query that waits for others
	conns  chan struct{} // one for each TCP connection
	ctx    context.Context
	cancel context.CancelFunc
	busy   sync.WaitGroup
}

// New gives a server for these names.
func New(names Resolver) *Server {
	s := &Server{names: names, slots: make(chan struct{}, maxForwards), conns: make(chan struct{}, maxConns)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Serve begins to answer on the sockets, which it takes over, and returns.
func (s *Server) Serve(udp *net.UDPConn, tcp net.Listener) {
	context.AfterFunc(s.ctx, func() {
		_ = udp.Close()
		_ = tcp.Close()
	})
	s.busy.Go(func() { s.serveUDP(udp) })
	s.busy.Go(func() { s.serveTCP(tcp) })
}

// Close ends all that the server does, and returns when no socket is left. Only
// the first call has an effect.
func (s *Server) Close() {
	s.cancel()
	s.busy.Wait()
}

func (s *Server) serveUDP(conn *net.UDPConn) {
	defer conn.Close()
	buf := make([]byte, udpSize)
	for {
		n, client, err := conn.ReadFromUDPAddrPort(buf)
		if s.ctx.Err() != nil {
			return
		}
		if err != nil {
			s.pause() // out of memory, say: the next may be better
			continue
		}
		s.answerUDP(conn, client, buf[:n])
	}
}

// answerUDP answers at once what can be, and lets others be asked meanwhile.
func (s *Server) answerUDP(conn *net.UDPConn, client netip.AddrPort, raw []byte) {
	q, msg := s.understand(raw)
	send := func(msg []byte) {
		// Lost or refused: the client asks again, as for every lost datagram.
		_, _ = conn.WriteToUDPAddrPort(cut(msg, q.limit), client)
	}
	switch {
	case q == nil:
	case msg != nil:
		send(msg)
	case !s.enter(s.slots):
		send(q.failure(dnsmessage.RCodeServerFailure))
	default:
		q.raw = append([]byte(nil), raw...) // the buffer takes the next one
		s.busy.Go(func() {
			defer s.leave(s.slots)
			send(s.forward(q, "udp"))
		})
	}
}

// understand gives a query and the answer to it, if no other server is needed.
// A nil query is to be passed over.
func (s *Server) understand(raw []byte) (*query, []byte) {
	q, code, ok := parseQuery(raw)
	if !ok {
		return nil, nil
	}
	if code != dnsmessage.RCodeSuccess {
		return q, q.failure(code)
	}
	return q, s.local(q)
}

func (s *Server) serveTCP(l net.Listener) {
	defer l.Close()
	for {
		conn, err := l.Accept()
		if s.ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return
		}
		switch {
		case err != nil:
			s.pause() // out of descriptors, say
		case !s.enter(s.conns):
			conn.Close()
		default:
			s.busy.Go(func() {
				defer s.leave(s.conns)
				s.serveConn(conn)
			})
		}
	}
}

// serveConn answers the queries of one connection, one after the other.
func (s *Server) serveConn(conn net.Conn) {
	stop := context.AfterFunc(s.ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	for {
		if conn.SetDeadline(time.Now().Add(connTimeout)) != nil {
			return
		}
		raw, err := readTCP(conn)
		if err != nil {
			return
		}
		q, msg := s.understand(raw)
		if q == nil {
			return
		}
		if msg == nil {
			msg = s.forwardTCP(q)
		}
		msg = cut(msg, math.MaxUint16)
		if conn.SetDeadline(time.Now().Add(connTimeout)) != nil || writeTCP(conn, msg) != nil {
			return
		}
	}
}

func (s *Server) forwardTCP(q *query) []byte {
	if !s.enter(s.slots) {
		return q.failure(dnsmessage.RCodeServerFailure)
	}
	defer s.leave(s.slots)
	return s.forward(q, "tcp")
}

func (s *Server) enter(c chan struct{}) bool {
	select {
	case c <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s *Server) leave(c chan struct{}) { <-c }

// pause keeps a socket that fails from using a processor up.
func (s *Server) pause() {
	select {
	case <-time.After(100 * time.Millisecond):
	case <-s.ctx.Done():
	}
}

// readTCP reads one message with its length before it, RFC 1035, section 4.2.2.
func readTCP(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	msg := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, msg)
	return msg, err
}

func writeTCP(w io.Writer, msg []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...))
	return err
}
