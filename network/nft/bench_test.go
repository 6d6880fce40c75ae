package nft

import (
	goruntime "runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkAdd is what a container's start pays, in a namespace just made.
func BenchmarkAdd(b *testing.B) {
	goruntime.LockOSThread() // never unlocked: the thread ends with the goroutine
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := sample().Add(); err != nil {
			b.Fatal(err)
		}
	}
}
