package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Of linux/netfilter/nf_tables.h.
const (
	nftMsgGetRule       = 7
	nftaRuleTable       = 1
	nftaRuleChain       = 2
	nftaRuleExpressions = 4
	nftaExprName        = 1
	nftaExprData        = 2
	nftaImmediateData   = 2
	nftaDataVerdict     = 2
	nftaVerdictChain    = 2

	genHeader  = 4      // struct nfgenmsg
	attrHeader = 4      // struct nlattr
	attrKind   = 0x3fff // NLA_TYPE_MASK
)

// readNFT asks for the rules of chains, one after the other, on one socket.
func readNFT(chains []Chain) (map[Chain][]rawRule, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket for nf_tables: %w", err)
	}
	// Whoever closes such a socket waits, some 10 ms, until rules that anybody has
	// just deleted are out of use.
	defer func() { go unix.Close(fd) }()
	// The kernel answers at once; a bound keeps a start from hanging if it does not.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return nil, fmt.Errorf("setting a timeout for nf_tables: %w", err)
	}
	out := make(map[Chain][]rawRule, len(chains))
	buf := make([]byte, 32<<10)
	for i, c := range chains {
		rules, err := dumpNFT(fd, uint32(i+1), c, buf)
		if err != nil {
			return nil, fmt.Errorf("reading %s from nf_tables: %w", c, err)
		}
		out[c] = rules
	}
	return out, nil
}

// dumpNFT reads one chain. One that does not exist has no rules.
func dumpNFT(fd int, seq uint32, c Chain, buf []byte) (rules []rawRule, err error) {
	if err := unix.Sendto(fd, ruleRequest(seq, c), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for msg := buf[:n]; len(msg) >= unix.NLMSG_HDRLEN; {
			size := int(binary.NativeEndian.Uint32(msg))
			if size < unix.NLMSG_HDRLEN || size > len(msg) {
				return nil, unix.EBADMSG
			}
			body := msg[unix.NLMSG_HDRLEN:size]
			switch kind := binary.NativeEndian.Uint16(msg[4:]); kind {
			case unix.NLMSG_DONE:
				return rules, nil
			case unix.NLMSG_ERROR:
				return nil, missingIsNone(body)
			default:
				if len(body) > genHeader {
					rules = append(rules, nftRule(body[genHeader:]))
				}
			}
			msg = msg[min(len(msg), (size+3)&^3):]
		}
	}
}

func missingIsNone(body []byte) error {
	if len(body) < 4 {
		return unix.EBADMSG
	}
	errno := unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
	if errno == unix.ENOENT || errno == 0 {
		return nil
	}
	return errno
}

// ruleRequest is NFT_MSG_GETRULE as a dump, for one chain.
func ruleRequest(seq uint32, c Chain) []byte {
	var b []byte
	b = binary.NativeEndian.AppendUint32(b, 0) // length, below
	b = binary.NativeEndian.AppendUint16(b, unix.NFNL_SUBSYS_NFTABLES<<8|nftMsgGetRule)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = append(b, family(c.V6).addresses(), 0, 0, 0)
	b = appendAttr(b, nftaRuleTable, c.Table)
	b = appendAttr(b, nftaRuleChain, c.Name)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	return b
}

func appendAttr(b []byte, kind uint16, text string) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(attrHeader+len(text)+1))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(append(b, text...), 0)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// nftRule finds the chain that a rule's verdict names.
func nftRule(attrs []byte) rawRule {
	r := rawRule{raw: append([]byte(nil), attrs...)}
	for expr := range attributes(attribute(attrs, nftaRuleExpressions)) {
		if cstring(attribute(expr, nftaExprName)) != "immediate" {
			continue
		}
		data := attribute(attribute(expr, nftaExprData), nftaImmediateData)
		if chain := attribute(attribute(data, nftaDataVerdict), nftaVerdictChain); chain != nil {
			r.target = cstring(chain)
		}
	}
	return r
}

// attribute gives the content of the first attribute of a kind, nil without one.
func attribute(b []byte, kind uint16) []byte {
	for content, k := range attributes(b) {
		if k == kind {
			return content
		}
	}
	return nil
}

// attributes walks over netlink attributes.
func attributes(b []byte) func(yield func(content []byte, kind uint16) bool) {
	return func(yield func([]byte, uint16) bool) {
		for len(b) >= attrHeader {
			size := int(binary.NativeEndian.Uint16(b))
			if size < attrHeader || size > len(b) {
				return
			}
			if !yield(b[attrHeader:size], binary.NativeEndian.Uint16(b[2:])&attrKind) {
				return
			}
			b = b[min(len(b), (size+3)&^3):]
		}
	}
}
