// Package ipam hands out IP addresses and subnets.
//
// A subnet's addresses are bits. [Bitmap] keeps them in memory; [File] keeps
// them in a file that many processes share, together with each address's
// [Owner]. Both find the next free address in O(log n) at any fill level and
// give out addresses next-fit: one that was just released comes last.
// [NextSubnet] and [CheckOverlap] choose and check whole subnets.
//
// # Levels
//
// Every level has one bit for each 64-bit word of the level below. The full
// levels say "this word has no free bit", the some levels say "this word has a
// used bit". A search climbs until a word has an answer and then descends:
//
//	full[2]                 [1 1 0 . . .]            some[2]
//	full[1]      [1 … 1]  [1 … 1]  [1 0 0 . . .]     some[1]
//	bits     [1…1] … [1…1] [1…1] [1 1 0 1 0 0 …]     one bit an address
//	                                  ▲ next free
//
// A /8 has 2^24 addresses and four levels. A search reads at most a word per
// level on the way up and one on the way down.
//
// # IPv6
//
// A bitmap of a /64 would have 2^64 bits. So of an IPv6 subnet the first 65536
// addresses of the range are given out, and have bits. Any other address of the
// subnet can be asked for by [File.AllocateAddr]: it is kept by name, as a
// symbolic link in a directory beside the file.
//
// # Stops at any instruction
//
// Every change is first computed as an ordered list of stores, then done store
// by store. The bit is the truth; the order keeps the rest on the safe side of
// it after any prefix of the list:
//
//	take:  owner, some (top down), BIT, full (bottom up), cursor
//	free:  full (top down), BIT, some (bottom up), owner, cursor
//
// So a full bit that is set is always right, and a word with a used bit always
// has its some bits set. The opposite staleness costs a search one step more;
// the search repairs it. An owner without its bit means nothing.
//
// The stores of a killed process survive in the page cache, not a loss of
// power: keep the file on a tmpfs such as /run, or remove it at boot.
//
// # When not to use it
//
// The package does no networking: it does not ask the wire whether an address
// is in use. It has no leases that end by themselves: whoever finds an owner
// dead releases what [File.Owned] lists.
package ipam
