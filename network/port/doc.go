// Package port reads `-p` options and holds host ports.
//
// A published port is reserved as a real server would take it: a socket is
// bound to it, and for TCP and SCTP also listens. So it conflicts with every
// other program, and the conflict is found by the kernel before any firewall
// rule exists. No packet is meant to reach these sockets, as DNAT rewrites the
// destination before the socket lookup. For those that do, a one-instruction
// classic BPF filter drops everything: the socket never answers and queues
// nothing. The one exception is [::1], from where no rule can lead to a container:
// a [Relay] takes what arrives there, and passes it on.
//
// The package knows nothing of networks, containers or firewall rules.
package port
