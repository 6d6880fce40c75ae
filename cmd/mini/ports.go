package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/minirt/mini/network/port"
)

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
	return f.HostIP == p.HostIP && f.Proto == p.Proto && f.HostPortEnd == 0 && p.HostPortEnd == 0 &&
		int(f.ContainerPort)+g.n == int(p.ContainerPort) && int(f.HostPort)+g.n == int(p.HostPort)
}

func (g portRange) String() string {
	if g.n == 1 {
		return g.first.String()
	}
	last := g.n - 1
	return fmt.Sprintf("%s:%d-%d->%d-%d/%s", g.first.HostIP, g.first.HostPort, int(g.first.HostPort)+last,
		g.first.ContainerPort, int(g.first.ContainerPort)+last, g.first.Proto)
}
