// Command seccompgen writes the generated files of runtime/seccomp:
//
//	seccompgen tables    system call numbers, from golang.org/x/sys
//	seccompgen filters   the default filter, compiled for amd64 and arm64
//
// Run it with "go generate ./runtime/seccomp" after an update of
// golang.org/x/sys or github.com/moby/profiles. A test fails when the files
// are not up to date.
package main
