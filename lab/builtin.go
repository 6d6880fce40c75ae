package lab

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed builtin/*.yaml
var builtin embed.FS

// Builtins gives the names of the labs that come with mini, in an order to learn them in.
func Builtins() []string {
	return []string{
		"veth", "bridge", "router", "gateway", "snat", "dnat", "docker0", "modes", "isolation", "two-hosts", "vxlan",
	}
}

// Builtin gives a lab that comes with mini, and the text of its file.
func Builtin(name string) (t *Topology, source []byte, err error) {
	data, err := builtin.ReadFile("builtin/" + name + ".yaml")
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s; mini comes with %s", ErrNotFound, name, strings.Join(Builtins(), ", "))
	}
	t, err = Parse(name+".yaml", data)
	return t, data, err
}
