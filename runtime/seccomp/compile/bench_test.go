package compile_test

import (
	"testing"

	"github.com/minirt/mini/runtime/caps"
	"github.com/minirt/mini/runtime/seccomp/compile"
	"github.com/minirt/mini/runtime/seccomp/profile"
)

// BenchmarkProfile is what a container with other capabilities than the
// default ones pays.
func BenchmarkProfile(b *testing.B) {
	for b.Loop() {
		p, err := profile.Resolve("amd64", caps.All())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := compile.Profile(p, ""); err != nil {
			b.Fatal(err)
		}
	}
}
