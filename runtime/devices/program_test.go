package devices

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// run interprets a program as the kernel would, for one request.
func run(t *testing.T, prog []instruction, kind, access, major, minor int32) bool {
	t.Helper()
	var reg [11]int64
	context := map[int16]int64{0: int64(access)<<16 | int64(kind), 4: int64(major), 8: int64(minor)}
	for pc := 0; pc < len(prog); pc++ {
		in := prog[pc]
		dst, src := in.regs&15, in.regs>>4
		switch in.code {
		case load32:
			reg[dst] = context[in.off]
		case movImm:
			reg[dst] = int64(in.imm)
		case movReg:
			reg[dst] = reg[src]
		case andImm:
			reg[dst] &= int64(in.imm)
		case rshImm:
			reg[dst] >>= in.imm
		case jeqImm:
			if reg[dst] == int64(in.imm) {
				pc += int(in.off)
			}
		case jneImm:
			if reg[dst] != int64(in.imm) {
				pc += int(in.off)
			}
		case jump:
			pc += int(in.off)
		case exitNow:
			return reg[r0] == 1
		default:
			t.Fatalf("instruction %d: unknown code %#x", pc, in.code)
		}
	}
	t.Fatal("the program has no end")
	return false
}

// model decides bit by bit: the last rule that covers a bit has the say.
func model(rules []specs.LinuxDeviceCgroup, kind, access, major, minor int32) bool {
	for bit, letter := range map[int32]string{1: "m", 2: "r", 4: "w"} {
		if access&bit == 0 {
			continue
		}
		granted := false
		for _, r := range rules {
			typeFits := r.Type == "a" || r.Type == "" || r.Type == map[int32]string{1: "b", 2: "c"}[kind]
			majorFits := r.Major == nil || *r.Major == -1 || *r.Major == int64(major)
			minorFits := r.Minor == nil || *r.Minor == -1 || *r.Minor == int64(minor)
			if typeFits && majorFits && minorFits && strings.Contains(r.Access, letter) {
				granted = r.Allow
			}
		}
		if !granted {
			return false
		}
	}
	return true
}

func compare(t *testing.T, rules []specs.LinuxDeviceCgroup, numbers []int32) {
	t.Helper()
	prog, err := program(rules)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []int32{1, 2} {
		for access := range int32(8) {
			for _, major := range numbers {
				for _, minor := range numbers {
					got, want := run(t, prog, kind, access, major, minor), model(rules, kind, access, major, minor)
					if got != want {
						t.Fatalf("type %d %d:%d access %d: %t, want %t, rules %+v", kind, major, minor, access, got, want, rules)
					}
				}
			}
		}
	}
}

func TestDefaultRules(t *testing.T) {
	compare(t, Rules(), []int32{0, 1, 2, 3, 5, 7, 8, 9, 10, 136, 137, 200, 229, 1 << 20})
}

func TestRandomRules(t *testing.T) {
	for seed := range uint64(300) {
		compare(t, randomRules(seed), []int32{0, 1, 2, 3})
	}
}

func randomRules(seed uint64) []specs.LinuxDeviceCgroup {
	r := rand.New(rand.NewPCG(seed, 2))
	number := func() *int64 {
		n := int64(r.IntN(5) - 1)
		if n == 3 {
			return nil
		}
		return &n
	}
	var rules []specs.LinuxDeviceCgroup
	for range r.IntN(12) {
		rules = append(rules, specs.LinuxDeviceCgroup{
			Allow: r.IntN(3) > 0, Type: []string{"", "a", "b", "c"}[r.IntN(4)],
			Major: number(), Minor: number(),
			Access: []string{"r", "w", "m", "rw", "rm", "wm", "rwm", "rwm"}[r.IntN(8)],
		})
	}
	return rules
}

func TestBadRules(t *testing.T) {
	negative, huge := int64(-2), int64(1)<<31
	for _, tc := range []struct {
		name string
		rule specs.LinuxDeviceCgroup
		want string
	}{
		{"type", specs.LinuxDeviceCgroup{Type: "x", Access: "r"}, `unknown device type "x"`},
		{"no access", specs.LinuxDeviceCgroup{Type: "c"}, "no access given"},
		{"access", specs.LinuxDeviceCgroup{Type: "c", Access: "rx"}, `unknown access "rx"`},
		{"major", specs.LinuxDeviceCgroup{Type: "c", Major: &negative, Access: "r"}, "major number -2"},
		{"minor", specs.LinuxDeviceCgroup{Type: "c", Minor: &huge, Access: "r"}, "minor number 2147483648"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := program([]specs.LinuxDeviceCgroup{tc.rule})
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "rule 0") {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
		})
	}
	if _, err := program(make([]specs.LinuxDeviceCgroup, maxRules+1)); err == nil {
		t.Error("too many rules gave no error")
	}
}

func BenchmarkProgram(b *testing.B) {
	rules := Rules()
	for b.Loop() {
		if _, err := program(rules); err != nil {
			b.Fatal(err)
		}
	}
}
