// Package runtime runs containers: it creates, starts, watches and removes
// them.
//
// There is no daemon. Each running container has one small process, the
// monitor, that is the parent of the container's init:
//
//	mini run ──► monitor ──nsinit──► init (mounts, waits)
//	   │            │  network: reserve, up, attach (meanwhile)
//	   │            │─────"go"──────────► drop privileges, execve
//	   │◄─frames────│◄───stdout, stderr──┤
//	   ▼            ▼ reaps the init, tears down, writes the exit status
//
// A [Runtime] is one root directory (images, containers) with one state
// directory (locks, sockets, leases). What a command wants from a running
// container it asks of the monitor, over a Unix socket; see package
// runtime/wire. Whether a container is alive is decided by the flock(2) that
// its monitor holds, never by a pid. [Runtime.Reap] releases what dead
// monitors held.
//
// The package composes rootfs, network and nsinit; those do not know each
// other. It prints nothing and never exits the process.
package runtime
