package devices

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// instruction is struct bpf_insn of linux/bpf.h.
type instruction struct {
	code uint8
	regs uint8 // destination in the low half, source in the high one
	off  int16
	imm  int32
}

// Registers: the kernel passes the context in r1 and takes the result in r0.
const (
	r0 = iota
	r1
	rRest // access bits that no rule has decided yet
	rKind
	rMajor
	rMinor
	rScratch
)

// Opcodes; see Documentation/bpf/standardization/instruction-set.rst. Loads of
// 32 bits clear the upper half of the register, so 64-bit comparisons serve.
const (
	load32  = unix.BPF_LDX | unix.BPF_MEM | unix.BPF_W
	movImm  = unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_K
	movReg  = unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_X
	andImm  = unix.BPF_ALU64 | unix.BPF_AND | unix.BPF_K
	rshImm  = unix.BPF_ALU64 | unix.BPF_RSH | unix.BPF_K
	jeqImm  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	jneImm  = unix.BPF_JMP | unix.BPF_JNE | unix.BPF_K
	jump    = unix.BPF_JMP | unix.BPF_JA
	exitNow = unix.BPF_JMP | unix.BPF_EXIT
)

// maxRules keeps the longest program (6 instructions a rule) under the 4096
// that every kernel accepts.
const maxRules = 600

// builder collects a program. The kernel's verifier follows every path, and
// that is nearly all of what Attach costs. So neighbouring rules share their
// test of type and major number, and the results stand once, at the end.
type builder struct {
	prog   []instruction
	open   [2]group // by type, and inside it by major number
	grants []int    // jumps to "granted"
	ends   []int    // jumps to "granted if nothing is left to decide"
}

// group is a run of rules behind one test. The zero value is no group.
type group struct {
	is    bool
	value int32
	skip  int // the jump for requests that the group does not cover
}

// program compiles the rules. It costs a microsecond, so that the default
// rules need no table of their own.
func program(rules []specs.LinuxDeviceCgroup) ([]instruction, error) {
	if len(rules) > maxRules {
		return nil, fmt.Errorf("compiling device rules: %d rules, at most %d fit", len(rules), maxRules)
	}
	parsed := make([]rule, len(rules))
	for i := range rules {
		var err error
		if parsed[i], err = parse(&rules[i]); err != nil {
			return nil, fmt.Errorf("compiling device rule %d: %w", i, err)
		}
	}
	b := builder{prog: make([]instruction, 0, 12+6*len(rules))}
	// struct bpf_cgroup_dev_ctx: u32 access_type (access<<16 | type), major, minor.
	b.add(load32, rKind, r1, 0, 0)
	b.add(movReg, rRest, rKind, 0, 0)
	b.add(rshImm, rRest, 0, 0, 16)
	b.add(andImm, rKind, 0, 0, 0xffff)
	b.add(load32, rMajor, r1, 4, 0)
	b.add(load32, rMinor, r1, 8, 0)
	for i := len(parsed) - 1; i >= 0; i-- {
		if parsed[i].always() {
			// The rules before it cannot matter, and the verifier refuses code
			// that is never reached.
			b.keepGroups(nil)
			b.finish(parsed[i].allow)
			return b.prog, nil
		}
		b.rule(parsed[i])
	}
	b.keepGroups(nil)
	b.finish(false)
	return b.prog, nil
}

// always reports whether r covers every request.
func (r rule) always() bool {
	return r.kind == wildcard && r.major == wildcard && r.minor == wildcard && r.access == allAccess
}

// registers of the fields of a rule, widest first.
var registers = [3]uint8{rKind, rMajor, rMinor}

// rule adds the checks of r, which is no always rule. A request that it does
// not cover continues behind it.
func (b *builder) rule(r rule) {
	fields := []int32{r.kind, r.major, r.minor}
	for len(fields) > 0 && fields[len(fields)-1] == wildcard {
		fields = fields[:len(fields)-1]
	}
	if r.access == allAccess {
		// No bit is left over, so the last test itself jumps to the result.
		last := len(fields) - 1
		b.keepGroups(fields[:last])
		jump := b.add(jeqImm, registers[last], 0, 0, fields[last])
		if r.allow {
			b.grants = append(b.grants, jump)
		} else {
			b.ends = append(b.ends, jump)
		}
		return
	}
	b.keepGroups(fields[:min(len(fields), len(b.open))])
	if len(fields) < len(registers) {
		b.effect(r)
		return
	}
	skip := b.add(jneImm, rMinor, 0, 0, r.minor)
	b.effect(r)
	b.land(skip, len(b.prog))
}

// keepGroups closes the groups that differ from fields and opens those that
// are missing.
func (b *builder) keepGroups(fields []int32) {
	want := [2]int32{wildcard, wildcard}
	copy(want[:], fields)
	same := 0
	for same < len(want) && b.open[same].is == (want[same] != wildcard) &&
		(!b.open[same].is || b.open[same].value == want[same]) {
		same++
	}
	for i := same; i < len(want); i++ {
		if b.open[i].is {
			b.land(b.open[i].skip, len(b.prog))
		}
		b.open[i] = group{}
	}
	for i := same; i < len(want); i++ {
		if want[i] != wildcard {
			b.open[i] = group{true, want[i], b.add(jneImm, registers[i], 0, 0, want[i])}
		}
	}
}

// effect adds what a rule does to a request that it covers in part.
func (b *builder) effect(r rule) {
	if r.allow {
		b.add(andImm, rRest, 0, 0, allAccess&^r.access)
		b.grants = append(b.grants, b.add(jeqImm, rRest, 0, 0, 0))
		return
	}
	b.add(movReg, rScratch, rRest, 0, 0)
	b.add(andImm, rScratch, 0, 0, r.access)
	// Something that is refused is left, so the end refuses.
	b.ends = append(b.ends, b.add(jneImm, rScratch, 0, 0, 0))
}

// finish adds the results. Nothing left to decide can also mean that nothing
// was asked, as by access(2) for X_OK.
func (b *builder) finish(grant bool) {
	if !grant || len(b.ends) > 0 {
		if grant {
			b.grants = append(b.grants, b.add(jump, 0, 0, 0, 0))
		}
		for _, i := range b.ends {
			b.land(i, len(b.prog))
		}
		b.grants = append(b.grants, b.add(jeqImm, rRest, 0, 0, 0))
		b.add(movImm, r0, 0, 0, 0)
		b.add(exitNow, 0, 0, 0, 0)
	}
	for _, i := range b.grants {
		b.land(i, len(b.prog))
	}
	b.add(movImm, r0, 0, 0, 1)
	b.add(exitNow, 0, 0, 0, 0)
}

// land makes the jump at from go to the instruction at to.
func (b *builder) land(from, to int) { b.prog[from].off = int16(to - from - 1) }

// add appends an instruction and returns its index.
func (b *builder) add(code, dst, src uint8, off int16, imm int32) int {
	b.prog = append(b.prog, instruction{code: code, regs: dst | src<<4, off: off, imm: imm})
	return len(b.prog) - 1
}
