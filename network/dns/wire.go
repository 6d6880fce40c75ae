package dns

import (
	"encoding/binary"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// Sizes and flags of RFC 1035, section 4.1.1.
const (
	headerSize   = 12
	minUDPSize   = 512   // what every client takes over UDP
	udpSize      = 4096  // what we take
	maxUDPSize   = 65507 // what fits into an IPv4 packet, whatever a client takes
	flagResponse = 0x80  // in byte 2
	flagTC       = 0x02  // in byte 2: the message was cut
)

// query is a request as far as it was understood.
type query struct {
	raw      []byte
	header   dnsmessage.Header
	question dnsmessage.Question
	edns     bool // it has an OPT record, see RFC 6891
	limit    int  // bytes that the client takes over UDP
}

// name gives the name asked for, in lower case and without the final dot.
func (q *query) name() string {
	return strings.ToLower(strings.TrimSuffix(q.question.Name.String(), "."))
}

// parseQuery reads a request. Where even the header cannot be read, or where it
// is no request, ok is false: such a message is not answered. A request that is
// not well formed has the code to answer with.
func parseQuery(raw []byte) (q *query, code dnsmessage.RCode, ok bool) {
	q = &query{raw: raw, limit: minUDPSize}
	var p dnsmessage.Parser
	var err error
	if q.header, err = p.Start(raw); err != nil || q.header.Response {
		return nil, 0, false
	}
	if q.header.OpCode != 0 {
		return q, dnsmessage.RCodeNotImplemented, true
	}
	questions, err := p.AllQuestions()
	if err != nil || len(questions) != 1 {
		return q, dnsmessage.RCodeFormatError, true
	}
	q.question = questions[0]
	q.readEDNS(&p)
	return q, dnsmessage.RCodeSuccess, true
}

// readEDNS looks for the OPT record, which says what the client takes. A
// message that ends early has none.
func (q *query) readEDNS(p *dnsmessage.Parser) {
	if p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return
	}
	for {
		h, err := p.AdditionalHeader()
		if err != nil {
			return
		}
		if h.Type == dnsmessage.TypeOPT {
			q.edns, q.limit = true, min(max(minUDPSize, int(h.Class)), maxUDPSize)
			return
		}
		if p.SkipAdditional() != nil {
			return
		}
	}
}

// reply builds an answer without records, or with those that fill adds.
func (q *query) reply(code dnsmessage.RCode, fill func(*dnsmessage.Builder) error) ([]byte, error) {
	b := dnsmessage.NewBuilder(make([]byte, 0, minUDPSize), dnsmessage.Header{
		ID: q.header.ID, Response: true, OpCode: q.header.OpCode, RecursionDesired: q.header.RecursionDesired,
		RecursionAvailable: true, RCode: code,
	})
	b.EnableCompression()
	if err := b.StartQuestions(); err != nil {
		return nil, err
	}
	if q.question.Name.Length > 0 {
		if err := b.Question(q.question); err != nil {
			return nil, err
		}
	}
	if fill != nil {
		if err := b.StartAnswers(); err != nil {
			return nil, err
		}
		if err := fill(&b); err != nil {
			return nil, err
		}
	}
	if q.edns {
		if err := addEDNS(&b); err != nil {
			return nil, err
		}
	}
	return b.Finish()
}

func addEDNS(b *dnsmessage.Builder) error {
	if err := b.StartAdditionals(); err != nil {
		return err
	}
	var h dnsmessage.ResourceHeader
	if err := h.SetEDNS0(udpSize, dnsmessage.RCodeSuccess, false); err != nil {
		return err
	}
	return b.OPTResource(h, dnsmessage.OPTResource{})
}

// cut shortens a message to limit bytes and says so in it. Whole answers stay,
// as there are clients that never come back over TCP. That is safe because
// compressed names point backwards only.
func cut(msg []byte, limit int) []byte {
	if len(msg) <= limit || len(msg) < headerSize {
		return msg
	}
	end, answers := fitting(msg, limit)
	short := append([]byte(nil), msg[:end]...)
	short[2] |= flagTC
	binary.BigEndian.PutUint16(short[6:], uint16(answers))
	binary.BigEndian.PutUint32(short[8:], 0) // no authorities, no additionals
	if end == headerSize {
		binary.BigEndian.PutUint16(short[4:], 0)
	}
	return short
}

// fitting gives how much of a message is the header, the questions, and as many
// whole answers as fit.
func fitting(msg []byte, limit int) (end, answers int) {
	off := headerSize
	for range binary.BigEndian.Uint16(msg[4:]) {
		const typeAndClass = 4
		if off = skipName(msg, off) + typeAndClass; off > min(len(msg), limit) {
			return headerSize, 0
		}
	}
	end = off
	for range binary.BigEndian.Uint16(msg[6:]) {
		const fixed = 10 // type, class, time to live, length of the data
		off = skipName(msg, off) + fixed
		if off > len(msg) {
			break
		}
		off += int(binary.BigEndian.Uint16(msg[off-2:]))
		if off > min(len(msg), limit) {
			break
		}
		end, answers = off, answers+1
	}
	return end, answers
}

// skipName gives the place after the name at off, or one behind the message.
func skipName(msg []byte, off int) int {
	for off < len(msg) {
		n := int(msg[off])
		switch {
		case n == 0:
			return off + 1
		case n >= 0xc0: // a pointer ends the name
			return off + 2
		}
		off += 1 + n
	}
	return len(msg) + 1
}

// answers tells whether msg is an answer to q with the given id. An error may
// come without the question.
func (q *query) answeredBy(msg []byte, id uint16) bool {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil || h.ID != id || !h.Response {
		return false
	}
	got, err := p.Question()
	if err == dnsmessage.ErrSectionDone {
		return h.RCode != dnsmessage.RCodeSuccess
	}
	return err == nil && got.Type == q.question.Type && got.Class == q.question.Class &&
		strings.EqualFold(got.Name.String(), q.question.Name.String())
}

func setID(msg []byte, id uint16) { binary.BigEndian.PutUint16(msg, id) }
