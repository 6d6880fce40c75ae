package firewall

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of linux/netfilter_ipv4/ip_tables.h, linux/netfilter_ipv6/ip6_tables.h and
// linux/netfilter/x_tables.h. Both families have the same numbers and structs, but
// for the rule, which begins with its addresses.
const (
	iptGetInfo    = 64 // IPT_SO_GET_INFO, IP6T_SO_GET_INFO
	iptGetEntries = 65 // IPT_SO_GET_ENTRIES, IP6T_SO_GET_ENTRIES

	iptNameLen     = 32 // of a table
	xtTargetHeader = 32 // struct xt_entry_target
)

// legacyLayout is where things are in a rule.
type legacyLayout struct {
	level   int    // of getsockopt(2)
	length  int    // of struct ipt_entry, ip6t_entry
	offsets uint32 // in it: u16 target_offset, u16 next_offset
}

func (f family) layout() legacyLayout {
	if f {
		return legacyLayout{level: unix.IPPROTO_IPV6, length: 168, offsets: 140}
	}
	return legacyLayout{level: unix.IPPROTO_IP, length: 112, offsets: 88}
}

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
	out := make(map[Chain][]rawRule, len(chains))
	for _, f := range families {
		mine := slices.DeleteFunc(slices.Clone(chains), func(c Chain) bool { return c.V6 != bool(f) })
		if len(mine) == 0 {
			continue
		}
		if err := f.readLegacy(mine, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (f family) readLegacy(chains []Chain, out map[Chain][]rawRule) error {
	fd, err := unix.Socket(int(f.addresses()), unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return fmt.Errorf("opening a socket for %s: %w", f.tables(), err)
	}
	defer unix.Close(fd)
	tables := make(map[string]map[string][]rawRule)
	for _, c := range chains {
		if tables[c.Table] == nil {
			if tables[c.Table], err = f.layout().table(fd, c.Table); err != nil {
				return fmt.Errorf("reading table %s from %s: %w", c.Table, f.tables(), err)
			}
		}
		out[c] = tables[c.Table][c.Name]
	}
	return nil
}

// table reads one table. It may grow between the two calls: then it is asked for
// again.
func (l legacyLayout) table(fd int, table string) (map[string][]rawRule, error) {
	for range 10 {
		var info iptInfo
		copy(info.Name[:], table)
		if err := l.getsockopt(fd, iptGetInfo, unsafe.Pointer(&info), int(unsafe.Sizeof(info))); err != nil {
			return nil, err
		}
		const header = 40 // struct ipt_get_entries: name, u32 size, and room up to 8 bytes
		buf := make([]byte, header+int(info.Size))
		copy(buf, table)
		binary.NativeEndian.PutUint32(buf[iptNameLen:], info.Size)
		err := l.getsockopt(fd, iptGetEntries, unsafe.Pointer(&buf[0]), len(buf))
		if err == unix.EAGAIN {
			continue
		}
		if err != nil {
			return nil, err
		}
		return l.chains(&info, buf[header:]), nil
	}
	return nil, unix.EAGAIN
}

func (l legacyLayout) getsockopt(fd, name int, p unsafe.Pointer, size int) error {
	length := uint32(size)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(l.level), uintptr(name), uintptr(p), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// chains gives the rules of the built-in chains.
func (l legacyLayout) chains(info *iptInfo, blob []byte) map[string][]rawRule {
	names := l.names(blob)
	out := make(map[string][]rawRule)
	for i, name := range hooks {
		if info.ValidHooks&(1<<i) == 0 {
			continue
		}
		for at := info.HookEntry[i]; at < info.Underflow[i]; {
			entry, target, next := l.entry(blob, at)
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

// names gives the names of the chains that users made, by the offset of
// their first rule, which is what a jump holds. The entry before that is a target
// ERROR with the name.
func (l legacyLayout) names(blob []byte) map[int32]string {
	names := make(map[int32]string)
	for at := uint32(0); ; {
		entry, target, next := l.entry(blob, at)
		if entry == nil {
			return names
		}
		at += next
		if cstring(target[2:xtTargetHeader-1]) == "ERROR" {
			names[int32(at)] = cstring(target[xtTargetHeader:])
		}
	}
}

// entry gives the rule at an offset, its target and its length; nil at the end.
func (l legacyLayout) entry(blob []byte, at uint32) (entry, target []byte, next uint32) {
	if int(at)+l.length > len(blob) {
		return nil, nil, 0
	}
	offset := uint32(binary.NativeEndian.Uint16(blob[at+l.offsets:]))
	next = uint32(binary.NativeEndian.Uint16(blob[at+l.offsets+2:]))
	if int(next) < l.length || int(at+next) > len(blob) || offset+xtTargetHeader > next {
		return nil, nil, 0
	}
	entry = blob[at : at+next]
	return entry, entry[offset:], next
}
