package caps

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// LastCap returns the number of the highest capability that the kernel
// supports. It asks prctl(2) instead of /proc/sys/kernel/cap_last_cap, so it
// needs no /proc.
func LastCap() (int, error) {
	// PR_CAPBSET_READ answers EINVAL above the last one. Every kernel has
	// capability 0, and struct user_cap_data ends at 63.
	low, high := 0, 64
	for high-low > 1 {
		mid := (low + high) / 2
		_, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(mid), 0, 0, 0)
		switch err {
		case nil:
			low = mid
		case unix.EINVAL:
			high = mid
		default:
			return 0, fmt.Errorf("reading capability %d of the bounding set: %w", mid, err)
		}
	}
	return low, nil
}

// Available returns what the calling thread can pass on to a container: the
// permitted set, which capset(2) can draw from, cut to the bounding set, which
// execve(2) enforces. On a host that lacks a capability, or inside another
// container, it is smaller than the kernel's full set.
func Available() (Set, error) {
	permitted, err := permittedSet()
	if err != nil {
		return 0, err
	}
	var s Set
	for n := range 64 {
		if !permitted.Has(n) {
			continue
		}
		in, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0)
		if err != nil {
			return 0, fmt.Errorf("reading capability %d of the bounding set: %w", n, err)
		}
		if in == 1 {
			s |= 1 << n
		}
	}
	return s, nil
}

func permittedSet() (Set, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // version 3 fills two
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, fmt.Errorf("reading the capabilities of the process: %w", err)
	}
	return Set(data[0].Permitted) | Set(data[1].Permitted)<<32, nil
}
