// Package lab builds small networks from a description, proves that they do what
// the description expects, and takes them away.
//
// A topology is a YAML file: places (hosts and nodes, each a network namespace),
// what joins them (bridges, links, tunnels), what they know (routes, sysctls,
// nat), who answers (ports), and what must come of it (expect):
//
//	file ──Parse──► Topology ──plan──► plan.Plan ──┬─ Up       builds it
//	                   │                           └─ Script   prints it for a shell
//	                   └──expect──► probes, from inside ──► Results
//
// Everything that is built is in the lab's own namespaces, which have names of the form
// lab-<lab>-<place> in /run/netns, so that `ip netns exec` works there. Links,
// addresses, routes and rules die with them. Nothing is made in the namespace of the
// machine: labs with the same addresses stand side by side.
//
// # After a crash
//
// The record <state>/labs/<lab>.json is written before the first namespace is made, and
// removed after the last one is gone. Who builds or removes a lab holds the lock beside the record.
// A record that says "building" without a holder of the lock is what a crash left: the
// next Up or Down of that lab takes it away. A namespace is taken away only when the alias of
// its loopback link has the tag of this lab in this state directory. The tag is set before
// the namespace gets its name.
//
// The package is no test framework for programs: its nodes are namespaces without
// a root file system of their own. Package runtime runs containers.
package lab
