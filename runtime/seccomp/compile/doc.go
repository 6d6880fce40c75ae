// Package compile turns an OCI seccomp profile into a classic BPF program for
// seccomp(2), without libseccomp and without cgo.
//
// The program has one section per architecture. A section finds the system
// call number in a binary tree of ranges, so a call costs about seven
// comparisons, not one per rule:
//
//	ld arch ──► jeq x86_64 ──► ld nr ──► tree of ranges ──┬─► ret ALLOW
//	        └─► jeq i386   ──► ld nr ──► tree of ranges   ├─► ret ERRNO(n)
//	        └─► ret KILL_PROCESS                          └─► argument checks ─► ret …
//
// The tree uses only jumps on arch and nr. Since Linux 5.11 the kernel runs
// such a program once per call number when it is loaded and keeps a bitmap of
// the calls that are always allowed (kernel/seccomp.c,
// seccomp_cache_prepare); those never run the filter again.
//
// Where the meaning is not settled by the OCI runtime-spec, it is this:
//
//   - Rules for one call are tried in the profile's order; the first match
//     decides. A rule whose arguments name one index twice is read as one
//     rule per argument, as runc does.
//   - Names that an architecture does not have are skipped, so one profile
//     serves several.
//   - When the default action refuses, calls newer than the newest one the
//     profile names get ENOSYS, so that programs fall back to older calls.
//   - x32 calls always get ENOSYS, which is what a kernel without x32 says.
//   - A foreign architecture kills the process.
//   - An argument that the kernel cuts to 32 bits is compared as 32 bits.
//     Otherwise bits above would steer a call around its rule: with 64-bit
//     comparison, socket(1<<32 | AF_ALG) passes "domain > AF_VSOCK".
//
// Package seccomp holds the compiled default. Use this package for any other
// profile; SCMP_ACT_NOTIFY is not supported.
package compile
