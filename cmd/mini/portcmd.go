package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/minirt/mini/network/port"
	"github.com/minirt/mini/runtime"
)

func portCommand() *command {
	return &command{
		name: "port", args: "CONTAINER [PRIVATE_PORT[/PROTO]]", min: 1, max: 2, run: runPort,
		short: "List port mappings or a specific mapping for the container", complete: "containers",
		flags: func() flagSet {
			return flagSet{boolFlag("explain", "", "Say who can reach each port")}
		},
		long: "With 'add' or 'rm' (mini's own) it publishes ports of a running container, or withdraws them.\n" +
			"A container that is called add or rm is named by its id, or as /add.",
		example: "mini port web\nmini port web 80/tcp\nmini port --explain web\nmini port add web 8080:80\nmini port rm web 8080:80",
		subs:    func() []*command { return []*command{portAddCommand(), portRmCommand()} },
	}
}

// portEdit is what add and rm have in common.
func portEdit(name string, run func(*call) error) *command {
	return &command{
		name: name, args: "CONTAINER PUBLISH [PUBLISH...]", min: 2, max: -1, run: run, complete: "containers",
		flags: func() flagSet { return flagSet{explainFlag()} },
	}
}

func portAddCommand() *command {
	c := portEdit("add", runPortAdd)
	c.short = "Publish ports of a running container (mini's own)"
	c.long = "PUBLISH is what -p of 'mini run' takes. The ports are published again when the container restarts.\n" +
		"All of them are published, or none."
	c.example = "mini port add web 8080:80\nmini port add --explain web 127.0.0.1:5353:53/udp 8000-8010:8000-8010"
	return c
}

func portRmCommand() *command {
	c := portEdit("rm", runPortRm)
	c.short = "Stop publishing ports of a running container (mini's own)"
	c.long = "PUBLISH is as for -p of 'mini run'. Without a host port or address it means every one that leads to the\n" +
		"container's port. Connections that were made go on."
	c.example = "mini port rm web 8080:80\nmini port rm --explain web 80"
	return c
}

func runPortAdd(c *call) error {
	ctr, req, err := c.portRequest()
	if err != nil {
		return err
	}
	if req.HostIP, err = publishIP(c.str("publish-ip")); err != nil {
		return err
	}
	added, err := ctr.AddPorts(c.ctx, req)
	if err != nil {
		return err
	}
	c.printPorts(added)
	if note := c.rt.Networks.Bypassed(added); note != "" {
		c.note("note: " + note)
	}
	return nil
}

func runPortRm(c *call) error {
	ctr, req, err := c.portRequest()
	if err != nil {
		return err
	}
	return ctr.RemovePorts(c.ctx, req)
}

// portRequest reads the arguments of add and rm.
func (c *call) portRequest() (*runtime.Container, runtime.PortRequest, error) {
	req := runtime.PortRequest{Telling: c.telling()}
	for _, spec := range c.args()[1:] {
		ports, err := port.Parse(spec)
		if err != nil {
			return nil, req, err
		}
		req.Ports = append(req.Ports, ports...)
	}
	ctr, err := c.container()
	return ctr, req, err
}

func (c *call) printPorts(ports []port.Mapping) {
	ports = port.Split(ports)
	slices.SortStableFunc(ports, func(a, b port.Mapping) int {
		return cmp.Or(cmp.Compare(a.ContainerPort, b.ContainerPort), cmp.Compare(a.Proto, b.Proto))
	})
	for _, p := range ports {
		c.printf("%s -> %s\n", portKey(p), p.Host())
	}
}

// explainPorts says who can reach each port of a container, or the one that is
// asked for.
func (c *call) explainPorts(ctr *runtime.Container, ports []port.Mapping) error {
	if c.flags.NArg() == 2 {
		want, err := port.ParseExposed(c.arg(1))
		if err != nil || len(want) != 1 {
			return fmt.Errorf("invalid port %q: want PRIVATE_PORT[/PROTO]", c.arg(1))
		}
		ports = slices.DeleteFunc(ports, func(p port.Mapping) bool { return p.Exposed() != want[0] })
	}
	eps, err := ctr.Endpoints()
	if err != nil {
		return err
	}
	rows := []portReach{}
	for _, r := range reachOf(eps) {
		if slices.ContainsFunc(ports, func(p port.Mapping) bool { return portKey(p) == r.Port }) {
			rows = append(rows, r)
		}
	}
	slices.SortStableFunc(rows, func(a, b portReach) int { return cmp.Compare(a.number, b.number) })
	for _, r := range rows {
		c.printf("%s -> %s: %s\n", r.Port, r.At, r.Reach)
	}
	if len(rows) > 0 {
		c.println("Rules of the administrator in the chain DOCKER-USER may narrow this.")
	}
	return nil
}

func runPort(c *call) error {
	ctr, err := c.container()
	if err != nil {
		return err
	}
	ports, err := publishedPorts(ctr)
	if err != nil {
		return err
	}
	if c.bool("explain") {
		return c.explainPorts(ctr, ports)
	}
	ports = slices.DeleteFunc(ports, func(p port.Mapping) bool { return p.HostPort == 0 }) // of a routed network
	if c.flags.NArg() == 1 {
		c.printPorts(ports)
		return nil
	}
	want, err := port.ParseExposed(c.arg(1))
	if err != nil || len(want) != 1 {
		return fmt.Errorf("invalid port %q: want PRIVATE_PORT[/PROTO]", c.arg(1))
	}
	found := false
	for _, p := range ports {
		if p.Exposed() == want[0] {
			c.println(p.Host())
			found = true
		}
	}
	if !found {
		return fmt.Errorf("no public port '%s' published for %s", want[0], c.arg(0))
	}
	return nil
}
