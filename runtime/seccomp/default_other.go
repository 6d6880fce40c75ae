//go:build !amd64 && !arm64

package seccomp

import (
	"fmt"
	goruntime "runtime"

	"golang.org/x/sys/unix"
)

// Default fails with [ErrNoDefault]: a container needs another profile, or
// none, on this architecture.
func Default() ([]unix.SockFilter, error) {
	return nil, fmt.Errorf("%w: %s", ErrNoDefault, goruntime.GOARCH)
}
