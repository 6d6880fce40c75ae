package compile

import (
	"errors"
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// maxInstructions is the kernel's limit on one filter (BPF_MAXINSNS in
// linux/bpf_common.h).
const maxInstructions = 4096

// Offsets into struct seccomp_data; see seccomp(2).
const (
	offsetNr   = 0
	offsetArch = 4
	offsetArgs = 16
)

// Profile compiles p. The architectures are p.Architectures, or native alone
// when p names none; the first one named is the fastest to reach.
//
// It fails on an architecture, action or operator it does not know, and when
// the program would exceed the kernel's 4096 instructions. p.Flags are not
// part of the program: they are arguments of seccomp(2).
func Profile(p *specs.LinuxSeccomp, native specs.Arch) ([]unix.SockFilter, error) {
	if p == nil {
		return nil, errors.New("compiling seccomp profile: no profile given")
	}
	arches, err := resolveArches(p.Architectures, native)
	if err != nil {
		return nil, fmt.Errorf("compiling seccomp profile: %w", err)
	}
	rules, err := parseRules(p.Syscalls)
	if err != nil {
		return nil, fmt.Errorf("compiling seccomp profile: %w", err)
	}
	fallback, err := returnValue(p.DefaultAction, p.DefaultErrnoRet)
	if err != nil {
		return nil, fmt.Errorf("compiling seccomp profile: default action: %w", err)
	}
	prog := program(arches, rules, fallback)
	if len(prog) > maxInstructions {
		return nil, fmt.Errorf("compiling seccomp profile: %d instructions, the kernel takes %d", len(prog), maxInstructions)
	}
	return prog, nil
}

// program emits the sections last to first, because the builder works
// backwards, and the architecture test above them.
func program(arches []*arch, rules []rule, fallback uint32) []unix.SockFilter {
	b := newBuilder()
	next := b.ret(unix.SECCOMP_RET_KILL_PROCESS)
	for i := len(arches) - 1; i >= 0; i-- {
		s := section{b: b, arch: arches[i], fallback: fallback}
		body := b.load(offsetNr, s.tree(s.segments(rules)))
		next = b.jump(jeq, arches[i].audit, body, next)
	}
	b.load(offsetArch, next)
	return b.program()
}
