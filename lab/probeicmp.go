package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// pinger sends echo requests from a place. It hears all ICMP of the namespace, and knows
// its own by a random number.
type pinger struct {
	c  *icmp.PacketConn
	to netip.Addr
	id int
}

// reply is an answer to an echo request.
type reply struct {
	from    netip.Addr
	ttl     int
	kind    replyKind
	refusal string
}

type replyKind int

const (
	echoed replyKind = iota
	expired
	noWay
)

func (b *builder) pinger(ctx context.Context, from *place, to netip.Addr) (*pinger, error) {
	p := &pinger{to: to, id: rand.IntN(1 << 16)}
	network, any := "ip4:icmp", "0.0.0.0"
	if to.Is6() {
		network, any = "ip6:ipv6-icmp", "::"
	}
	err := b.s.do(b.m.spaceName(from), func() (err error) {
		p.c, err = icmp.ListenPacket(network, any)
		return err
	})
	if err != nil {
		return nil, err
	}
	// Without it the answer's TTL is not told.
	if to.Is4() {
		err = p.c.IPv4PacketConn().SetControlMessage(ipv4.FlagTTL, true)
	} else {
		err = p.c.IPv6PacketConn().SetControlMessage(ipv6.FlagHopLimit, true)
	}
	if end, ok := ctx.Deadline(); ok && err == nil {
		err = p.c.SetReadDeadline(end)
	}
	if err != nil {
		p.c.Close()
		return nil, err
	}
	return p, nil
}

// send sends one request. TTL 0 is the kernel's.
func (p *pinger) send(seq, ttl int) error {
	var kind icmp.Type = ipv4.ICMPTypeEcho
	if p.to.Is6() {
		kind = ipv6.ICMPTypeEchoRequest
	}
	m := icmp.Message{Type: kind, Body: &icmp.Echo{ID: p.id, Seq: seq, Data: []byte("mini lab: who is there?")}}
	data, err := m.Marshal(nil)
	if err != nil {
		return fmt.Errorf("making an echo request: %w", err)
	}
	if ttl != 0 && p.to.Is4() {
		err = p.c.IPv4PacketConn().SetTTL(ttl)
	} else if ttl != 0 {
		err = p.c.IPv6PacketConn().SetHopLimit(ttl)
	}
	if err != nil {
		return fmt.Errorf("setting the time to live to %d: %w", ttl, err)
	}
	_, err = p.c.WriteTo(data, &net.IPAddr{IP: p.to.AsSlice()})
	return err
}

// await waits for what comes back of request seq.
func (p *pinger) await(seq int) (reply, error) {
	buf := make([]byte, 1500)
	for {
		n, ttl, from, err := p.read(buf)
		if err != nil {
			return reply{}, err
		}
		if r, ok := p.understand(buf[:n], seq); ok {
			r.ttl = ttl
			if a, ok := netip.AddrFromSlice(from); ok {
				r.from = a.Unmap()
			}
			return r, nil
		}
	}
}

func (p *pinger) read(buf []byte) (n, ttl int, from net.IP, err error) {
	var src net.Addr
	if p.to.Is4() {
		var cm *ipv4.ControlMessage
		n, cm, src, err = p.c.IPv4PacketConn().ReadFrom(buf)
		if cm != nil {
			ttl = cm.TTL
		}
	} else {
		var cm *ipv6.ControlMessage
		n, cm, src, err = p.c.IPv6PacketConn().ReadFrom(buf)
		if cm != nil {
			ttl = cm.HopLimit
		}
	}
	if a, ok := src.(*net.IPAddr); ok {
		from = a.IP
	}
	return n, ttl, from, err
}

// understand tells what a message says of request seq. Those of other requests are not ok.
func (p *pinger) understand(data []byte, seq int) (r reply, ok bool) {
	proto := 1
	if p.to.Is6() {
		proto = 58
	}
	m, err := icmp.ParseMessage(proto, data)
	if err != nil {
		return r, false
	}
	switch body := m.Body.(type) {
	case *icmp.Echo:
		isReply := m.Type == ipv4.ICMPTypeEchoReply || m.Type == ipv6.ICMPTypeEchoReply
		return reply{kind: echoed}, isReply && body.ID == p.id && body.Seq == seq
	case *icmp.TimeExceeded:
		return reply{kind: expired}, p.quotes(body.Data, seq)
	case *icmp.DstUnreach:
		return reply{kind: noWay, refusal: fmt.Sprintf("code %d", m.Code)}, p.quotes(body.Data, seq)
	}
	return r, false
}

// quotes says that an error quotes request seq: the IP header, then the head of the echo request.
func (p *pinger) quotes(data []byte, seq int) bool {
	head := 40
	if p.to.Is4() {
		if len(data) == 0 {
			return false
		}
		head = int(data[0]&0xf) * 4
	}
	if len(data) < head+8 {
		return false
	}
	echo := data[head:]
	return int(binary.BigEndian.Uint16(echo[4:])) == p.id && int(binary.BigEndian.Uint16(echo[6:])) == seq
}

func (b *builder) ping(ctx context.Context, p probe) (answer, error) {
	c, err := b.pinger(ctx, p.from, p.to.Addr())
	if err != nil {
		return answer{}, err
	}
	defer c.c.Close()
	if err := c.send(1, 0); err != nil {
		return judge(err)
	}
	r, err := c.await(1)
	switch {
	case err != nil:
		return judge(err)
	case r.kind == echoed:
		return answer{outcome: OK, ttl: r.ttl}, nil
	case r.kind == expired:
		return answer{outcome: Unreachable, detail: "time exceeded at " + r.from.String()}, nil
	}
	return answer{outcome: Unreachable, detail: r.from.String() + " says so, " + r.refusal}, nil
}

// traceroute lets the time to live rise until the target itself answers: each router on the
// way says where it expired.
func (b *builder) traceroute(ctx context.Context, p probe) (answer, error) {
	c, err := b.pinger(ctx, p.from, p.to.Addr())
	if err != nil {
		return answer{}, err
	}
	defer c.c.Close()
	a := answer{outcome: Timeout}
	for ttl := 1; ttl <= len(p.hops)+3; ttl++ {
		if err := c.send(ttl, ttl); err != nil {
			return judge(err)
		}
		if err := c.c.SetReadDeadline(soon(ctx)); err != nil {
			return a, err
		}
		r, err := c.await(ttl)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			a.hops = append(a.hops, netip.Addr{})
			continue
		case err != nil:
			return judge(err)
		case r.kind == noWay:
			return answer{outcome: Unreachable, detail: r.from.String() + " says so, " + r.refusal}, nil
		}
		a.hops = append(a.hops, r.from)
		if r.kind == echoed {
			a.outcome = OK
			return a, nil
		}
	}
	return a, nil
}

// soon is when a hop counts as silent: later than the kernel asks again for a neighbour that did not answer,
// which is every second, see net.ipv4.neigh.default.retrans_time_ms. It is not past the context's end.
func soon(ctx context.Context) time.Time {
	t := time.Now().Add(patience / 2)
	if end, ok := ctx.Deadline(); ok && end.Before(t) {
		return end
	}
	return t
}
