package seccomp

import (
	"errors"
	"fmt"
	goruntime "runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// DefaultFlags are the flags of seccomp(2) that suit a container: with
// SPEC_ALLOW the filter does not turn on the Speculative Store Bypass
// mitigation, which costs the container speed. runc's default is the same.
const DefaultFlags = unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW

// Load puts the filter on the calling thread, for good; threads and processes
// it creates from then on inherit it, and execve(2) keeps it. Call it with the
// goroutine locked to its thread. flags are SECCOMP_FILTER_FLAG_* bits.
//
// It fails with EACCES unless the thread has CAP_SYS_ADMIN in its user
// namespace or has set no_new_privs, and with EINVAL for a program the kernel
// refuses. See seccomp(2).
func Load(filter []unix.SockFilter, flags uint) error {
	if len(filter) == 0 || len(filter) > 1<<16-1 {
		return fmt.Errorf("loading seccomp filter: %d instructions: %w", len(filter), unix.EINVAL)
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		uintptr(flags), uintptr(unsafe.Pointer(&prog)))
	goruntime.KeepAlive(filter)
	if errno != 0 {
		return fmt.Errorf("loading seccomp filter: %w", errno)
	}
	return nil
}

// ErrNoDefault is returned by [Default] on an architecture for which no filter
// has been generated.
var ErrNoDefault = errors.New("no default seccomp filter for this architecture")
