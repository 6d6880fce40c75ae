// Package integration tests the built mini from the outside: it runs the
// binary inside private hosts (see package host) and looks at what the kernel
// and the user get. It has no code of its own besides the tests.
package integration
