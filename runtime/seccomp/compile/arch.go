package compile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// privateBase is where ARM's private calls start (asm/unistd.h, __ARM_NR_BASE).
// They say nothing about how new a profile is.
const privateBase = 0x0f0000

// x32Bit marks an x32 call in an x86-64 number (__X32_SYSCALL_BIT).
const x32Bit = 0x40000000

// entry is one row of a generated system call table, which is sorted by name.
type entry struct {
	name string
	nr   uint32
}

type arch struct {
	audit  uint32 // AUDIT_ARCH_*, what seccomp_data.arch holds
	narrow bool   // arguments are 32 bits wide
	table  []entry
}

// resolveArches returns the architectures to emit, without duplicates. X32 is
// accepted and adds nothing: its calls are part of the x86-64 section.
func resolveArches(names []specs.Arch, native specs.Arch) ([]*arch, error) {
	if len(names) == 0 {
		names = []specs.Arch{native}
	}
	var found []*arch
	for _, name := range names {
		if name == specs.ArchX32 {
			continue
		}
		a, err := archOf(name)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(found, func(o *arch) bool { return o.audit == a.audit }) {
			found = append(found, a)
		}
	}
	return found, nil
}

func archOf(name specs.Arch) (*arch, error) {
	switch name {
	case specs.ArchX86_64:
		return &arch{audit: unix.AUDIT_ARCH_X86_64, table: tableX8664[:]}, nil
	case specs.ArchX86:
		return &arch{audit: unix.AUDIT_ARCH_I386, narrow: true, table: tableI386[:]}, nil
	case specs.ArchAARCH64:
		return &arch{audit: unix.AUDIT_ARCH_AARCH64, table: tableAARCH64[:]}, nil
	case specs.ArchARM:
		return &arch{audit: unix.AUDIT_ARCH_ARM, narrow: true, table: tableARM[:]}, nil
	}
	return nil, fmt.Errorf("unsupported architecture %q", name)
}

// Native returns the OCI name of a GOARCH that this package can compile for.
func Native(goarch string) (specs.Arch, error) {
	switch goarch {
	case "amd64":
		return specs.ArchX86_64, nil
	case "386":
		return specs.ArchX86, nil
	case "arm64":
		return specs.ArchAARCH64, nil
	case "arm":
		return specs.ArchARM, nil
	}
	return "", fmt.Errorf("unsupported architecture %q", goarch)
}

// number returns the number of the call named name.
func (a *arch) number(name string) (uint32, bool) {
	i, ok := slices.BinarySearchFunc(a.table, name, func(e entry, n string) int {
		return strings.Compare(e.name, n)
	})
	if !ok {
		return 0, false
	}
	return a.table[i].nr, true
}

// truncated reports whether the kernel takes argument index of the call as a
// C int or unsigned int, and so ignores its upper half.
func truncated(call string, index uint) bool {
	switch call {
	case "socket":
		return index <= 2 // int family, int type, int protocol
	case "socketpair":
		return index <= 2
	case "personality":
		return index == 0 // unsigned int
	case "ioctl":
		return index <= 1 // unsigned int fd, unsigned int cmd
	case "socketcall", "ipc":
		return index == 0
	}
	return false
}
