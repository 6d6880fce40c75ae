// Package wire is the language in which a client (the command line) and a
// container's monitor speak over a Unix stream socket.
//
// # Frames
//
// Everything is a frame, in both directions:
//
//	┌──────┬──────────────────┬─────────────────┐
//	│ type │ length           │ payload         │
//	│ 1 B  │ 4 B, big endian  │ 0 … 65536 B     │
//	└──────┴──────────────────┴─────────────────┘
//
// A longer length is an error before a byte is set aside for it. A frame leaves
// in one writev(2), and [Conn.Send] may be called from several goroutines.
//
// # Conversations
//
// A client opens with one Request; the monitor's answer decides what follows.
// Stdin, Resize and Signal may come at any time after it. The end of the
// connection is the end of the client: the container lives on.
//
//	start and attach            client                          monitor
//	                              │ Request{start, streams}  ──►  │
//	                              │ ◄── Explain (each step)       │  with --explain
//	                              │ ◄── Started{pid}              │  or Exit{code, error}
//	                              │ Stdin … StdinEOF, Resize ──►  │
//	                              │ ◄── Stdout, Stderr …          │
//	                              │ ◄── Exit{code}                │  after the last output
//
//	attach                        │ Request{attach, streams} ──►  │
//	                              │ ◄── Reply                     │  Reply{error}: refused
//	                              │ ◄── Stdout, Stderr …          │  as above
//	                              │ ◄── Exit{code}                │
//
//	exec                          │ Request{exec, command}   ──►  │
//	                              │ ◄── Started{pid}              │  or Exit{126|127, error}
//	                              │ Stdin, Resize, Signal    ──►  │
//	                              │ ◄── Stdout, Stderr, Exit      │
//
//	signal                        │ Request{signal, number}  ──►  │
//	                              │ ◄── Reply                     │
//
//	stop and remove               │ Request{stop, timeout}   ──►  │
//	                              │ ◄── Reply                     │  once the teardown is done
//
//	wait                          │ Request{wait}            ──►  │
//	                              │ ◄── Exit{code}                │  when the process ends
//
// # Who may speak
//
// [Listen] makes the socket with mode 0600, and both ends check the other's
// SO_PEERCRED: only root and the same user pass. [Conn.SendFDs] and
// [Conn.RecvFDs] hand over open files (SCM_RIGHTS, unix(7)).
//
// The package knows frames and the shapes of the small JSON bodies. What an
// operation does is the runtime's business. It is not meant for networks: the
// other end is trusted once it has passed the check.
package wire
