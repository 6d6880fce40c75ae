package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// batch is a transaction of nf_tables: the kernel carries out all messages
// between its begin and its end, or none.
type batch struct {
	messages [][]byte
}

const sizeofNfgenmsg = 4

// message adds one to the transaction. The kernel answers it with an error or
// an acknowledgement.
func (b *batch) message(kind int, flags uint16, attrs ...[]byte) {
	b.messages = append(b.messages, message(
		unix.NFNL_SUBSYS_NFTABLES<<8|uint16(kind), unix.NLM_F_REQUEST|unix.NLM_F_ACK|flags,
		unix.NFPROTO_IPV4, 0, join(attrs...)))
}

// message gives the bytes of a message of nfnetlink.
func message(kind, flags uint16, family byte, resource uint16, body []byte) []byte {
	size := unix.SizeofNlMsghdr + sizeofNfgenmsg + len(body)
	b := binary.NativeEndian.AppendUint32(nil, uint32(size))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = append(b, make([]byte, 8)...) // sequence and port: one request at a time needs neither
	b = append(b, family, unix.NFNETLINK_V0)
	b = binary.BigEndian.AppendUint16(b, resource)
	return append(b, body...)
}

// bytes gives the whole transaction.
func (b *batch) bytes() []byte {
	mark := func(kind uint16) []byte {
		return message(kind, unix.NLM_F_REQUEST, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, nil)
	}
	return join(mark(unix.NFNL_MSG_BATCH_BEGIN), join(b.messages...), mark(unix.NFNL_MSG_BATCH_END))
}

// answerTime is how long the kernel may take; it answers before sendto(2)
// returns, so this is only so that an error in here cannot hang a start.
var answerTime = unix.Timeval{Sec: 5}

// send carries the transaction out in the calling thread's network namespace.
func (b *batch) send() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("opening a netlink socket: %w", os.NewSyscallError("socket", err))
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &answerTime); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Sendto(fd, b.bytes(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	return b.answers(fd)
}

// answers reads one for each message. The first error is the cause of all.
func (b *batch) answers(fd int) error {
	buf := make([]byte, 8192)
	for left := len(b.messages); left > 0; {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("waiting for the kernel's answer: %w", os.NewSyscallError("recvfrom", err))
		}
		got, err := readAnswers(buf[:n])
		if err != nil {
			return err
		}
		left -= got
	}
	return nil
}

var errAnswer = errors.New("the kernel's answer is not understood")

// readAnswers counts the acknowledgements in a datagram.
func readAnswers(b []byte) (acks int, err error) {
	for len(b) > 0 {
		if len(b) < unix.SizeofNlMsghdr+4 {
			return acks, errAnswer
		}
		size := binary.NativeEndian.Uint32(b)
		if binary.NativeEndian.Uint16(b[4:]) != unix.NLMSG_ERROR || size > uint32(len(b)) || size < unix.SizeofNlMsghdr+4 {
			return acks, errAnswer
		}
		if code := int32(binary.NativeEndian.Uint32(b[unix.SizeofNlMsghdr:])); code != 0 {
			return acks, unix.Errno(-code)
		}
		acks++
		b = b[min(len(b), int(size+3)&^3):]
	}
	return acks, nil
}
