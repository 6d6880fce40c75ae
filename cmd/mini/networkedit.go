package main

import (
	"errors"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/runtime"
)

func networkConnectCommand() *command {
	return &command{
		name: "connect", args: "NETWORK CONTAINER", min: 2, max: 2, run: runNetworkConnect,
		short: "Connect a container to a network", complete: "networks",
		long: "A running container's default route and published ports move to the network with the highest gw-priority;\n" +
			"of equal ones the first that it was connected to has them. An internal network never does.",
		example: "mini network connect --alias db backend web\nmini network connect --gw-priority 1 --explain backend web",
		flags: func() flagSet {
			return flagSet{
				listFlag("alias", "", "Add a further name for the container on the network, for lookups"),
				explainFlag(),
				intFlag("gw-priority", "", "Highest gw-priority provides the default gateway. Accepts positive and negative values."),
				stringFlag("ip", "", "IPv4 address (e.g., 172.30.100.104)"),
				stringFlag("ip6", "", "IPv6 address (e.g., fd00:1::33)"),
				stringFlag("mac-address", "", "MAC address (e.g., 92:d0:c6:0a:29:33)"),
			}
		},
	}
}

func networkDisconnectCommand() *command {
	return &command{
		name: "disconnect", args: "NETWORK CONTAINER", min: 2, max: 2, run: runNetworkDisconnect,
		short: "Disconnect a container from a network", complete: "networks",
		example: "mini network disconnect backend web",
		flags: func() flagSet {
			return flagSet{explainFlag(), boolFlag("force", "f", "Force the container to disconnect from a network")}
		},
	}
}

func runNetworkConnect(c *call) error {
	a, err := parseAttachment(attachmentTexts{c.str("ip"), c.str("ip6"), c.str("mac-address"), c.list("alias")})
	if err != nil {
		return err
	}
	a.GwPriority = c.flags.Int("gw-priority")
	n, ctr, err := c.networkAndContainer()
	if err != nil {
		return err
	}
	return ctr.ConnectNetwork(c.ctx, n, a, c.telling())
}

func runNetworkDisconnect(c *call) error {
	n, ctr, err := c.networkAndContainer()
	if err != nil {
		return err
	}
	return ctr.DisconnectNetwork(c.ctx, n, c.telling())
}

// telling gives where a monitor's notes and explanations go.
func (c *call) telling() runtime.Telling {
	return runtime.Telling{Explain: c.explains(), Note: c.noteTo(&noteWriter{w: c.err})}
}

func (c *call) networkAndContainer() (*network.Network, *runtime.Container, error) {
	rt, err := c.open()
	if err != nil {
		return nil, nil, err
	}
	n, err := rt.Networks.Find(c.arg(0))
	if err != nil {
		return nil, nil, err
	}
	ctr, err := rt.Find(c.arg(1))
	return n, ctr, err
}

// networkExistsCommand is Podman's.
func networkExistsCommand() *command {
	return &command{
		name: "exists", args: "NETWORK", min: 1, max: 1, complete: "networks",
		short: "Check if network exists", example: "mini network exists backend",
		long: "The exit code is 0 when it does, 1 when it does not, and 125 when that could not be found out. This is Podman's command.",
		run: func(c *call) error {
			rt, err := c.open()
			if err == nil {
				_, err = rt.Networks.Find(c.arg(0))
			}
			switch {
			case errors.Is(err, network.ErrNotFound):
				return exitWith(1)
			case err != nil:
				return &exitError{code: runtime.ExitMini, text: "Error: " + err.Error(), err: err}
			}
			return nil
		},
	}
}

func networkInspectCommand() *command {
	c := inspectOne("network", "NETWORK [NETWORK...]", "Display detailed information on one or more networks", "mini network inspect bridge")
	c.flags = func() flagSet {
		return append(inspectFlags(), boolFlag("verbose", "v", "Accepted and ignored: there is nothing more to say"))
	}
	return c
}
