package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/plan"
	"github.com/minirt/mini/runtime"
)

func networkGroup() *command {
	return &command{
		name: "network", short: "Manage networks", example: "mini network create --subnet 10.9.0.0/24 backend",
		subs: func() []*command {
			return []*command{
				networkConnectCommand(), networkCreateCommand(), networkDisconnectCommand(), networkDownCommand(), networkExistsCommand(),
				networkInspectCommand(),
				networkLsCommand(), networkPruneCommand(), networkReloadCommand(), networkRmCommand(), networkUpCommand(),
			}
		},
	}
}

func networkRmCommand() *command {
	return &command{
		name: "rm", aliases: []string{"remove"}, args: "NETWORK [NETWORK...]", min: 1, max: -1,
		short: "Remove one or more networks", complete: "networks", example: "mini network rm backend",
		flags: func() flagSet {
			return flagSet{explainFlag(), boolFlag("force", "f", "Do not error if the network does not exist")}
		},
		run: func(c *call) error {
			return c.withNetworks(func(rt *runtime.Runtime, n *network.Network) error {
				return rt.Networks.Remove(c.ctx, n, c.observer())
			})
		},
	}
}

// observer prints the steps of a plan when --explain is given.
func (c *call) observer() plan.Observer {
	if !c.explains() {
		return nil
	}
	return plan.Explainer(c.err)
}

func (c *call) withNetworks(fn func(*runtime.Runtime, *network.Network) error) error {
	rt, err := c.open()
	if err != nil {
		return err
	}
	return c.each(c.args(), func(ref string) error {
		n, err := rt.Networks.Find(ref)
		if err == nil {
			err = fn(rt, n)
		}
		if c.bool("force") && errors.Is(err, network.ErrNotFound) {
			return &forgivenError{} // as in Docker, without a word
		}
		return err
	})
}

// unlessBare says of a network that is neither brought up nor taken down that there
// is nothing to do.
func (c *call) unlessBare(fn func(*runtime.Runtime, *network.Network) error) func(*runtime.Runtime, *network.Network) error {
	return func(rt *runtime.Runtime, n *network.Network) error {
		if n.HasRules() {
			return fn(rt, n)
		}
		c.note("mini: network " + n.Name + " has no bridge and no rules: there is nothing to do")
		return nil
	}
}

func networkUpCommand() *command {
	return &command{
		name: "up", args: "NETWORK [NETWORK...]", min: 1, max: -1, complete: "networks",
		short: "Bring up the bridge and the firewall rules of networks (mini's own)",
		long:  "Containers do this by themselves when they start.", example: "mini network up --explain bridge",
		flags: func() flagSet { return flagSet{explainFlag()} },
		run: func(c *call) error {
			return c.withNetworks(c.unlessBare(func(rt *runtime.Runtime, n *network.Network) error {
				return rt.Networks.Up(c.ctx, n, c.observer())
			}))
		},
	}
}

func networkDownCommand() *command {
	return &command{
		name: "down", args: "NETWORK [NETWORK...]", min: 1, max: -1, complete: "networks",
		short:   "Take away the bridge and the firewall rules of unused networks (mini's own)",
		long:    "The network itself stays and comes up again when a container needs it.",
		example: "mini network down --explain bridge",
		flags:   func() flagSet { return flagSet{explainFlag()} },
		run: func(c *call) error {
			return c.withNetworks(c.unlessBare(func(rt *runtime.Runtime, n *network.Network) error {
				return rt.Networks.Down(c.ctx, n, c.observer())
			}))
		},
	}
}

func networkReloadCommand() *command {
	return &command{
		name: "reload", args: "[NETWORK...]", max: -1, complete: "networks",
		short:   "Put back bridges, firewall rules and settings that somebody took away (mini's own)",
		long:    "Without a name it does so for all networks. A bridge that is gone is made again, and the cables of running\ncontainers are plugged into it. What is there stays as it is.",
		example: "mini network reload --explain",
		flags:   func() flagSet { return flagSet{explainFlag()} },
		run:     runNetworkReload,
	}
}

func runNetworkReload(c *call) error {
	reload := func(rt *runtime.Runtime, n *network.Network) error {
		return rt.Networks.Reload(c.ctx, n, c.observer())
	}
	if c.flags.NArg() > 0 {
		return c.withNetworks(c.unlessBare(reload))
	}
	rt, err := c.open()
	if err != nil {
		return err
	}
	all, err := rt.Networks.List()
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range all {
		if n.HasRules() {
			errs = append(errs, reload(rt, n))
		}
	}
	return errors.Join(errs...)
}

func networkPruneCommand() *command {
	return &command{
		name: "prune", max: 0, run: runNetworkPrune, short: "Remove all unused networks",
		long:    "It also takes the bridge and the rules of the default network away when no container needs them.",
		example: "mini network prune -f",
		flags: func() flagSet {
			return flagSet{
				explainFlag(),
				listFlag("filter", "", "Provide filter values (label=…, label!=…, until=…)").called("filter"),
				boolFlag("force", "f", "Do not prompt for confirmation"),
			}
		},
	}
}

func runNetworkPrune(c *call) error {
	keep, err := pruneFilter(c.list("filter"))
	if err != nil {
		return err
	}
	if !c.bool("force") && !c.confirm("WARNING! This will remove all custom networks not used by at least one container.") {
		return nil
	}
	rt, err := c.open()
	if err != nil {
		return err
	}
	removed, err := rt.Networks.Prune(c.ctx, keep, c.observer())
	if len(removed) > 0 {
		c.println("Deleted Networks:")
		for _, name := range removed {
			c.println(name)
		}
		c.println()
	}
	return err
}

// confirm asks before something is deleted.
func (c *call) confirm(warning string) bool {
	c.printf("%s\nAre you sure you want to continue? [y/N] ", warning)
	return readYes(c.in)
}

func readYes(in *os.File) bool {
	var answer string
	fmt.Fscanln(in, &answer)
	return answer == "y" || answer == "Y" || answer == "yes"
}
