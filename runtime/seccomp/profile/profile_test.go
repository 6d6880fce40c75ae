package profile

import (
	goruntime "runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/minirt/mini/runtime/caps"
)

// TestAgreesWithMoby compares with moby's own resolution, which serves only
// the machine it runs on.
func TestAgreesWithMoby(t *testing.T) {
	for _, add := range [][]string{nil, {"SYS_ADMIN"}, {"ALL"}, {"SYS_PTRACE", "BPF"}} {
		names, err := caps.Resolve(add, nil)
		if err != nil {
			t.Fatal(err)
		}
		spec := &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: names}}}
		want, err := moby.GetDefaultProfile(spec)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Resolve(goruntime.GOARCH, names)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("with %v (-moby +ours):\n%s", add, diff)
		}
	}
}

func TestResolve(t *testing.T) {
	for _, tc := range []struct {
		goarch, call string
		caps         []string
		want         bool
	}{
		{"amd64", "arch_prctl", nil, true},
		{"arm64", "arch_prctl", nil, false},
		{"arm64", "set_tls", nil, true},
		{"amd64", "mount", caps.Default(), false},
		{"amd64", "mount", []string{"CAP_SYS_ADMIN"}, true},
		{"amd64", "chroot", caps.Default(), true},
		{"amd64", "chroot", nil, false},
	} {
		p, err := Resolve(tc.goarch, tc.caps)
		if err != nil {
			t.Fatal(err)
		}
		got := slices.ContainsFunc(p.Syscalls, func(s specs.LinuxSyscall) bool {
			return slices.Contains(s.Names, tc.call)
		})
		if got != tc.want {
			t.Errorf("%s, capabilities %v: %s named: %t, want %t", tc.goarch, tc.caps, tc.call, got, tc.want)
		}
	}
	if _, err := Resolve("riscv64", nil); err == nil {
		t.Error("riscv64 has no tables and gave no error")
	}
}
