package port

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Where a filter finds the header of a packet's network layer, see SKF_NET_OFF
// in linux/filter.h, and RFC 8200 for the header.
const (
	netHeader = 0xfff00000
	ip6Dst    = netHeader + 24
)

const (
	loadByte = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS
	loadWord = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	mask     = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	goOnIf   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	accept   = unix.BPF_RET | unix.BPF_K
)

// dropAll attaches a filter that accepts zero bytes of every packet, see
// socket(7), SO_ATTACH_FILTER. It is set before the bind, so that not one
// packet gets in.
func dropAll(fd int) error { return attach(fd, []unix.SockFilter{{Code: accept, K: 0}}) }

// takeLocal6 attaches a filter that accepts packets to ::1 and nothing else. The
// kernel lets no packet to ::1 in from outside: see RFC 4291, 2.5.3.
func takeLocal6(fd int) error {
	return attach(fd, []unix.SockFilter{
		{Code: loadByte, K: netHeader},
		{Code: mask, K: 0xf0},
		{Code: goOnIf, K: 0x60, Jf: 9}, // a socket of both families gets IPv4 too
		{Code: loadWord, K: ip6Dst},
		{Code: goOnIf, K: 0, Jf: 7},
		{Code: loadWord, K: ip6Dst + 4},
		{Code: goOnIf, K: 0, Jf: 5},
		{Code: loadWord, K: ip6Dst + 8},
		{Code: goOnIf, K: 0, Jf: 3},
		{Code: loadWord, K: ip6Dst + 12},
		{Code: goOnIf, K: 1, Jf: 1},
		{Code: accept, K: 0xffffffff},
		{Code: accept, K: 0},
	})
}

// attach replaces the filter of a socket.
func attach(fd int, prog []unix.SockFilter) error {
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &fprog); err != nil {
		return fmt.Errorf("attaching a filter: %w", err)
	}
	return nil
}
