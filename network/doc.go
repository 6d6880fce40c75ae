// Package network connects containers: networks, their bridges, addresses,
// published ports and firewall rules.
//
// There is no daemon. A [Manager] is a view of two directories, and any number
// of processes use them at once. What a process is about to change is written
// down before it acts, so that whoever comes after a crash finds and frees it.
//
// The order of a container's life:
//
//	Reserve ──► Up ──► AttachPlan.Run … DetachPlan.RunAll ──► Release
//	│           │      │                │                     └ address, record
//	│           │      │                └ bridge port, DNAT rules, conntrack
//	│           │      └ veth pair, address, route, DNAT rules
//	│           └ bridge and rules, unless they are there
//	└ intent on record, address, host ports held by sockets
//
// On a user's network containers find each other by name: [Manager.NamesPlan]
// leads a container's questions to the sockets of [ListenNames], and a
// [Directory] has the answers. Package dns serves them.
//
// While a container runs, [Manager.Publish] and [Manager.Unpublish] change its
// ports, and [Manager.Handover] moves them, with the default route, to another of
// its networks.
//
// Drivers (bridge, macvlan, ptp) differ in links and routes only: see linkDriver
// and netDriver. Rules, names, ports and records are the same.
//
// What touches the kernel is a [plan.Plan] first: `--explain` and `--dry-run`
// print the very steps that are run. Locks are held for the bookkeeping only;
// bringing a network up or down, and changing the ports of a running container,
// are made under a lock.
//
// Files below Options.Root, which survive a reboot:
//
//	networks/<name>.json                    a network's definition
//
// and below Options.State, which must not:
//
//	networks.lock                           held while a network goes up or down
//	republished                             changed when rules of ports were last put back
//	firewall.json                           which chain prefix, and is it in place
//	networks/<id>/lock                      held while endpoints come, or the network goes
//	networks/<id>/up.json                   the bridge and the rules that stand for the network
//	networks/<id>/addresses                 the address bitmap, see package ipam
//	networks/<id>/addresses6                that of the IPv6 addresses
//	networks/<id>/addresses6.named/         IPv6 addresses that have no bit
//	networks/<id>/endpoints/<container>.json one container on the network
package network
