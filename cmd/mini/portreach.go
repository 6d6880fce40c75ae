package main

import (
	"fmt"

	"github.com/minirt/mini/network"
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
		for _, p := range ep.Ports {
			out = append(out, portReach{
				Port: portKey(p), At: fmt.Sprintf("%s:%d", p.HostIP, p.HostPort), Reach: p.Reach(), number: p.ContainerPort,
			})
		}
		for _, p := range ep.Open {
			out = append(out, portReach{
				Port: portKey(p), At: fmt.Sprintf("%s:%d", ep.IP, p.ContainerPort),
				Reach: "everybody who has a route to it", number: p.ContainerPort,
			})
		}
	}
	return out
}
