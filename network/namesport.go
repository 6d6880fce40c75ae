package network

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// NamesOf finds where a monitor listens for the questions of its container, pid being
// a process in the container's namespace: zero where it does not. The container may
// listen at the same address, so it counts whose the socket is. See proc(5), net/tcp.
func NamesOf(pid, monitor int) (netip.AddrPort, error) {
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("looking for the sockets of process %d: %w", monitor, err)
	}
	dir := fmt.Sprintf("/proc/%d/fd", monitor)
	fds, err := os.ReadDir(dir)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("looking for the sockets of process %d: %w", monitor, err)
	}
	for port, inode := range listenersAt(string(table), NameServer.Addr()) {
		for _, fd := range fds {
			if link, err := os.Readlink(dir + "/" + fd.Name()); err == nil && link == "socket:["+inode+"]" {
				return netip.AddrPortFrom(NameServer.Addr(), port), nil
			}
		}
	}
	return netip.AddrPort{}, nil
}

// listenersAt gives the sockets that listen at an IPv4 address, their inodes by port.
func listenersAt(table string, ip netip.Addr) map[uint16]string {
	const listening = "0A"
	b := ip.As4()
	at := fmt.Sprintf("%08X:", binary.NativeEndian.Uint32(b[:]))
	found := make(map[uint16]string)
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != listening || !strings.HasPrefix(f[1], at) {
			continue
		}
		if port, err := strconv.ParseUint(f[1][len(at):], 16, 16); err == nil {
			found[uint16(port)] = f[9]
		}
	}
	return found
}
