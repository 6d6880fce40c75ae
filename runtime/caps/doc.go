// Package caps computes capability sets: Docker's default, what --cap-add and
// --cap-drop make of it, and what this process can give away at all.
//
// Names are spelled as in capabilities(7), with the CAP_ prefix and in upper
// case, which is also how the OCI runtime-spec spells them. [Resolve] takes
// them as people type them. Everything except [LastCap] and [Available] is
// pure.
package caps
