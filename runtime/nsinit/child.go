package nsinit

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The functions in this file run in the child, between fork and exec. Only the
// forking thread exists there: no scheduler, no garbage collector, no locks
// that another thread may have held. So they may not allocate, grow the stack
// (hence nosplit), block through the runtime, or be instrumented (norace).
// Package syscall's forkAndExecInChild lives under the same rules.

//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

//go:linkname afterForkInChild syscall.runtime_AfterForkInChild
func afterForkInChild()

// report is what the child writes to its parent.
type report struct {
	kind  uint32 // 'm' paused, 'f' forked (value is the new pid), 'e' failed
	call  uint32
	value int64 // errno or pid
}

const reportSize = unsafe.Sizeof(report{})

// cloneArgs is struct clone_args of clone3(2), version 2 (Linux 5.7).
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal uint64
	stack, stackSize, tls, setTID, setTIDSize     uint64
	cgroup                                        uint64
}

// forkAndInterpret forks with clone3(2) and never returns in the child.
//
//go:norace
//go:noinline
func forkAndInterpret(a *arena, args *cloneArgs, channel, parentEnd uintptr) (pid uintptr, errno unix.Errno) {
	beforeFork()
	pid, errno = rawClone3(args)
	if errno != 0 || pid != 0 {
		afterFork()
		return pid, errno
	}
	afterForkInChild()
	// A copy of the parent's end would keep the channel open after the parent
	// closed it, and a paused child would wait for ever.
	unix.RawSyscall(unix.SYS_CLOSE, parentEnd, 0, 0)
	resetSignals()
	interpret(a, channel)
	return 0, 0
}

//go:norace
//go:nosplit
func rawClone3(args *cloneArgs) (uintptr, unix.Errno) {
	pid, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(args)), unsafe.Sizeof(*args), 0)
	return pid, errno
}

// interpret carries out the calls. It ends in execve or exit.
//
//go:norace
//go:nosplit
func interpret(a *arena, channel uintptr) {
	var (
		regs   [NumRegs]uintptr
		denied unix.Errno // the most telling failure of exec so far
		r      report
	)
	for i := 0; i < maxCalls; i++ {
		c := &a.calls[i]
		r.call = uint32(i)
		switch c.kind {
		case plain, exec:
			result, errno := perform(c, &regs)
			if errno == 0 {
				if c.toReg != 0 {
					regs[c.toReg-1] = result
				}
				continue
			}
			if c.kind == exec {
				denied = worse(denied, errno)
				continue
			}
			if tolerated(c, errno) {
				continue
			}
			r.kind, r.value = 'e', int64(errno)
			quit(channel, &r)
		case pause:
			r.kind = 'm'
			if !tell(channel, &r) || !hear(channel, &r) {
				quit(channel, nil)
			}
		case fork:
			pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, unix.CLONE_PARENT|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
			if errno != 0 {
				r.kind, r.value = 'e', int64(errno)
				quit(channel, &r)
			}
			if pid != 0 {
				r.kind, r.value = 'f', int64(pid)
				quit(channel, &r)
			}
		case closeOthers:
			closeAllBut(channel, &c.args)
		case reaper:
			pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
			if errno != 0 {
				r.kind, r.value = 'e', int64(errno)
				quit(channel, &r)
			}
			if pid != 0 {
				lookAfter(pid)
			}
			leadTerminal()
		case noexec:
			r.kind, r.value = 'e', int64(denied)
			quit(channel, &r)
		default:
			r.kind, r.value = 'e', int64(unix.ENOSYS)
			quit(channel, &r)
		}
	}
}

// resetSignals gives every signal its default action. The parent may have been
// started with some of them ignored, as nohup(1) does, and execve(2) keeps that.
//
//go:norace
//go:nosplit
func resetSignals() {
	var action [4]uintptr // struct sigaction of the kernel; all zero is SIG_DFL
	for sig := uintptr(1); sig <= 64; sig++ {
		// EINVAL for SIGKILL and SIGSTOP.
		unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
	}
	var none uint64
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&none)), 0, 8, 0, 0)
}

// closeAllBut closes the ranges between the descriptors that are kept: those
// in keep, ascending, with 0 as the end, and the channel.
//
//go:norace
//go:nosplit
func closeAllBut(channel uintptr, keep *[6]uintptr) {
	from := uintptr(3)
	k, channelDone := 0, false
	for {
		next := uintptr(0)
		if k < len(keep) {
			next = keep[k]
		}
		if !channelDone && (next == 0 || channel < next) {
			next, channelDone = channel, true
		} else if next != 0 {
			k++
		}
		if next == 0 {
			break
		}
		if next > from {
			unix.RawSyscall(unix.SYS_CLOSE_RANGE, from, next-1, 0)
		}
		from = next + 1
	}
	unix.RawSyscall(unix.SYS_CLOSE_RANGE, from, uintptr(^uint32(0)), 0)
}

//go:norace
//go:nosplit
func perform(c *call, regs *[NumRegs]uintptr) (uintptr, unix.Errno) {
	args := c.args
	for j := uintptr(0); j < uintptr(len(args)); j++ {
		if c.fromReg&(1<<j) != 0 {
			args[j] = regs[args[j]%NumRegs]
		}
	}
	result, _, errno := unix.RawSyscall6(c.nr, args[0], args[1], args[2], args[3], args[4], args[5])
	return result, errno
}

//go:norace
//go:nosplit
func tolerated(c *call, errno unix.Errno) bool {
	for j := 0; j < maxTolerated; j++ {
		if c.tolerated[j] == uintptr(errno) {
			return true
		}
	}
	return false
}

// worse picks the failure of execve that says more: "permission denied" about
// one directory of PATH outlives "not found" about the next, as in execvp(3).
//
//go:norace
//go:nosplit
func worse(before, now unix.Errno) unix.Errno {
	if before != 0 && (now == unix.ENOENT || now == unix.ENOTDIR) {
		return before
	}
	return now
}

//go:norace
//go:nosplit
func tell(channel uintptr, r *report) bool {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, channel, uintptr(unsafe.Pointer(r)), reportSize)
	return errno == 0 && n == reportSize
}

//go:norace
//go:nosplit
func hear(channel uintptr, r *report) bool {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, channel, uintptr(unsafe.Pointer(r)), reportSize)
		if errno == unix.EINTR {
			continue
		}
		return errno == 0 && n != 0
	}
}

// quit tells the parent why, if there is something to tell, and exits.
//
//go:norace
//go:nosplit
func quit(channel uintptr, r *report) {
	if r != nil {
		tell(channel, r)
	}
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 1, 0, 0)
	}
}
