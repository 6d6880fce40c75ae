package compile_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/runtime/caps"
	"github.com/minirt/mini/runtime/seccomp/compile"
	"github.com/minirt/mini/runtime/seccomp/profile"
)

var callNames = compile.CallNames()

var audits = []uint32{
	unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_I386,
	unix.AUDIT_ARCH_AARCH64, unix.AUDIT_ARCH_ARM, unix.AUDIT_ARCH_S390X,
}

// TestDefaultProfile compares the default filter with the model for every call
// and for every value of an argument that a rule looks at.
func TestDefaultProfile(t *testing.T) {
	for _, goarch := range []string{"amd64", "arm64"} {
		for _, names := range [][]string{caps.Default(), caps.All(), nil} {
			p, err := profile.Resolve(goarch, names)
			if err != nil {
				t.Fatal(err)
			}
			prog, err := compile.Profile(p, "")
			if err != nil {
				t.Fatal(err)
			}
			vm, model, values := newMachine(t, prog), newModel(p), argValues(p)
			for _, audit := range audits {
				for _, nr := range numbers() {
					for i := range 2 * len(values) {
						c := call{nr: nr, audit: audit}
						c.args[i%2] = values[i/2] // the rules look at 0 and 1
						if got, want := vm.run(t, c), model.run(t, c); got != want {
							t.Fatalf("%s, %d capabilities, call %+v: filter says %#x, model %#x", goarch, len(names), c, got, want)
						}
					}
				}
			}
		}
	}
}

// TestDefaultOutcomes spells out what matters most, without the model.
func TestDefaultOutcomes(t *testing.T) {
	const allow, eperm, enosys = unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_ERRNO | 1, unix.SECCOMP_RET_ERRNO | 38
	p, err := profile.Resolve("amd64", caps.Default())
	if err != nil {
		t.Fatal(err)
	}
	prog, err := compile.Profile(p, "")
	if err != nil {
		t.Fatal(err)
	}
	vm := newMachine(t, prog)
	for _, tc := range []struct {
		name string
		c    call
		want uint32
	}{
		{"read", call{nr: 0, audit: unix.AUDIT_ARCH_X86_64}, allow},
		{"mount", call{nr: 165, audit: unix.AUDIT_ARCH_X86_64}, eperm},
		{"keyctl", call{nr: 250, audit: unix.AUDIT_ARCH_X86_64}, eperm},
		{"clone3", call{nr: 435, audit: unix.AUDIT_ARCH_X86_64}, enosys},
		{"clone for a thread", call{56, unix.AUDIT_ARCH_X86_64, [6]uint64{0x3d0f00}}, allow},
		{"clone, new user namespace", call{56, unix.AUDIT_ARCH_X86_64, [6]uint64{unix.CLONE_NEWUSER}}, eperm},
		{"newer than the profile", call{nr: 467, audit: unix.AUDIT_ARCH_X86_64}, enosys},
		{"x32 read", call{nr: 0x40000000, audit: unix.AUDIT_ARCH_X86_64}, enosys},
		{"AF_INET", call{41, unix.AUDIT_ARCH_X86_64, [6]uint64{unix.AF_INET}}, allow},
		{"AF_ALG", call{41, unix.AUDIT_ARCH_X86_64, [6]uint64{unix.AF_ALG}}, eperm},
		{"AF_ALG, high bit", call{41, unix.AUDIT_ARCH_X86_64, [6]uint64{1<<32 | unix.AF_ALG}}, eperm},
		{"AF_VSOCK, high bit", call{41, unix.AUDIT_ARCH_X86_64, [6]uint64{1<<63 | unix.AF_VSOCK}}, eperm},
		{"i386 AF_ALG, high bit", call{359, unix.AUDIT_ARCH_I386, [6]uint64{1<<32 | unix.AF_ALG}}, eperm},
		{"i386 mount", call{nr: 21, audit: unix.AUDIT_ARCH_I386}, eperm},
		{"i386 read", call{nr: 3, audit: unix.AUDIT_ARCH_I386}, allow},
		{"foreign architecture", call{nr: 0, audit: unix.AUDIT_ARCH_AARCH64}, unix.SECCOMP_RET_KILL_PROCESS},
	} {
		if got := vm.run(t, tc.c); got != tc.want {
			t.Errorf("%s: %#x, want %#x", tc.name, got, tc.want)
		}
	}
}

// TestRandomProfiles compares compiled profiles of all shapes with the model.
func TestRandomProfiles(t *testing.T) {
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 1))
		compareWithModel(t, randomProfile(r), func() uint64 { return randomWord(r) })
	}
}

func compareWithModel(t *testing.T, p *specs.LinuxSeccomp, random func() uint64) {
	t.Helper()
	prog, err := compile.Profile(p, specs.ArchX86_64)
	if err != nil {
		t.Fatal(err)
	}
	vm, model, values := newMachine(t, prog), newModel(p), argValues(p)
	for _, audit := range audits {
		for i, nr := range numbers() {
			if uint64(i)%4 != random()%4 {
				continue // a quarter of the numbers, other ones each time
			}
			for range 3 {
				c := call{nr: nr, audit: audit}
				for i := range c.args {
					c.args[i] = values[int(random()%uint64(len(values)))]
				}
				if got, want := vm.run(t, c), model.run(t, c); got != want {
					t.Fatalf("call %+v: filter says %#x, model %#x, profile %+v", c, got, want, p)
				}
			}
		}
	}
}

