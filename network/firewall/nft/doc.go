// Package nft is the firewall driver that speaks nftables over netlink, without
// any program. It takes the same rules as the iptables driver, in the same words,
// and puts them into a table of mini's own:
//
//	iptables                        nftables
//	table nat, chain DOCKER         chain nat-DOCKER of table ip mini
//	table filter, chain FORWARD     base chain filter-FORWARD, at the same hook and priority
//	-i mini0 ! -o mini0             iifname "mini0" oifname != "mini0"
//	-m addrtype --dst-type LOCAL    fib daddr type local
//	DNAT --to-destination           an element of the map ports, or ports-at for one host address
//
// What ip6tables has is likewise in the table ip6 mini, which is there only while
// there are such rules.
//
// One operation is one batch, for both tables: the kernel takes all of it or nothing. A rule's
// comment is its owner's tag and a digest of the rule, by which it is found again.
//
// A table of its own has a limit that is nftables' own: to accept a packet here
// does not keep another table from dropping it. See nft(8), "STATEMENTS", and the
// notes on verdicts in the kernel's documentation.
package nft
