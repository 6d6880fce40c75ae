package nsinit

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	arenaSize    = 1 << 20 // bytes; untouched pages cost nothing
	maxCalls     = 1024
	maxTolerated = 3
)

// kinds of calls; plain is a system call, the others are for the interpreter.
const (
	plain       = iota
	pause       // tell the parent, wait for its answer
	fork        // continue in a child of the same parent, see Program.Fork
	reaper      // continue in a child and look after it, see Program.Reaper
	closeOthers // close every file but the standard streams and some
	exec        // execve; returns only on failure, then the next call is tried
	noexec      // no exec succeeded: report the error that tells most
	end
)

// call is one entry of the list, laid out in memory shared with the child.
type call struct {
	kind      uintptr
	nr        uintptr
	args      [6]uintptr
	fromReg   uintptr // bit i: args[i] is the number of a register, not a value
	toReg     uintptr // 1 + register that takes the result; 0 for none
	tolerated [maxTolerated]uintptr
}

// arena is the shared memory: the list, then the bytes its arguments point to.
type arena struct {
	calls [maxCalls]call
	bytes [arenaSize - maxCalls*unsafe.Sizeof(call{})]byte
}

// Program is a list of system calls for a child to carry out. The zero value
// is not usable; see [New]. It is not safe for concurrent use.
type Program struct {
	mem   []byte
	arena *arena
	used  int      // bytes of arena.bytes in use
	names []string // of the calls, for errors
	err   error    // first failure to record a call
}

// Reg is a register of the child: it holds the result of a call, such as a
// file descriptor, for later calls.
type Reg uintptr

// NumRegs is how many registers there are.
const NumRegs = 8

// Tolerate lists errors of a call that do not stop the program.
type Tolerate []unix.Errno

// New makes an empty program. The error is mmap(2)'s.
func New() (*Program, error) {
	mem, err := unix.Mmap(-1, 0, arenaSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("mapping %d bytes for an init program: %w", arenaSize, err)
	}
	return &Program{mem: mem, arena: (*arena)(unsafe.Pointer(&mem[0]))}, nil
}

// Close releases the memory. The child keeps its own mapping.
func (p *Program) Close() error { return unix.Munmap(p.mem) }

// Len is the number of calls recorded so far.
func (p *Program) Len() int { return len(p.names) }

// Err is the first error met while recording; Start returns it too.
func (p *Program) Err() error { return p.err }

// Names lists the calls in order, as errors would show them.
func (p *Program) Names() []string { return append([]string(nil), p.names...) }

// Call records a system call. Args are integers, strings (passed as pointers
// to NUL-terminated bytes), []string (pointers to a NULL-terminated array),
// []byte (pointers to a copy), or a [Reg]. Name is shown when it fails.
func (p *Program) Call(name string, tolerate Tolerate, nr uintptr, args ...any) {
	p.record(name, call{kind: plain, nr: nr}, tolerate, args)
}

// CallTo is Call, and keeps the result in a register.
func (p *Program) CallTo(to Reg, name string, tolerate Tolerate, nr uintptr, args ...any) {
	p.record(name, call{kind: plain, nr: nr, toReg: uintptr(to) + 1}, tolerate, args)
}

// Pause records a point where the child reports and waits for [Child.Resume].
func (p *Program) Pause() { p.record("pause", call{kind: pause}, nil, nil) }

// Fork records that the child forks and its child goes on with the program, as
// a child of the same parent (CLONE_PARENT). It is needed after setns(2) into
// a PID namespace, which only children enter.
func (p *Program) Fork() { p.record("fork", call{kind: fork}, nil, nil) }

// CloseOthers records that the child closes all files but 0, 1, 2, those in
// keep, in ascending order, and its channel to the parent. It has copies of
// all that the parent has open.
func (p *Program) CloseOthers(keep ...int) {
	args := make([]any, len(keep))
	for i, fd := range keep {
		args[i] = fd
	}
	p.record("close other files", call{kind: closeOthers}, nil, args)
}

