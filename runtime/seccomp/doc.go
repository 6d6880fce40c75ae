// Package seccomp holds Docker's default system call filter as a finished BPF
// program, and loads filters.
//
// The filter is the profile of github.com/moby/profiles for Docker's default
// capabilities, compiled when mini is developed, not when a container starts.
// The binary links the table alone. A container with other capabilities or
// its own profile needs packages profile and compile below this one.
//
// The filter departs from Docker's in two points, both stricter. x32 calls get
// ENOSYS. The socket family is compared as the 32 bits that the kernel looks
// at, so AF_ALG and AF_VSOCK cannot be had by setting bits above them, as they
// can under the same profile compiled by libseccomp.
//
// The filter holds for the calls that 64-bit and 32-bit programs of the
// machine make: x86-64 and i386 on amd64, arm64 and 32-bit ARM on arm64.
package seccomp

//go:generate go run ../../hack/seccompgen tables
//go:generate go run ../../hack/seccompgen filters
