//go:build amd64 || arm64

package seccomp

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Default returns Docker's default filter for the architecture of this binary
// and Docker's default capabilities. The slice is the caller's. It fails with
// [ErrNoDefault] on other architectures than amd64 and arm64.
func Default() ([]unix.SockFilter, error) { return slices.Clone(defaultFilter[:]), nil }
