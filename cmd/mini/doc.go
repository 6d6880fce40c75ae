// Command mini runs containers whose networking can be seen through. Its
// command line is Docker's.
//
// This package turns flags into calls of package runtime and results into
// text, and does nothing else. It is the only place that exits the process,
// that knows exit codes of commands other than run, and that gives hints.
//
//	argv ──normalise──► urfave/cli ──► one command's run function
//	         │                              │
//	         └ Docker's flag syntax,        └ runtime, rootfs, network
//	           unknown flags, --help
//
// The same binary is also each container's monitor: see [runtime.MonitorMain].
// As a process of that kind starts with every container, nothing here is
// computed when the program starts: all tables are built by functions.
package main
