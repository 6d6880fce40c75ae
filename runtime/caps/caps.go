package caps

import (
	"math/bits"
	"slices"
)

// names are the capabilities by number (linux/capability.h). An array, so
// that the program starts without running code for it.
var names = [...]string{
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH",
	"CAP_FOWNER",
	"CAP_FSETID",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST",
	"CAP_NET_ADMIN",
	"CAP_NET_RAW",
	"CAP_IPC_LOCK",
	"CAP_IPC_OWNER",
	"CAP_SYS_MODULE",
	"CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE",
	"CAP_SYS_PACCT",
	"CAP_SYS_ADMIN",
	"CAP_SYS_BOOT",
	"CAP_SYS_NICE",
	"CAP_SYS_RESOURCE",
	"CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG",
	"CAP_MKNOD",
	"CAP_LEASE",
	"CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL",
	"CAP_SETFCAP",
	"CAP_MAC_OVERRIDE",
	"CAP_MAC_ADMIN",
	"CAP_SYSLOG",
	"CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ",
	"CAP_PERFMON",
	"CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
}

// DefaultSet is [Default] as a bit mask.
const DefaultSet Set = 0xa80425fb

// Set is a set of capabilities: bit n stands for capability number n.
type Set uint64

// Default returns the names of the capabilities that Docker gives a container
// when none are added or dropped, by number. The slice is the caller's.
func Default() []string { return DefaultSet.Names() }

// All returns the names of all capabilities known to this package, by number.
func All() []string { return slices.Clone(names[:]) }

// Number returns the number of a capability, for prctl(2).
func Number(name string) (int, bool) {
	i := slices.Index(names[:], name)
	return i, i >= 0
}

// SetOf collects names. A name it does not know adds nothing, so it can only
// take away: use [Resolve] or [Normalize] first to refuse such names.
func SetOf(list []string) Set {
	var s Set
	for _, name := range list {
		if n, ok := Number(name); ok {
			s |= 1 << n
		}
	}
	return s
}

// Masks returns the names as the two words that capset(2) takes: lo holds
// capabilities 0 to 31, hi the others. Unknown names are treated as in
// [SetOf].
func Masks(list []string) (lo, hi uint32) { return SetOf(list).Words() }

// Words returns the set as the two words that capset(2) takes.
func (s Set) Words() (lo, hi uint32) { return uint32(s), uint32(s >> 32) }

// Has reports whether the set holds capability number n.
func (s Set) Has(n int) bool { return n >= 0 && n < 64 && s>>n&1 == 1 }

// Names returns the known names of the set's members, by number.
func (s Set) Names() []string {
	list := make([]string, 0, bits.OnesCount64(uint64(s)))
	for n, name := range names {
		if s.Has(n) {
			list = append(list, name)
		}
	}
	return list
}

// Intersect splits names into those in have and those that are not, keeping
// their order.
func Intersect(list []string, have Set) (kept, missing []string) {
	for _, name := range list {
		if n, ok := Number(name); ok && have.Has(n) {
			kept = append(kept, name)
		} else {
			missing = append(missing, name)
		}
	}
	return kept, missing
}
