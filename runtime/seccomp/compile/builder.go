package compile

import (
	"slices"

	"golang.org/x/sys/unix"
)

// The classic BPF operations in use; see linux/bpf_common.h.
const (
	ldw   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	andK  = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	ja    = unix.BPF_JMP | unix.BPF_JA
	jeq   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	jge   = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	jgt   = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K
	retK  = unix.BPF_RET | unix.BPF_K
	reach = 250 // how far a conditional jump is used; its field ends at 255
)

// label names an instruction that has been emitted.
type label int

// builder assembles a program from its end to its start. Classic BPF jumps
// only forwards, so every target exists before the jump to it does and its
// distance is known at once.
type builder struct {
	rev  []unix.SockFilter // last instruction first
	rets map[uint32]label
}

func newBuilder() *builder { return &builder{rets: make(map[uint32]label)} }

func (b *builder) program() []unix.SockFilter {
	prog := slices.Clone(b.rev)
	slices.Reverse(prog)
	return prog
}

func (b *builder) emit(code uint16, k uint32, jt, jf uint8) label {
	b.rev = append(b.rev, unix.SockFilter{Code: code, Jt: jt, Jf: jf, K: k})
	return label(len(b.rev) - 1)
}

// distance is the jump offset from the next instruction to be emitted.
func (b *builder) distance(to label) int { return len(b.rev) - int(to) - 1 }

// ret returns v. An equal instruction near by is used again.
func (b *builder) ret(v uint32) label {
	if l, ok := b.rets[v]; ok && b.distance(l) < reach {
		return l
	}
	b.rets[v] = b.emit(retK, v, 0, 0)
	return b.rets[v]
}

// jump compares the accumulator with k.
func (b *builder) jump(code uint16, k uint32, yes, no label) label {
	if yes == no {
		return yes
	}
	// Each bridge pushes the other target one instruction further away; reach
	// leaves room for that.
	yes = b.bridge(yes)
	no = b.bridge(no)
	return b.emit(code, k, uint8(b.distance(yes)), uint8(b.distance(no)))
}

// bridge gives a label within reach that leads to l.
func (b *builder) bridge(l label) label {
	if b.distance(l) <= reach {
		return l
	}
	return b.emit(ja, uint32(b.distance(l)), 0, 0)
}

// load reads the word at offset of seccomp_data and goes on at next.
func (b *builder) load(offset uint32, next label) label {
	b.follow(next)
	return b.emit(ldw, offset, 0, 0)
}

// and masks the accumulator and goes on at next.
func (b *builder) and(mask uint32, next label) label {
	b.follow(next)
	return b.emit(andK, mask, 0, 0)
}

// follow makes next what the following emitted instruction falls through to.
func (b *builder) follow(next label) {
	if d := b.distance(next); d > 0 {
		b.emit(ja, uint32(d), 0, 0)
	}
}
