// Package host makes private hosts: places where a test can run mini as root
// and see all of what it does, without touching the machine.
//
// A private host is three namespaces (network, mount, UTS) and a part of each
// cgroup hierarchy. A second network namespace plays the outside world:
//
//	 machine ────────────────────────────────────────────────────
//	│ private host                            outside            │
//	│ ┌────────────────────────────┐          ┌────────────────┐ │
//	│ │ mini0, veths, rules …      │          │                │ │
//	│ │        uplink0 192.0.2.1 ──┼── veth ──┼─ 192.0.2.2 up0 │ │
//	│ │ own /run, /tmp, /sys,      │          └────────────────┘ │
//	│ │ cgroup subtree, iptables   │                             │
//	│ └────────────────────────────┘                             │
//	 ────────────────────────────────────────────────────────────
//
// The namespaces have no holder process. File descriptors of the test process
// keep them alive, so they vanish even when the test is killed. A command
// enters by being forked from a thread that has called setns(2); see
// [Host.InHost] for Go code that shall do the same.
//
// [New] photographs the host and registers a cleanup which removes what the
// test left to mini (containers, unused networks), takes a second picture and
// fails the test when the two differ: a leaked link, address, route, rule,
// sysctl, mount, cgroup, process or file is named. A difference that is meant
// is declared with [Allow], with its reason.
//
// There is no private PID namespace: process ids are the machine's. The
// package is for tests run as root on Linux; it is not a sandbox for programs
// that are not trusted.
package host
