// Package names makes and checks the names and ids of containers.
//
// A container has an id of 64 hexadecimal digits, chosen at random by [NewID],
// and a name: the user's, checked by [Valid], or one from [Random] such as
// "patient_lovelace". The package holds no table that must be built when the
// program starts, because the monitor of every container links it.
//
// Whether a name is already taken is for the runtime's store to know.
package names
