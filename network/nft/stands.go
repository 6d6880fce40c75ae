package nft

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Replace makes the table in the calling thread's network namespace, in place of one
// of that name, in one transaction.
func (t Table) Replace() error {
	b := new(batch)
	b.table(unix.NFT_MSG_NEWTABLE, t.Name) // so that there is one to delete
	b.table(unix.NFT_MSG_DELTABLE, t.Name)
	t.addTo(b)
	if err := b.send(); err != nil {
		return fmt.Errorf("replacing the nftables table %s: %w", t.Name, err)
	}
	return nil
}

// Stands tells whether each rule of the table is in the calling thread's network
// namespace. It compares what rules decide by and where they lead, not comments.
func (t Table) Stands() (bool, error) {
	rules, err := t.list()
	if err != nil {
		return false, fmt.Errorf("listing the nftables table %s: %w", t.Name, err)
	}
	for _, r := range t.Rules {
		from, to := r.From.Addr().As4(), r.To.Addr().As4()
		found := false
		for _, have := range rules {
			found = found || holds(have, from[:], port(r.From.Port()), []byte{byte(r.Proto)}, to[:], port(r.To.Port()))
		}
		if !found {
			return false, nil
		}
	}
	return true, nil
}

// holds tells whether a rule, as the kernel prints it, has all values.
func holds(rule []byte, values ...[]byte) bool {
	for _, v := range values {
		if !bytes.Contains(rule, attr(unix.NFTA_DATA_VALUE, v)) {
			return false
		}
	}
	return true
}

// list asks for the rules of the table's chain. There are none where there is no such
// chain.
func (t Table) list() (rules [][]byte, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &answerTime); err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	ask := message(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETRULE, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, unix.NFPROTO_IPV4, 0,
		join(attrText(unix.NFTA_RULE_TABLE, t.Name), attrText(unix.NFTA_RULE_CHAIN, t.Chain)))
	if err := unix.Sendto(fd, ask, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, os.NewSyscallError("sendto", err)
	}
	buf := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, os.NewSyscallError("recvfrom", err)
		}
		more, done, err := readRules(bytes.Clone(buf[:n]))
		rules = append(rules, more...)
		if done || err != nil {
			return rules, ignoreNone(err)
		}
	}
}

func ignoreNone(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// readRules takes a datagram of a dump apart, and says whether it is the last one.
func readRules(b []byte) (rules [][]byte, done bool, err error) {
	for len(b) > 0 {
		if len(b) < unix.SizeofNlMsghdr+4 {
			return nil, true, errAnswer
		}
		size := binary.NativeEndian.Uint32(b)
		if size > uint32(len(b)) || size < unix.SizeofNlMsghdr+4 {
			return nil, true, errAnswer
		}
		switch kind := binary.NativeEndian.Uint16(b[4:]); kind {
		case unix.NLMSG_DONE:
			return rules, true, nil
		case unix.NLMSG_ERROR:
			return rules, true, unix.Errno(-int32(binary.NativeEndian.Uint32(b[unix.SizeofNlMsghdr:])))
		default:
			rules = append(rules, b[unix.SizeofNlMsghdr:size])
		}
		b = b[min(len(b), int(size+3)&^3):]
	}
	return rules, false, nil
}
