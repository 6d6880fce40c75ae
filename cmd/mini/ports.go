package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/minirt/mini/network/port"
	"github.com/minirt/mini/runtime"
)

// withExposed adds the exposed ports of a running container that are not
// published, as mappings without a host port.
func withExposed(ctr *runtime.Container, ports []port.Mapping) []port.Mapping {
	if ctr.State.Status != runtime.Running || len(ctr.Config.Networks) == 0 {
		return ports
	}
	for _, e := range ctr.Config.Exposed {
		if !slices.ContainsFunc(ports, func(p port.Mapping) bool { return p.Exposed() == e }) {
			ports = append(ports, port.Mapping{ContainerPort: e.Port, Proto: e.Proto})
		}
	}
	return ports
}

// portsText is the PORTS column of ps: neighbours are shown as one range.
func portsText(ports []port.Mapping) string {
	ports = slices.Clone(ports)
	slices.SortFunc(ports, func(a, b port.Mapping) int {
		return cmp.Or(cmp.Compare(a.ContainerPort, b.ContainerPort), cmp.Compare(a.Proto, b.Proto),
			a.HostIP.Compare(b.HostIP), cmp.Compare(a.HostPort, b.HostPort))
	})
	var groups []portRange
	for _, p := range ports {
		i := slices.IndexFunc(groups, func(g portRange) bool { return g.continuedBy(p) })
		if i < 0 {
			groups = append(groups, portRange{first: p, n: 1})
		} else {
			groups[i].n++
		}
	}
	words := make([]string, len(groups))
	for i, g := range groups {
		words[i] = g.String()
	}
	return strings.Join(words, ", ")
}

// portRange is n mappings whose ports follow each other on both sides.
type portRange struct {
	first port.Mapping
	n     int
}

func (g portRange) continuedBy(p port.Mapping) bool {
	f := g.first
	if f.HostIP != p.HostIP || f.Proto != p.Proto || int(f.ContainerPort)+g.n != int(p.ContainerPort) {
		return false
	}
	if f.HostPort == 0 {
		return p.HostPort == 0
	}
	return f.HostPortEnd == 0 && p.HostPortEnd == 0 && int(f.HostPort)+g.n == int(p.HostPort)
}

func (g portRange) String() string {
	last := g.n - 1
	switch exposed := g.first.HostPort == 0; {
	case exposed && g.n == 1:
		return portKey(g.first)
	case exposed:
		return fmt.Sprintf("%d-%s", g.first.ContainerPort, port.Exposed{Port: g.first.ContainerPort + uint16(last), Proto: g.first.Proto})
	case g.n == 1:
		return g.first.String()
	}
	all := g.first
	all.HostPortEnd = all.HostPort + uint16(last)
	return fmt.Sprintf("%s->%d-%d/%s", all.Host(), all.ContainerPort, int(all.ContainerPort)+last, all.Proto)
}
