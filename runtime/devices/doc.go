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
// Each of read, write and mknod is decided by the last rule that covers it, and
// refused without one. So the program walks the rules from the last to the
// first and keeps the bits that are still to decide:
//
//	rest = what is asked
//	for each rule that covers the device, last first:
//	    deny:  a bit of rest is in the rule → refuse
//	    allow: take the rule's bits out of rest; rest is empty → grant
//	grant if rest is empty, else refuse
//
// Version 1's devices.allow is not served.
package devices
