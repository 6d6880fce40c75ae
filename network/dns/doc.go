// Package dns is a small name server: it answers for the names that a
// [Resolver] knows, and asks other servers for the rest. It knows nothing of
// containers or network namespaces; whoever starts it opens the sockets and
// says how other servers are reached.
//
//	program ── UDP, TCP ──► Server ──► Resolver     names of its own: A, AAAA, PTR
//	                           │
//	                           └─────► Upstream 1   other names, in this order;
//	                                   Upstream 2   the next one when one fails
//
// Own names have a time to live of 0: whoever asks again is told what is true
// then. What other servers say is passed on as it came.
//
// It is not for the open internet: it keeps no cache, and trusts its clients to
// be few. How much they can make it do at once is bounded.
package dns
