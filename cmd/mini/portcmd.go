package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/minirt/mini/network/port"
)

func portCommand() *command {
	return &command{
		name: "port", args: "CONTAINER [PRIVATE_PORT[/PROTO]]", min: 1, max: 2, run: runPort,
		short: "List port mappings or a specific mapping for the container", complete: "containers",
		example: "mini port web\nmini port web 80/tcp",
	}
}

func runPort(c *call) error {
	rt, err := c.open()
	if err != nil {
		return err
	}
	ctr, err := rt.Find(c.arg(0))
	if err != nil {
		return err
	}
	ports, err := publishedPorts(ctr)
	if err != nil {
		return err
	}
	if c.flags.NArg() == 1 {
		slices.SortFunc(ports, func(a, b port.Mapping) int {
			return cmp.Or(cmp.Compare(a.ContainerPort, b.ContainerPort), cmp.Compare(a.Proto, b.Proto))
		})
		for _, p := range ports {
			c.printf("%s -> %s:%d\n", portKey(p), p.HostIP, p.HostPort)
		}
		return nil
	}
	want, err := port.Parse(c.arg(1))
	if err != nil || len(want) != 1 || want[0].HostPort != 0 {
		return fmt.Errorf("invalid port %q: want PRIVATE_PORT[/PROTO]", c.arg(1))
	}
	found := false
	for _, p := range ports {
		if portKey(p) == portKey(want[0]) {
			c.printf("%s:%d\n", p.HostIP, p.HostPort)
			found = true
		}
	}
	if !found {
		return fmt.Errorf("no public port '%s' published for %s", portKey(want[0]), c.arg(0))
	}
	return nil
}