func randomProfile(r *rand.Rand) *specs.LinuxSeccomp {
	actions := []specs.LinuxSeccompAction{
		specs.ActAllow, specs.ActErrno, specs.ActTrap, specs.ActLog,
		specs.ActKill, specs.ActKillProcess, specs.ActTrace,
	}
	p := &specs.LinuxSeccomp{
		DefaultAction: actions[r.IntN(4)],
		Architectures: [][]specs.Arch{
			{specs.ArchX86_64},
			{specs.ArchX86_64, specs.ArchX86, specs.ArchX32},
			{specs.ArchAARCH64, specs.ArchARM},
		}[r.IntN(3)],
	}
	for range r.IntN(30) {
		s := specs.LinuxSyscall{Action: actions[r.IntN(len(actions))]}
		if s.Action == specs.ActErrno && r.IntN(2) == 0 {
			errno := uint(r.IntN(100))
			s.ErrnoRet = &errno
		}
		for range 1 + r.IntN(12) {
			s.Names = append(s.Names, randomName(r))
		}
		for range max(0, r.IntN(5)-1) {
			s.Args = append(s.Args, randomCond(r))
		}
		p.Syscalls = append(p.Syscalls, s)
	}
	return p
}

// randomName favours the few names whose arguments are special.
func randomName(r *rand.Rand) string {
	special := []string{"socket", "personality", "ioctl", "set_tls", "breakpoint", "no_such_call"}
	if r.IntN(4) == 0 {
		return special[r.IntN(len(special))]
	}
	return callNames[r.IntN(len(callNames))]
}

func randomCond(r *rand.Rand) specs.LinuxSeccompArg {
	ops := []specs.LinuxSeccompOperator{
		specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo,
		specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpMaskedEqual,
	}
	c := specs.LinuxSeccompArg{Index: uint(r.IntN(6)), Value: randomWord(r), Op: ops[r.IntN(len(ops))]}
	if c.Op == specs.OpMaskedEqual {
		c.ValueTwo = c.Value & randomWord(r)
	}
	return c
}

// randomWord favours words that are small, have only high bits, or are full.
func randomWord(r *rand.Rand) uint64 {
	switch r.IntN(5) {
	case 0:
		return uint64(r.IntN(50))
	case 1:
		return uint64(r.IntN(3)) << 32
	case 2:
		return uint64(r.Uint32())
	case 3:
		return 0xffffffff
	}
	return r.Uint64()
}

// TestLongProgram makes branches too far for the 8 bits of a jump.
func TestLongProgram(t *testing.T) {
	p := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86}}
	for i, name := range callNames {
		errno := uint(i%4000 + 1)
		p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{
			Names: []string{name}, Action: specs.ActErrno, ErrnoRet: &errno,
			Args: []specs.LinuxSeccompArg{{Index: 2, Value: 0xf0, ValueTwo: 0x10, Op: specs.OpMaskedEqual}},
		})
	}
	_, err := compile.Profile(p, specs.ArchX86_64)
	if err == nil || !strings.Contains(err.Error(), "the kernel takes 4096") {
		t.Errorf("a program above the kernel's limit: error %v", err)
	}
	p.Syscalls = p.Syscalls[:250]
	prog, err := compile.Profile(p, specs.ArchX86_64)
	if err != nil {
		t.Fatal(err)
	}
	if len(prog) < 2000 {
		t.Errorf("only %d instructions: the test no longer makes long jumps", len(prog))
	}
	r := rand.New(rand.NewPCG(1, 1))
	compareWithModel(t, p, r.Uint64)
}

func TestErrors(t *testing.T) {
	big := uint(5000)
	allow := func(args ...specs.LinuxSeccompArg) []specs.LinuxSyscall {
		return []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActAllow, Args: args}}
	}
	for _, tc := range []struct {
		name string
		p    *specs.LinuxSeccomp
		want string
	}{
		{"nil", nil, "no profile"},
		{"no action", &specs.LinuxSeccomp{}, `default action: unknown action ""`},
		{"bad arch", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{"SCMP_ARCH_VAX"}}, `"SCMP_ARCH_VAX"`},
		{"notify", &specs.LinuxSeccomp{DefaultAction: specs.ActNotify}, "not supported"},
		{"big errno", &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, DefaultErrnoRet: &big}, "5000 is above 4095"},
		{"errno on allow", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, DefaultErrnoRet: &big}, "takes no errnoRet"},
		{"bad index", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow,
			Syscalls: allow(specs.LinuxSeccompArg{Index: 6, Op: specs.OpEqualTo})}, "rule 0: argument index 6"},
		{"bad operator", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow,
			Syscalls: allow(specs.LinuxSeccompArg{Op: "SCMP_CMP_ISH"})}, `rule 0: unknown operator "SCMP_CMP_ISH"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := compile.Profile(tc.p, specs.ArchX86_64)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
		})
	}
}
