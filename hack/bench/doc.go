// Command bench measures mini beside whichever of docker, podman, runc and
// crun the machine has, and prints one table in Markdown.
//
//	go run ./hack/bench                    # everything, some six minutes
//	go run ./hack/bench -quick             # few rounds
//	go run ./hack/bench -only 'run|exec'   # the measures whose names match
//
// Each engine lives in a private host of its own, so that the machine's links,
// rules, mounts and cgroups stay as they are:
//
//	bench ── one per engine ──► process 1 of a private host ──► agent
//	  │                         (new pid, net, mnt, uts, ipc and
//	  │                          cgroup namespaces; it only reaps)
//	  └──── net/rpc on a socket: run this, how long did it take? ──────┘
//
// The agent starts the engine's commands and takes the time, inside. It ends
// when the socket closes, process 1 ends with it, and the kernel then kills
// whatever is left in the host: daemons, shims, containers. So nothing outlives
// bench, not even when bench itself is killed; only the directory in /var/tmp and
// the empty cgroups would stay behind then.
//
// A measure takes one sample of every engine in turn (A B C, A B C, …) and shows
// the medians. Everything is black box: the engines' command lines, /proc, and
// TCP. Root is needed.
package main
