package profile

import (
	"fmt"
	"slices"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/minirt/mini/runtime/seccomp/compile"
)

// Resolve returns Docker's default profile for a GOARCH and the names of the
// capabilities in the bounding set ("CAP_CHOWN", …). It fails on an
// architecture that package compile does not serve.
//
// Unlike [moby.GetDefaultProfile] it does not depend on the machine it runs
// on: any architecture can be asked for, and the kernel is taken to be at
// least 4.8, the newest release that the profile tells apart.
func Resolve(goarch string, caps []string) (*specs.LinuxSeccomp, error) {
	native, err := compile.Native(goarch)
	if err != nil {
		return nil, fmt.Errorf("resolving the default seccomp profile: %w", err)
	}
	source := moby.DefaultProfile()
	out := source.LinuxSeccomp
	out.Architectures = arches(source.ArchMap, native)
	for _, call := range source.Syscalls {
		if applies(call, goarch, caps) {
			out.Syscalls = append(out.Syscalls, call.LinuxSyscall)
		}
	}
	return &out, nil
}

func arches(m []moby.Architecture, native specs.Arch) []specs.Arch {
	for _, a := range m {
		if a.Arch == native {
			return append([]specs.Arch{a.Arch}, a.SubArches...)
		}
	}
	return []specs.Arch{native}
}

// applies evaluates the conditions of a rule: every included capability is
// needed, any excluded one is enough to leave the rule out.
func applies(call *moby.Syscall, goarch string, caps []string) bool {
	has := func(c string) bool { return slices.Contains(caps, c) }
	lacks := func(c string) bool { return !has(c) }
	if ex := call.Excludes; ex != nil {
		if slices.Contains(ex.Arches, goarch) || slices.ContainsFunc(ex.Caps, has) || ex.MinKernel != nil {
			return false
		}
	}
	if in := call.Includes; in != nil {
		if len(in.Arches) > 0 && !slices.Contains(in.Arches, goarch) {
			return false
		}
		return !slices.ContainsFunc(in.Caps, lacks)
	}
	return true
}
