package dns

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// Resolver knows the server's own names. Its methods are called from several
// goroutines.
type Resolver interface {
	// Addrs gives the addresses of a name, which is in lower case and has no
	// final dot. known says that there is such a name, with addresses or without.
	Addrs(name string) (addrs []netip.Addr, known bool)
	// Name gives the name of an address, empty when it has none.
	Name(addr netip.Addr) string
}

// local answers from the resolver. A nil answer means that it is for others.
func (s *Server) local(q *query) []byte {
	if q.question.Class != dnsmessage.ClassINET {
		return nil
	}
	var msg []byte
	var err error
	switch q.question.Type {
	case dnsmessage.TypePTR:
		msg, err = s.localPointer(q)
	default:
		msg, err = s.localName(q)
	}
	if err != nil {
		return q.failure(dnsmessage.RCodeServerFailure)
	}
	return msg
}

// localName answers for a name. One that is known has no records but
// addresses: for all other types the answer is empty.
func (s *Server) localName(q *query) ([]byte, error) {
	addrs, known := s.names.Addrs(q.name())
	if !known {
		if s.bareName(q) {
			return q.reply(dnsmessage.RCodeSuccess, nil)
		}
		return nil, nil
	}
	return q.reply(dnsmessage.RCodeSuccess, func(b *dnsmessage.Builder) error {
		return addAddrs(b, q, s.rotated(addrs))
	})
}

// bareName tells whether a name without dots is to be left to the client's
// search list.
func (s *Server) bareName(q *query) bool {
	t := q.question.Type
	return s.KeepBareNames && (t == dnsmessage.TypeA || t == dnsmessage.TypeAAAA) && !strings.Contains(q.name(), ".")
}

func addAddrs(b *dnsmessage.Builder, q *query, addrs []netip.Addr) error {
	h := dnsmessage.ResourceHeader{Name: q.question.Name, Class: dnsmessage.ClassINET}
	for _, a := range addrs {
		var err error
		switch {
		case q.question.Type == dnsmessage.TypeA && a.Is4():
			err = b.AResource(h, dnsmessage.AResource{A: a.As4()})
		case q.question.Type == dnsmessage.TypeAAAA && a.Is6():
			err = b.AAAAResource(h, dnsmessage.AAAAResource{AAAA: a.As16()})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rotated gives each of several addresses its turn to be first.
func (s *Server) rotated(addrs []netip.Addr) []netip.Addr {
	if len(addrs) < 2 {
		return addrs
	}
	first := int(s.turn.Add(1) % uint64(len(addrs)))
	return slices.Concat(addrs[first:], addrs[:first])
}

func (s *Server) localPointer(q *query) ([]byte, error) {
	addr, err := reverse(q.name())
	if err != nil {
		return nil, nil
	}
	host := s.names.Name(addr)
	if host == "" {
		return nil, nil
	}
	ptr, err := dnsmessage.NewName(host + ".")
	if err != nil {
		return nil, err
	}
	return q.reply(dnsmessage.RCodeSuccess, func(b *dnsmessage.Builder) error {
		h := dnsmessage.ResourceHeader{Name: q.question.Name, Class: dnsmessage.ClassINET}
		return b.PTRResource(h, dnsmessage.PTRResource{PTR: ptr})
	})
}

var errNotReverse = errors.New("not the name of an address")

// reverse reads 4.3.2.1.in-addr.arpa, and its like for IPv6, as an address.
func reverse(name string) (netip.Addr, error) {
	if rest, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		labels := strings.Split(rest, ".")
		slices.Reverse(labels)
		return netip.ParseAddr(strings.Join(labels, "."))
	}
	rest, ok := strings.CutSuffix(name, ".ip6.arpa")
	labels := strings.Split(rest, ".")
	if !ok || len(labels) != 32 {
		return netip.Addr{}, errNotReverse
	}
	var b [16]byte
	for i, label := range labels {
		n, err := strconv.ParseUint(label, 16, 4)
		if err != nil || len(label) != 1 {
			return netip.Addr{}, errNotReverse
		}
		b[15-i/2] |= byte(n) << (4 * (i % 2))
	}
	return netip.AddrFrom16(b), nil
}

// failure is an answer that says only that there is none.
func (q *query) failure(code dnsmessage.RCode) []byte {
	msg, err := q.reply(code, nil)
	if err != nil {
		return nil // a name that was read can be written: this does not happen
	}
	return msg
}
