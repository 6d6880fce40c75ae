package dns

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// MaxUpstreams is how many servers are asked for one query, as in a
	// resolv.conf.
	MaxUpstreams = 3
	// upstreamTimeout is the time that one server has, over UDP and TCP together.
	upstreamTimeout = 4 * time.Second
)

// Upstream is a server that is asked for names that are not ours.
type Upstream struct {
	Addr netip.AddrPort
	// Dial connects to it. Nil means: as usual.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// forward asks one server after the other. When none of them answers, the
// answer is that there is none.
func (s *Server) forward(q *query, network string) []byte {
	if s.Upstreams == nil {
		return q.failure(dnsmessage.RCodeServerFailure)
	}
	servers := s.Upstreams()
	for _, u := range servers[:min(len(servers), MaxUpstreams)] {
		ctx, cancel := context.WithTimeout(s.ctx, upstreamTimeout)
		msg, err := u.ask(ctx, q, network)
		cancel()
		if err != nil {
			continue // dead or confused: the next one
		}
		setID(msg, q.header.ID)
		return msg
	}
	return q.failure(dnsmessage.RCodeServerFailure)
}

var errRefused = errors.New("the server refuses to answer, or failed")

// ask sends the query to one server and wants an answer that helps.
func (u Upstream) ask(ctx context.Context, q *query, network string) ([]byte, error) {
	msg, err := u.fetch(ctx, q, network)
	if err != nil {
		return nil, err
	}
	switch dnsmessage.RCode(msg[3] & 0x0f) {
	case dnsmessage.RCodeServerFailure, dnsmessage.RCodeRefused:
		return nil, errRefused
	}
	return msg, nil
}

// fetch asks as the client did. What does not fit into a datagram is asked for
// again over TCP, and a server that has no TCP is asked over UDP all the same:
// what it sends is then better than nothing.
func (u Upstream) fetch(ctx context.Context, q *query, network string) ([]byte, error) {
	if network == "tcp" {
		if msg, err := u.withinHalf(ctx, q); err == nil {
			return msg, nil
		}
		return u.exchange(ctx, q, "udp")
	}
	msg, err := u.exchange(ctx, q, "udp")
	if err == nil && msg[2]&flagTC != 0 {
		if whole, err := u.withinHalf(ctx, q); err == nil {
			return whole, nil
		}
	}
	return msg, err
}

// withinHalf asks over TCP in half of a server's time: a firewall may swallow
// what goes there.
func (u Upstream) withinHalf(ctx context.Context, q *query) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, upstreamTimeout/2)
	defer cancel()
	return u.exchange(ctx, q, "tcp")
}

// exchange sends a query and waits for the answer to it. The source port and
// the id are chosen anew for each, so that they cannot be guessed.
func (u Upstream) exchange(ctx context.Context, q *query, network string) ([]byte, error) {
	dial := u.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, u.Addr.String())
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", u.Addr, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	id := uint16(rand.Uint32()) // ChaCha8, seeded by the kernel
	msg := append([]byte(nil), q.raw...)
	setID(msg, id)
	if network == "tcp" {
		msg, err = overTCP(conn, msg)
	} else {
		msg, err = overUDP(conn, msg, func(msg []byte) bool { return q.answeredBy(msg, id) })
	}
	if err == nil && !q.answeredBy(msg, id) {
		err = errors.New("the answer is to another question")
	}
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", u.Addr, err)
	}
	return msg, nil
}

func overTCP(conn net.Conn, msg []byte) ([]byte, error) {
	if err := writeTCP(conn, msg); err != nil {
		return nil, err
	}
	return readTCP(conn)
}

// overUDP waits for a datagram that is an answer, and passes over all others.
func overUDP(conn net.Conn, msg []byte, answer func([]byte) bool) ([]byte, error) {
	if _, err := conn.Write(msg); err != nil {
		return nil, err
	}
	buf := make([]byte, udpSize+1)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		if msg := buf[:n]; answer(msg) {
			if n > udpSize {
				msg[2] |= flagTC // the kernel cut it
			}
			return msg, nil
		}
	}
}
