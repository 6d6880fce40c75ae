package compile

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// maxErrno is the largest errno a filter can return: the kernel cuts larger
// ones to it (MAX_ERRNO in linux/err.h).
const maxErrno = 4095

const enosys = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)

// returnValue gives the SECCOMP_RET_* word of an action. data is the errno or
// the ptrace message; without it, both are EPERM (OCI runtime-spec,
// config-linux.md, seccomp).
func returnValue(action specs.LinuxSeccompAction, data *uint) (uint32, error) {
	switch action {
	case specs.ActErrno:
		return withData(unix.SECCOMP_RET_ERRNO, data, maxErrno)
	case specs.ActTrace:
		return withData(unix.SECCOMP_RET_TRACE, data, unix.SECCOMP_RET_DATA)
	}
	if data != nil {
		return 0, fmt.Errorf("action %q takes no errnoRet", action)
	}
	switch action {
	case specs.ActAllow:
		return unix.SECCOMP_RET_ALLOW, nil
	case specs.ActLog:
		return unix.SECCOMP_RET_LOG, nil
	case specs.ActTrap:
		return unix.SECCOMP_RET_TRAP, nil
	case specs.ActKill, specs.ActKillThread:
		return unix.SECCOMP_RET_KILL_THREAD, nil
	case specs.ActKillProcess:
		return unix.SECCOMP_RET_KILL_PROCESS, nil
	case specs.ActNotify:
		return 0, fmt.Errorf("action %q is not supported: it needs a listening agent", action)
	}
	return 0, fmt.Errorf("unknown action %q", action)
}

func withData(ret uint32, data *uint, limit uint) (uint32, error) {
	if data == nil {
		return ret | uint32(unix.EPERM), nil
	}
	if *data > limit {
		return 0, fmt.Errorf("errnoRet %d is above %d", *data, limit)
	}
	return ret | uint32(*data), nil
}

// refuses reports whether ret keeps the call from running.
func refuses(ret uint32) bool {
	switch ret & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_LOG, unix.SECCOMP_RET_TRACE:
		return false
	}
	return true
}
