package compile_test

import (
	"encoding/binary"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/runtime/seccomp/compile"
)

// call is a struct seccomp_data without the instruction pointer.
type call struct {
	nr, audit uint32
	args      [6]uint64
}

// machine runs a compiled filter.
type machine struct{ vm *bpf.VM }

func newMachine(t testing.TB, prog []unix.SockFilter) machine {
	t.Helper()
	raw := make([]bpf.RawInstruction, len(prog))
	for i, p := range prog {
		raw[i] = bpf.RawInstruction{Op: p.Code, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	instructions, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("the program holds an unknown instruction")
	}
	vm, err := bpf.NewVM(instructions)
	if err != nil {
		t.Fatal(err)
	}
	return machine{vm}
}

func (m machine) run(t testing.TB, c call) uint32 {
	t.Helper()
	// The VM reads packets, big-endian; seccomp reads words of the machine.
	var data [64]byte
	binary.BigEndian.PutUint32(data[0:], c.nr)
	binary.BigEndian.PutUint32(data[4:], c.audit)
	for i, a := range c.args {
		binary.BigEndian.PutUint32(data[16+8*i:], uint32(a))
		binary.BigEndian.PutUint32(data[20+8*i:], uint32(a>>32))
	}
	ret, err := m.vm.Run(data[:])
	if err != nil {
		t.Fatal(err)
	}
	return uint32(ret)
}

// model evaluates a profile the slow way: rule by rule, for one call. It
// shares the number tables with the compiler, and nothing else.
type model struct {
	profile *specs.LinuxSeccomp
	calls   map[uint32]map[string]uint32 // by AUDIT_ARCH_*, then name
	newest  map[uint32]int               // by AUDIT_ARCH_*; -1 for none
}

func newModel(p *specs.LinuxSeccomp) model {
	m := model{profile: p, calls: map[uint32]map[string]uint32{}, newest: map[uint32]int{}}
	for _, name := range p.Architectures {
		audit, ok := map[specs.Arch]uint32{
			specs.ArchX86_64: unix.AUDIT_ARCH_X86_64, specs.ArchX86: unix.AUDIT_ARCH_I386,
			specs.ArchAARCH64: unix.AUDIT_ARCH_AARCH64, specs.ArchARM: unix.AUDIT_ARCH_ARM,
		}[name]
		if !ok {
			continue
		}
		m.calls[audit] = map[string]uint32{}
		m.newest[audit] = -1
		for _, s := range p.Syscalls {
			for _, call := range s.Names {
				if nr, ok := compile.Number(name, call); ok {
					m.calls[audit][call] = nr
					if nr < 0xf0000 {
						m.newest[audit] = max(m.newest[audit], int(nr))
					}
				}
			}
		}
	}
	return m
}

func (m model) run(t testing.TB, c call) uint32 {
	t.Helper()
	numbers, ok := m.calls[c.audit]
	if !ok {
		return unix.SECCOMP_RET_KILL_PROCESS
	}
	if c.audit == unix.AUDIT_ARCH_X86_64 && c.nr&0xc0000000 != 0 {
		return unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	}
	named := false
	for _, s := range m.profile.Syscalls {
		for _, name := range s.Names {
			nr, ok := numbers[name]
			if !ok || nr != c.nr {
				continue
			}
			named = true
			if argsMatch(c, name, s.Args) {
				return word(t, s.Action, s.ErrnoRet)
			}
		}
	}
	if !named && m.tooNew(c) {
		return unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	}
	return word(t, m.profile.DefaultAction, m.profile.DefaultErrnoRet)
}

func (m model) tooNew(c call) bool {
	if c.audit == unix.AUDIT_ARCH_ARM && c.nr >= 0xf0000 {
		return false
	}
	if m.profile.DefaultAction == specs.ActAllow || m.profile.DefaultAction == specs.ActLog {
		return false
	}
	newest := m.newest[c.audit]
	return newest >= 0 && int(c.nr) > newest
}

func argsMatch(call call, name string, conds []specs.LinuxSeccompArg) bool {
	narrow := call.audit == unix.AUDIT_ARCH_I386 || call.audit == unix.AUDIT_ARCH_ARM
	count := map[uint]int{}
	for _, c := range conds {
		count[c.Index]++
	}
	matched := 0
	for _, c := range conds {
		v := call.args[c.Index]
		if narrow || compile.Truncated(name, c.Index) {
			v &= 0xffffffff
		}
		if argMatches(c, v) {
			matched++
		}
	}
	for _, n := range count {
		if n > 1 {
			return matched > 0
		}
	}
	return matched == len(conds)
}

func argMatches(c specs.LinuxSeccompArg, v uint64) bool {
	switch c.Op {
	case specs.OpNotEqual:
		return v != c.Value
	case specs.OpLessThan:
		return v < c.Value
	case specs.OpLessEqual:
		return v <= c.Value
	case specs.OpEqualTo:
		return v == c.Value
	case specs.OpGreaterEqual:
		return v >= c.Value
	case specs.OpGreaterThan:
		return v > c.Value
	}
	return v&c.Value == c.ValueTwo
}

func word(t testing.TB, action specs.LinuxSeccompAction, errno *uint) uint32 {
	t.Helper()
	data := uint32(unix.EPERM)
	if errno != nil {
		data = uint32(*errno)
	}
	switch action {
	case specs.ActErrno:
		return 0x00050000 | data
	case specs.ActTrace:
		return 0x7ff00000 | data
	case specs.ActAllow:
		return 0x7fff0000
	case specs.ActLog:
		return 0x7ffc0000
	case specs.ActTrap:
		return 0x00030000
	case specs.ActKillProcess:
		return 0x80000000
	case specs.ActKill, specs.ActKillThread:
		return 0
	}
	t.Fatalf("the model does not know action %q", action)
	return 0
}

// numbers are the call numbers worth trying: all that any architecture has,
// and the edges of the special ranges.
func numbers() []uint32 {
	list := []uint32{0xeffff, 0x3fffffff, 0x40000000, 0x40000001, 0x7fffffff, 0xbfffffff, 0xfffffffe, 0xffffffff}
	for nr := range uint32(700) {
		list = append(list, nr)
	}
	for nr := range uint32(16) {
		list = append(list, 0xf0000+nr)
	}
	return list
}

// argValues are the values around every constant of the profile's rules for an
// argument, with and without bits above the lower half.
func argValues(p *specs.LinuxSeccomp) []uint64 {
	seen := map[uint64]bool{0: true, 1 << 32: true, ^uint64(0): true}
	for _, s := range p.Syscalls {
		for _, a := range s.Args {
			for _, v := range []uint64{a.Value, a.ValueTwo} {
				for _, near := range []uint64{v - 1, v, v + 1, v &^ (v & -v)} {
					seen[near] = true
					seen[near|1<<32] = true
					seen[near&0xffffffff] = true
				}
			}
		}
	}
	list := make([]uint64, 0, len(seen))
	for v := range seen {
		list = append(list, v)
	}
	return list
}
