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

// Holder names the program that holds the host port of m, as "nginx (pid 12)",
// or gives "" when it cannot be found. It walks /proc, so it is for the text of
// an error and for nothing else: what it says may be out of date.
func Holder(m Mapping) string {
	for _, name := range []string{string(m.Proto), string(m.Proto) + "6"} {
		// The file belongs to this thread's namespace, see proc(5).
		text, err := os.ReadFile("/proc/thread-self/net/" + name)
		if err != nil {
			continue
		}
		if inode := findInode(string(text), m); inode != "" {
			return findProgram("socket:[" + inode + "]")
		}
	}
	return ""
}

// findInode reads the table of /proc/net/tcp and its like: local address in
// field 1, state in 3, inode in 9. Whether a socket on [::] takes IPv4 too the
// table does not say. It is asked only when something is in the way, so if
// nothing else is, it does.
func findInode(table string, m Mapping) string {
	const listening = "0A"
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 10 || (m.Proto == TCP && f[3] != listening) {
			continue
		}
		addr, p, ok := parseLocal(f[1])
		if !ok || p != m.HostPort {
			continue
		}
		there := Mapping{HostIP: addr, Dual: addr == netip.IPv6Unspecified(), Proto: m.Proto}
		if there.Overlaps(m) {
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
