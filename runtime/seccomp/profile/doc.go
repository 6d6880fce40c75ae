// Package profile resolves the default seccomp profile of Docker, from
// github.com/moby/profiles, for an architecture and a set of capabilities.
//
// Package seccomp holds the result for the default capabilities, compiled.
// Use this package for containers with other capabilities, and to show the
// profile in an OCI runtime-spec.
package profile
