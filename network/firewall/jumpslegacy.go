package firewall

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of linux/netfilter_ipv4/ip_tables.h and linux/netfilter/x_tables.h.
const (
	iptGetInfo    = 64 // IPT_SO_GET_INFO
	iptGetEntries = 65 // IPT_SO_GET_ENTRIES

	iptNameLen      = 32  // of a table
	iptEntryLen     = 112 // struct ipt_entry
	iptTargetOffset = 88  // in it: u16 target_offset, u16 next_offset
	xtTargetHeader  = 32  // struct xt_entry_target
)

// iptInfo is struct ipt_getinfo.
type iptInfo struct {
	Name       [iptNameLen]byte
	ValidHooks uint32
	HookEntry  [5]uint32 // offset of a built-in chain's first rule
	Underflow  [5]uint32 // offset of its policy
	NumEntries uint32
	Size       uint32
}

// hooks are the places in HookEntry: NF_INET_… of linux/netfilter.h.
var hooks = [...]string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}

// readLegacy copies whole tables out of the kernel: there is no smaller question.
func readLegacy(chains []Chain) (map[Chain][]rawRule, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return nil, fmt.Errorf("opening a socket for ip_tables: %w", err)
	}
	defer unix.Close(fd)
	tables := make(map[string]map[string][]rawRule)
	out := make(map[Chain][]rawRule, len(chains))
	for _, c := range chains {
		if tables[c.Table] == nil {
			if tables[c.Table], err = legacyTable(fd, c.Table); err != nil {
				return nil, fmt.Errorf("reading table %s from ip_tables: %w", c.Table, err)
			}
		}
		out[c] = tables[c.Table][c.Name]
	}
	return out, nil
}

// legacyTable reads one table. It may grow between the two calls: then it is
// asked for again.
func legacyTable(fd int, table string) (map[string][]rawRule, error) {
	for range 10 {
		var info iptInfo
		copy(info.Name[:], table)
		if err := getsockopt(fd, iptGetInfo, unsafe.Pointer(&info), int(unsafe.Sizeof(info))); err != nil {
			return nil, err
		}
		const header = 40 // struct ipt_get_entries: name, u32 size, and room up to 8 bytes
		buf := make([]byte, header+int(info.Size))
		copy(buf, table)
		binary.NativeEndian.PutUint32(buf[iptNameLen:], info.Size)
		err := getsockopt(fd, iptGetEntries, unsafe.Pointer(&buf[0]), len(buf))
		if err == unix.EAGAIN {
			continue
		}
		if err != nil {
			return nil, err
		}
		return legacyChains(&info, buf[header:]), nil
	}
	return nil, unix.EAGAIN
}

func getsockopt(fd, name int, p unsafe.Pointer, size int) error {
	length := uint32(size)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_IP, uintptr(name), uintptr(p), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// legacyChains gives the rules of the built-in chains.
func legacyChains(info *iptInfo, blob []byte) map[string][]rawRule {
	names := legacyNames(blob)
	out := make(map[string][]rawRule)
	for i, name := range hooks {
		if info.ValidHooks&(1<<i) == 0 {
			continue
		}
		for at := info.HookEntry[i]; at < info.Underflow[i]; {
			entry, target, next := legacyEntry(blob, at)
			if entry == nil {
				break
			}
			r := rawRule{raw: entry}
			if cstring(target[2:xtTargetHeader-1]) == "" && len(target) >= xtTargetHeader+4 {
				r.target = names[int32(binary.NativeEndian.Uint32(target[xtTargetHeader:]))]
			}
			out[name] = append(out[name], r)
			at += next
		}
	}
	return out
}

// legacyNames gives the names of the chains that users made, by the offset of
// their first rule, which is what a jump holds. The entry before that is a target
// ERROR with the name.
func legacyNames(blob []byte) map[int32]string {
	names := make(map[int32]string)
	for at := uint32(0); ; {
		entry, target, next := legacyEntry(blob, at)
		if entry == nil {
			return names
		}
		at += next
		if cstring(target[2:xtTargetHeader-1]) == "ERROR" {
			names[int32(at)] = cstring(target[xtTargetHeader:])
		}
	}
}

// legacyEntry gives the rule at an offset, its target and its length; nil at the end.
func legacyEntry(blob []byte, at uint32) (entry, target []byte, next uint32) {
	if int(at)+iptEntryLen > len(blob) {
		return nil, nil, 0
	}
	offset := uint32(binary.NativeEndian.Uint16(blob[at+iptTargetOffset:]))
	next = uint32(binary.NativeEndian.Uint16(blob[at+iptTargetOffset+2:]))
	if next < iptEntryLen || int(at+next) > len(blob) || offset+xtTargetHeader > next {
		return nil, nil, 0
	}
	entry = blob[at : at+next]
	return entry, entry[offset:], next
}
