package compile

import "github.com/opencontainers/runtime-spec/specs-go"

// Number gives the tests the call tables.
func Number(name specs.Arch, call string) (uint32, bool) {
	a, err := archOf(name)
	if err != nil {
		return 0, false
	}
	return a.number(call)
}

// CallNames lists the calls of i386, the largest table.
func CallNames() []string {
	names := make([]string, len(tableI386))
	for i, e := range tableI386 {
		names[i] = e.name
	}
	return names
}

var Truncated = truncated
