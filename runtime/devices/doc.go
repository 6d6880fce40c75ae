// Package devices keeps a container from devices that are not its own, with a
// BPF program on its version 2 cgroup.
//
// The kernel runs the program on every mknod(2) of a device and on every
// open(2) of a device node by a process of the cgroup or of one below; a
// refusal is EPERM (linux/bpf.h, BPF_PROG_TYPE_CGROUP_DEVICE). The programs of
// all cgroups on the way to the root must agree, so a nested container cannot
// gain devices. Descriptors that are already open are not affected.
//
// It also works on the version 2 tree of a hybrid host, whose device
// controller is on version 1: the program needs no controller.
//
//	rules, the last one first       one rule
//	┌──────────────────────┐        ┌───────────────────────────────────┐
//	│ rest = what is asked │        │ another type, major or minor: next│
//	│ rule n               │        │ deny:  rest & rule ≠ 0 → refuse   │
//	│ …                    │  ───►  │ allow: rest &^= rule              │
//	│ rule 1               │        │        rest = 0 → grant           │
//	│ rest = 0             │        └───────────────────────────────────┘
//	└──────────────────────┘
//
// Each of read, write and mknod is decided by the last rule that covers it;
// without one it is refused.
//
// Version 1's devices.allow is not served.
package devices
