package nft

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// The messages are those of linux/netfilter/nf_tables.h. Their numbers are in
// network byte order, those of netlink itself in the machine's.

// attr is a netlink attribute, padded to four bytes.
func attr(kind uint16, value []byte) []byte {
	size := unix.SizeofNlAttr + len(value)
	b := binary.NativeEndian.AppendUint16(nil, uint16(size))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, -size&(unix.NLA_ALIGNTO-1))...)
}

func attrText(kind uint16, s string) []byte { return attr(kind, append([]byte(s), 0)) }

func attrNumber(kind uint16, n uint32) []byte {
	return attr(kind, binary.BigEndian.AppendUint32(nil, n))
}

func attrNested(kind uint16, inner ...[]byte) []byte {
	return attr(kind|unix.NLA_F_NESTED, join(inner...))
}

func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// table adds a message about a whole table.
func (b *batch) table(message int, name string) {
	b.message(message, unix.NLM_F_CREATE, attrText(unix.NFTA_TABLE_NAME, name))
}

// outputChain makes a chain that rewrites what the namespace sends.
func (b *batch) outputChain(table, name string) {
	priority := int32(dstnat)
	b.message(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE,
		attrText(unix.NFTA_CHAIN_TABLE, table),
		attrText(unix.NFTA_CHAIN_NAME, name),
		attrNested(unix.NFTA_CHAIN_HOOK,
			attrNumber(unix.NFTA_HOOK_HOOKNUM, unix.NF_INET_LOCAL_OUT),
			attrNumber(unix.NFTA_HOOK_PRIORITY, uint32(priority))),
		attrText(unix.NFTA_CHAIN_TYPE, "nat"))
}

// rule appends a rule. It is made of the expressions that nft(8) would send, so
// that nft prints it as it was meant.
func (b *batch) rule(table, chain string, r Redirect) {
	const daddr, dport = 16, 2 // where they are in the headers
	from, to := r.From.Addr().As4(), r.To.Addr().As4()
	b.message(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND,
		attrText(unix.NFTA_RULE_TABLE, table),
		attrText(unix.NFTA_RULE_CHAIN, chain),
		attrNested(unix.NFTA_RULE_EXPRESSIONS,
			load(unix.NFT_PAYLOAD_NETWORK_HEADER, daddr, 4), equal(from[:]),
			loadProtocol(), equal([]byte{byte(r.Proto)}),
			load(unix.NFT_PAYLOAD_TRANSPORT_HEADER, dport, 2), equal(port(r.From.Port())),
			immediate(unix.NFT_REG_1, to[:]), immediate(unix.NFT_REG_2, port(r.To.Port())),
			dnat(unix.NFT_REG_1, unix.NFT_REG_2)),
		attr(unix.NFTA_RULE_USERDATA, comment(r.Comment)))
}

func port(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }

// comment is how nft(8) keeps one: a type, a length, a C string.
func comment(s string) []byte {
	const ruleComment = 0 // NFTNL_UDATA_RULE_COMMENT of libnftnl
	return append([]byte{ruleComment, byte(len(s) + 1)}, append([]byte(s), 0)...)
}

func expression(name string, data ...[]byte) []byte {
	return attrNested(unix.NFTA_LIST_ELEM, attrText(unix.NFTA_EXPR_NAME, name), attrNested(unix.NFTA_EXPR_DATA, data...))
}

// load puts a part of the packet into register 1.
func load(base, offset, size uint32) []byte {
	return expression("payload",
		attrNumber(unix.NFTA_PAYLOAD_DREG, unix.NFT_REG_1), attrNumber(unix.NFTA_PAYLOAD_BASE, base),
		attrNumber(unix.NFTA_PAYLOAD_OFFSET, offset), attrNumber(unix.NFTA_PAYLOAD_LEN, size))
}

func loadProtocol() []byte {
	return expression("meta",
		attrNumber(unix.NFTA_META_DREG, unix.NFT_REG_1), attrNumber(unix.NFTA_META_KEY, unix.NFT_META_L4PROTO))
}

// equal ends the rule unless register 1 has that value.
func equal(value []byte) []byte {
	return expression("cmp",
		attrNumber(unix.NFTA_CMP_SREG, unix.NFT_REG_1), attrNumber(unix.NFTA_CMP_OP, unix.NFT_CMP_EQ),
		attrNested(unix.NFTA_CMP_DATA, attr(unix.NFTA_DATA_VALUE, value)))
}

func immediate(register uint32, value []byte) []byte {
	return expression("immediate",
		attrNumber(unix.NFTA_IMMEDIATE_DREG, register), attrNested(unix.NFTA_IMMEDIATE_DATA, attr(unix.NFTA_DATA_VALUE, value)))
}

// dnat rewrites the destination to what the registers hold.
func dnat(addr, port uint32) []byte {
	return expression("nat",
		attrNumber(unix.NFTA_NAT_TYPE, unix.NFT_NAT_DNAT), attrNumber(unix.NFTA_NAT_FAMILY, unix.NFPROTO_IPV4),
		attrNumber(unix.NFTA_NAT_REG_ADDR_MIN, addr), attrNumber(unix.NFTA_NAT_REG_PROTO_MIN, port))
}
