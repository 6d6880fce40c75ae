package nft

import (
	"encoding/binary"
	"net"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// stateDNAT is a state only in iptables: the kernel keeps it as a status bit.
const stateDNAT = "DNAT"

// states are the bits of ct state and, for DNAT, of ct status: see
// ip_conntrack_status in linux/netfilter/nf_conntrack_common.h.
var states = map[string]uint32{
	"INVALID": expr.CtStateBitINVALID, "ESTABLISHED": expr.CtStateBitESTABLISHED, "RELATED": expr.CtStateBitRELATED,
	"NEW": expr.CtStateBitNEW, "UNTRACKED": expr.CtStateBitUNTRACKED, stateDNAT: 1 << 5,
}

var protocols = map[string]byte{"tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP, "sctp": unix.IPPROTO_SCTP, "icmp": unix.IPPROTO_ICMP, "ipv6-icmp": unix.IPPROTO_ICMPV6}

// reg is the register that conditions are computed in.
const reg = unix.NFT_REG_1

// offPort is where the destination port is in the headers of TCP, UDP and SCTP, in
// bytes.
const offPort = 2

// exprs is the rule as the kernel takes it.
func (r rule) exprs() []expr.Any {
	var out []expr.Any
	for _, m := range r.matches {
		out = append(out, m.exprs(r.family)...)
	}
	return append(append(out, &expr.Counter{}), r.verdict()...)
}

func (r rule) verdict() []expr.Any {
	verdict := &expr.Verdict{}
	switch r.target {
	case accept:
		verdict.Kind = expr.VerdictAccept
	case drop:
		verdict.Kind = expr.VerdictDrop
	case goBack:
		verdict.Kind = expr.VerdictReturn
	case masquerade:
		return []expr.Any{&expr.Masq{}}
	case dnat:
		return r.rewrite()
	default:
		verdict.Kind, verdict.Chain = expr.VerdictJump, r.target
	}
	return []expr.Any{verdict}
}

// rewrite gives a packet another destination.
func (r rule) rewrite() []expr.Any {
	nat := &expr.NAT{Type: expr.NATTypeDestNAT, Family: r.proto(), RegAddrMin: unix.NFT_REG_1}
	out := []expr.Any{&expr.Immediate{Register: unix.NFT_REG_1, Data: r.to.AsSlice()}}
	if r.toPort != 0 {
		out = append(out, &expr.Immediate{Register: unix.NFT_REG_2, Data: binaryutil.BigEndian.PutUint16(r.toPort)})
		nat.RegProtoMin, nat.Specified = unix.NFT_REG_2, true
	}
	return append(out, nat)
}

func (m match) exprs(f family) []expr.Any {
	op := expr.CmpOpEq
	if m.not {
		op = expr.CmpOpNeq
	}
	compare := func(load expr.Any, data []byte) []expr.Any {
		return []expr.Any{load, &expr.Cmp{Op: op, Register: reg, Data: data}}
	}
	switch m.kind {
	case matchSource:
		return m.address(f, f.source(), op)
	case matchDest:
		return m.address(f, f.dest(), op)
	case matchIn:
		return compare(&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg}, linkName(m.text))
	case matchOut:
		return compare(&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: reg}, linkName(m.text))
	case matchLocal:
		return compare(&expr.Fib{Register: reg, FlagDADDR: true, ResultADDRTYPE: true}, host32(unix.RTN_LOCAL))
	case matchProto:
		return compare(&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg}, []byte{protocols[m.text]})
	case matchPort:
		load := &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: offPort, Len: 2}
		if m.last != 0 {
			return []expr.Any{load, &expr.Range{Op: op, Register: reg, FromData: binaryutil.BigEndian.PutUint16(m.port), ToData: binaryutil.BigEndian.PutUint16(m.last)}}
		}
		return compare(load, binaryutil.BigEndian.PutUint16(m.port))
	default:
		return m.state()
	}
}

// address compares the leading bits of an address.
func (m match) address(f family, offset uint32, op expr.CmpOp) []expr.Any {
	length := f.address().Bytes
	out := []expr.Any{&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}}
	if bits := m.prefix.Bits(); bits < int(length)*8 {
		mask := net.CIDRMask(bits, int(length)*8)
		out = append(out, &expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: length, Mask: mask, Xor: make([]byte, length)})
	}
	return append(out, &expr.Cmp{Op: op, Register: reg, Data: m.prefix.Masked().Addr().AsSlice()})
}

// state looks for any of some bits.
func (m match) state() []expr.Any {
	load := &expr.Ct{Key: expr.CtKeySTATE, Register: reg}
	if m.text == stateDNAT {
		load.Key = expr.CtKeySTATUS
	}
	var bits uint32
	for s := range strings.SplitSeq(m.text, ",") {
		bits |= states[s]
	}
	found := expr.CmpOpNeq
	if m.not {
		found = expr.CmpOpEq
	}
	return []expr.Any{
		load,
		&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: 4, Mask: host32(bits), Xor: make([]byte, 4)},
		&expr.Cmp{Op: found, Register: reg, Data: make([]byte, 4)},
	}
}

// linkName is an interface's name as the kernel compares it: IFNAMSIZ bytes, or,
// of a name that ends with iptables' wildcard +, those before it.
func linkName(name string) []byte {
	if prefix, ok := strings.CutSuffix(name, wildcard); ok {
		return []byte(prefix)
	}
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

func host32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

// reg32 gives the register of four bytes at a place of those of a lookup with
// several keys, which begin with reg.
func reg32(at uint32) uint32 {
	if at == 0 {
		return reg
	}
	return unix.NFT_REG32_00 + at
}

// mapRules are the rules that look a packet up in the two maps of ports.
func (f family) mapRules() [][]expr.Any {
	toPort := reg32(f.words())
	toMapped := func(name string) []expr.Any {
		return []expr.Any{
			&expr.Lookup{SourceRegister: reg, SetName: name, DestRegister: reg, IsDestRegSet: true},
			&expr.NAT{
				Type: expr.NATTypeDestNAT, Family: f.proto(), Specified: true,
				RegAddrMin: reg, RegAddrMax: reg, RegProtoMin: toPort, RegProtoMax: toPort,
			},
		}
	}
	addr := &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: f.dest(), Len: f.address().Bytes}
	proto := func(at uint32) expr.Any { return &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg32(at)} }
	dport := func(at uint32) expr.Any {
		return &expr.Payload{DestRegister: reg32(at), Base: expr.PayloadBaseTransportHeader, Offset: offPort, Len: 2}
	}
	return [][]expr.Any{
		append([]expr.Any{addr, proto(f.words()), dport(f.words() + 1)}, toMapped(mapAt)...),
		append([]expr.Any{proto(0), dport(1)}, toMapped(mapAny)...),
	}
}

// setElement is the element as the kernel takes it: each part fills whole
// registers of four bytes.
func (e element) setElement() nftables.SetElement {
	word := func(b ...byte) []byte { return append(b, make([]byte, 4-len(b))...) }
	key := e.at.AsSlice() // nothing for the zero Addr
	key = append(key, word(protocols[string(e.proto)])...)
	key = append(key, word(binaryutil.BigEndian.PutUint16(e.port)...)...)
	to := append(e.to.Addr().AsSlice(), word(binaryutil.BigEndian.PutUint16(e.to.Port())...)...)
	return nftables.SetElement{Key: key, Val: to, Comment: e.comment}
}
