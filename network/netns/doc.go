// Package netns enters network namespaces.
//
// A thread belongs to one network namespace, and a Go goroutine moves between
// threads. So whatever happens in another namespace happens on a goroutine of
// its own that is locked to its thread. The thread goes back to the pool only
// after it was proven to be back where it came from; otherwise it ends with
// the goroutine, see the documentation of runtime.LockOSThread.
//
// Prefer [Open] to [Do]: it opens a netlink socket in the namespace once, and
// a socket stays in the namespace it was opened in, whoever uses it later.
package netns
