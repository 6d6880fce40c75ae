package nsinit

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// reaperName is what ps shows for the small init.
var reaperName = [16]byte{'m', 'i', 'n', 'i', '-', 'i', 'n', 'i', 't'}

// lookAfter is the life of the small init of [Program.Reaper]: wait for
// signals, hand them to child, reap whoever ends, exit as child did. Like the
// rest of the child it may only use raw system calls.
//
// Signals are blocked and taken with rt_sigtimedwait(2): the kernel drops
// unblocked signals without a handler that are sent to process 1.
//
//go:norace
//go:nosplit
func lookAfter(child uintptr) {
	all := ^uint64(0)
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)), 0, 8, 0, 0)
	// Nobody in the container may look into this process: it is a copy of the monitor.
	unix.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0, 0, 0, 0)
	unix.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_NAME, uintptr(unsafe.Pointer(&reaperName)), 0, 0, 0, 0)
	unix.RawSyscall(unix.SYS_CLOSE_RANGE, 3, uintptr(^uint32(0)), 0)
	for {
		reapAll(child)
		sig, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&all)), 0, 0, 8, 0, 0)
		if errno == 0 && sig != uintptr(unix.SIGCHLD) {
			unix.RawSyscall(unix.SYS_KILL, child, sig, 0)
		}
	}
}

// reapAll waits for every process that has ended, and exits if it was child.
//
//go:norace
//go:nosplit
func reapAll(child uintptr) {
	for {
		var status uint32
		pid, _, errno := unix.RawSyscall6(unix.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&status)), unix.WNOHANG, 0, 0, 0)
		if errno != 0 || pid == 0 {
			return
		}
		if pid != child {
			continue
		}
		code := uintptr(status>>8) & 0xff
		if sig := status & 0x7f; sig != 0 {
			code = 128 + uintptr(sig)
		}
		unix.RawSyscall(unix.SYS_EXIT_GROUP, code, 0, 0)
	}
}

// leadTerminal puts the reaper's child in a process group of its own, and in
// the foreground of the terminal if there is one, so that ^C reaches it.
//
//go:norace
//go:nosplit
func leadTerminal() {
	block := uint64(1) << (uint(unix.SIGTTOU) - 1) // else TIOCSPGRP stops a background process
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_BLOCK, uintptr(unsafe.Pointer(&block)), 0, 8, 0, 0)
	unix.RawSyscall(unix.SYS_SETPGID, 0, 0, 0)
	pid, _, _ := unix.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
	group := int32(pid)
	unix.RawSyscall(unix.SYS_IOCTL, 0, unix.TIOCSPGRP, uintptr(unsafe.Pointer(&group)))
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_UNBLOCK, uintptr(unsafe.Pointer(&block)), 0, 8, 0, 0)
}
