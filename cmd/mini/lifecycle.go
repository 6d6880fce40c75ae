package main

import (
	"errors"

	"github.com/minirt/mini/runtime"
)

func stopFlags() flagSet {
	return flagSet{
		stringFlag("signal", "s", "Signal to send to the container"),
		intFlag("time", "t", "Seconds to wait before killing the container (-1: for ever)").or("timeout"),
	}
}

func stopCommand() *command {
	return &command{
		name: "stop", args: "CONTAINER [CONTAINER...]", min: 1, max: -1, flags: stopFlags, run: runStop,
		short: "Stop one or more running containers", complete: "containers",
		example: "mini stop web\nmini stop -t 1 web db",
	}
}

func restartCommand() *command {
	return &command{
		name: "restart", args: "CONTAINER [CONTAINER...]", min: 1, max: -1, flags: stopFlags, run: runRestart,
		short: "Restart one or more containers", complete: "containers",
		example: "mini restart -t 2 web",
	}
}

func killCommand() *command {
	return &command{
		name: "kill", args: "CONTAINER [CONTAINER...]", min: 1, max: -1, run: runKill,
		short: "Kill one or more running containers", complete: "containers",
		example: "mini kill web\nmini kill -s HUP web",
		flags: func() flagSet {
			return flagSet{stringFlag("signal", "s", "Signal to send to the container").byDefault("KILL")}
		},
	}
}

func waitCommand() *command {
	return &command{
		name: "wait", args: "CONTAINER [CONTAINER...]", min: 1, max: -1, run: runWait,
		short: "Block until one or more containers stop, then print their exit codes", complete: "containers",
		example: "mini wait job",
	}
}

func rmCommand() *command {
	return &command{
		name: "rm", aliases: []string{"remove"}, args: "CONTAINER [CONTAINER...]", min: 1, max: -1, run: runRm,
		short: "Remove one or more containers", complete: "containers",
		example: "mini rm web\nmini rm -f $(mini ps -aq)",
		flags: func() flagSet {
			return flagSet{
				boolFlag("force", "f", "Force the removal of a running container (uses SIGKILL)"),
				boolFlag("volumes", "v", "Remove anonymous volumes associated with the container"),
			}
		},
	}
}

func renameCommand() *command {
	return &command{
		name: "rename", args: "CONTAINER NEW_NAME", min: 2, max: 2, run: runRename,
		short: "Rename a container", complete: "containers", example: "mini rename web old-web",
	}
}

// withContainers looks up each container and does something to it, side by side.
func (c *call) withContainers(fn func(*runtime.Container) error) error {
	rt, err := c.open()
	if err != nil {
		return err
	}
	return c.eachAtOnce(c.args(), func(ref string) error {
		ctr, err := rt.Find(ref)
		if err != nil {
			return err
		}
		return fn(ctr)
	})
}

// stopOptions reads stop's flags, and refuses a bad signal for all containers.
func (c *call) stopOptions() (runtime.StopOptions, error) {
	opt := runtime.StopOptions{Signal: c.str("signal"), Timeout: c.optionalInt("time")}
	if opt.Signal != "" {
		if _, err := runtime.ParseSignal(opt.Signal); err != nil {
			return opt, err
		}
	}
	return opt, nil
}

func runStop(c *call) error {
	opt, err := c.stopOptions()
	if err != nil {
		return err
	}
	return c.withContainers(func(ctr *runtime.Container) error { return ctr.Stop(c.ctx, opt) })
}

func runRestart(c *call) error {
	opt, err := c.stopOptions()
	if err != nil {
		return err
	}
	return c.withContainers(func(ctr *runtime.Container) error { return ctr.Restart(c.ctx, opt) })
}

func runKill(c *call) error {
	sig, err := runtime.ParseSignal(c.str("signal"))
	if err != nil {
		return err
	}
	return c.withContainers(func(ctr *runtime.Container) error { return ctr.Kill(c.ctx, sig) })
}

func runWait(c *call) error {
	rt, err := c.open()
	if err != nil {
		return err
	}
	var errs []error
	for _, ref := range c.args() {
		ctr, err := rt.Find(ref)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		code, err := ctr.Wait(c.ctx)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		c.println(code)
	}
	return errors.Join(errs...)
}

func runRm(c *call) error {
	opt := runtime.RemoveOptions{Force: c.bool("force"), Volumes: c.bool("volumes")}
	rt, err := c.open()
	if err != nil {
		return err
	}
	return c.eachAtOnce(c.args(), func(ref string) error {
		ctr, err := rt.Find(ref)
		if err == nil {
			err = ctr.Remove(c.ctx, opt)
		}
		if opt.Force && errors.Is(err, runtime.ErrNotFound) {
			return &forgivenError{err}
		}
		return err
	})
}

func runRename(c *call) error {
	ctr, err := c.container()
	if err != nil {
		return err
	}
	return c.rt.Rename(ctr, c.arg(1))
}
