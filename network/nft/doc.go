// Package nft adds nf_tables rules that redirect what a network namespace sends
// to one of its own addresses. It speaks netlink: no program is run, and one
// message carries a whole table, so that there is all of it or nothing.
//
// It is for the few fixed rules inside a container's namespace, which each start
// makes anew. The host's rules are package firewall's.
package nft
