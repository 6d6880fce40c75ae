// Package nft adds nf_tables rules that redirect what a network namespace sends
// to one of its own addresses. It speaks netlink: no program is run, and one
// message carries a whole table, so that there is all of it or nothing.
//
// It is for rules inside a container's namespace. The host's rules are made
// with the iptables program, see package firewall, because they stand beside
// those of others.
package nft