// Reaper records that the child forks, and its child goes on with the program,
// while it stays as the parent: it hands signals on, reaps orphans, and exits
// as its child does. It is for a program that does not behave as process 1 of
// a PID namespace should (pid_namespaces(7)).
func (p *Program) Reaper() { p.record("fork a child below a small init", call{kind: reaper}, nil, nil) }

// Exec records execve(2) of each path in turn until one succeeds. A path that
// does not exist or may not be run leads to the next one, as execvp(3) does.
func (p *Program) Exec(paths, argv, envp []string) {
	argvAddr, envpAddr := p.strings(argv), p.strings(envp)
	for _, path := range paths {
		p.record("exec "+path, call{kind: exec, nr: unix.SYS_EXECVE}, nil, []any{path, argvAddr, envpAddr})
	}
	name := "exec"
	if len(argv) > 0 {
		name = "exec " + argv[0]
	}
	p.record(name, call{kind: noexec}, nil, nil)
}

func (p *Program) record(name string, c call, tolerate Tolerate, args []any) {
	if p.err != nil {
		return
	}
	if len(p.names) >= maxCalls-1 {
		p.err = fmt.Errorf("init program has more than %d system calls", maxCalls-1)
		return
	}
	if len(args) > len(c.args) || len(tolerate) > maxTolerated {
		p.err = fmt.Errorf("recording %s: too many arguments", name)
		return
	}
	for i, a := range args {
		v, isReg, err := p.value(a)
		if err != nil {
			p.err = fmt.Errorf("recording %s: %w", name, err)
			return
		}
		c.args[i] = v
		if isReg {
			c.fromReg |= 1 << i
		}
	}
	for i, e := range tolerate {
		c.tolerated[i] = uintptr(e)
	}
	p.arena.calls[len(p.names)] = c
	p.names = append(p.names, name)
	p.arena.calls[len(p.names)] = call{kind: end}
}

func (p *Program) value(a any) (v uintptr, isReg bool, err error) {
	switch a := a.(type) {
	case nil:
		return 0, false, nil
	case int:
		return uintptr(a), false, nil
	case uint32:
		return uintptr(a), false, nil
	case uint64:
		return uintptr(a), false, nil
	case uintptr:
		return a, false, nil
	case Reg:
		return uintptr(a), true, nil
	case string:
		return p.Bytes(append([]byte(a), 0)), false, p.err
	case []byte:
		return p.Bytes(a), false, p.err
	case []string:
		return p.strings(a), false, p.err
	}
	return 0, false, fmt.Errorf("an argument of type %T", a)
}

// Bytes copies b into the arena, aligned for any type, and returns its address.
// The child sees the copy at the same address, so it can stand in a structure
// that another argument points to.
func (p *Program) Bytes(b []byte) uintptr {
	start := (p.used + 7) &^ 7
	if start+len(b) > len(p.arena.bytes) {
		p.err = errors.New("the arguments and environment are too long for an init program")
		return 0
	}
	p.used = start + len(b)
	copy(p.arena.bytes[start:], b)
	return uintptr(unsafe.Pointer(&p.arena.bytes[0])) + uintptr(start)
}

func (p *Program) strings(list []string) uintptr {
	ptrs := make([]uintptr, len(list)+1)
	for i, s := range list {
		ptrs[i] = p.Bytes(append([]byte(s), 0))
	}
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&ptrs[0])), len(ptrs)*int(unsafe.Sizeof(ptrs[0])))
	return p.Bytes(raw)
}

// int32At reads what the kernel wrote at an address that Bytes returned.
func (p *Program) int32At(addr uintptr) int32 {
	offset := addr - uintptr(unsafe.Pointer(&p.arena.bytes[0]))
	return *(*int32)(unsafe.Pointer(&p.arena.bytes[offset]))
}
