package main

import (
	"net/netip"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/network/port"
)

// portReach says who can reach a published port: mini's own part of inspect.
type portReach struct {
	Port  string // 80/tcp
	At    string // 0.0.0.0:8080
	Reach string

	number uint16 // of the container's port
}

// reachOf judges the ports of a container's endpoints.
func reachOf(eps []network.Endpoint) []portReach {
	out := []portReach{}
	for _, ep := range eps {
		for _, p := range port.Split(ep.Ports) {
			out = append(out, portReach{Port: portKey(p), At: p.Host(), Reach: p.Reach(), number: p.ContainerPort})
		}
		for _, p := range port.Split(ep.Open) {
			ip := ep.IP
			if p.Has6() {
				ip = ep.IP6
			}
			out = append(out, portReach{
				Port: portKey(p), At: netip.AddrPortFrom(ip, p.ContainerPort).String(),
				Reach: "everybody who has a route to it", number: p.ContainerPort,
			})
		}
	}
	return out
}
