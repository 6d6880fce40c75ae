// Package nsinit starts a process in new or existing namespaces without
// executing a helper binary first.
//
// What the new process has to do before the user's program runs (mount, pivot
// the root, drop privileges, …) is written down beforehand as a [Program]: a
// list of system calls with constant arguments in a piece of shared memory.
// The parent forks; the child carries out the list with raw system calls only,
// and its last call is execve(2).
//
//	parent (Go)                          child (no Go runtime)
//	───────────                          ─────────────────────
//	Program: mount, mkdir, …      fork   carry out call 0, 1, 2, …
//	more calls, once facts are ◄──'m'──  pause: what was listed is done
//	known (user, workdir)       ──'g'──► carry out the rest
//	Wait: end of file          ◄──────── execve closes the channel, or
//	      {call, errno}        ◄──'e'──  a call failed: exit
//
// Why: between fork and exec a child of a multi-threaded program may not use
// the Go runtime, so a runtime written in Go normally executes itself a second
// time inside the namespaces. That costs 1.5 to 3 ms a start, and the second
// copy is a process of the container whose /proc/PID/exe is our own binary.
// Here the child is never a program of its own. Because the calls are data, an
// error names the call with all its arguments, and a test can read the list.
//
// The package knows nothing of containers. Package runtime decides which calls
// a container needs.
package nsinit
