package port

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Holder names the program that holds a host port, as "nginx (pid 12)", or
// gives "" when it cannot be found. It walks /proc, so it is for the text of
// an error and for nothing else: what it says may be out of date.
func Holder(ip netip.Addr, port uint16, proto Proto) string {
	inode := ""
	for _, name := range []string{string(proto), string(proto) + "6"} {
		// The file belongs to this thread's namespace, see proc(5).
		text, err := os.ReadFile("/proc/thread-self/net/" + name)
		if err != nil {
			continue
		}
		if inode = findInode(string(text), ip, port, proto); inode != "" {
			break
		}
	}
	if inode == "" {
		return ""
	}
	return findProgram("socket:[" + inode + "]")
}

// findInode reads the table of /proc/net/tcp and its like: local address in
// field 1, state in 3, inode in 9.
func findInode(table string, ip netip.Addr, port uint16, proto Proto) string {
	const listening = "0A"
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 10 || (proto == TCP && f[3] != listening) {
			continue
		}
		addr, p, ok := parseLocal(f[1])
		if ok && p == port && (addr == ip || addr.IsUnspecified() || ip.IsUnspecified()) {
			return f[9]
		}
	}
	return ""
}

// parseLocal reads "0100007F:1F90": the address as little-endian words, then
// the port.
func parseLocal(s string) (netip.Addr, uint16, bool) {
	host, portText, ok := strings.Cut(s, ":")
	raw, err := hex.DecodeString(host)
	if !ok || err != nil || len(raw)%4 != 0 {
		return netip.Addr{}, 0, false
	}
	p, err := strconv.ParseUint(portText, 16, 16)
	if err != nil {
		return netip.Addr{}, 0, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.BigEndian.PutUint32(raw[i:], binary.NativeEndian.Uint32(raw[i:]))
	}
	addr, ok := netip.AddrFromSlice(raw)
	return addr.Unmap(), uint16(p), ok
}

func findProgram(socket string) string {
	fds, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err != nil || link != socket {
			continue
		}
		pid := strings.Split(fd, "/")[2]
		name, err := os.ReadFile("/proc/" + pid + "/comm")
		if err != nil {
			return "pid " + pid
		}
		return fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(name)), pid)
	}
	return ""
}
