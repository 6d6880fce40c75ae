package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/minirt/mini/runtime"
)

func startCommand() *command {
	return &command{
		name: "start", args: "CONTAINER [CONTAINER...]", min: 1, max: -1, run: runStart,
		short: "Start one or more stopped containers", complete: "containers",
		example: "mini start web db\nmini start -ai shell",
		flags: func() flagSet {
			return flagSet{
				boolFlag("attach", "a", "Attach STDOUT/STDERR and forward signals"),
				detachKeysFlag(), explainFlag(),
				boolFlag("interactive", "i", "Attach container's STDIN"),
				boolFlag("sig-proxy", "", "Proxy received signals to the process").byDefault("true"),
			}
		},
	}
}

func attachCommand() *command {
	return &command{
		name: "attach", args: "CONTAINER", min: 1, max: 1, run: runAttach,
		short: "Attach local standard input, output, and error streams to a running container", complete: "containers",
		example: "mini attach shell\nmini attach --detach-keys ctrl-x,x shell",
		flags: func() flagSet {
			return flagSet{
				detachKeysFlag(),
				boolFlag("no-stdin", "", "Do not attach STDIN"),
				boolFlag("sig-proxy", "", "Proxy all received signals to the process").byDefault("true"),
			}
		},
	}
}

func runStart(c *call) error {
	rt, err := c.openToStart()
	if err != nil {
		return err
	}
	if c.bool("attach") || c.bool("interactive") {
		if c.flags.NArg() > 1 {
			return errors.New("you cannot start and attach multiple containers at once")
		}
		ctr, err := rt.Find(c.arg(0))
		if err != nil {
			return err
		}
		return c.startAttached(ctr)
	}
	return c.each(c.args(), func(ref string) error {
		ctr, err := rt.Find(ref)
		if err != nil {
			return err
		}
		if ctr.State.Status == runtime.Running {
			return nil // as in Docker, it is what was wanted
		}
		return c.startDetached(ctr)
	})
}

func (c *call) startDetached(ctr *runtime.Container) error {
	notes := &noteWriter{w: c.err}
	s, err := ctr.Start(c.ctx, runtime.StartOptions{Explain: c.explains(), Note: c.noteTo(notes)})
	if errors.Is(err, runtime.ErrRunning) {
		return nil // another command was faster, and did what was wanted
	}
	if err != nil {
		return fmt.Errorf("failed to start container %s: %w", ctr.Config.Name, err)
	}
	return s.Close()
}

func (c *call) startAttached(ctr *runtime.Container) error {
	if ctr.State.Status == runtime.Running {
		return c.attach(ctr, c.bool("interactive"))
	}
	a, err := c.newAttachment(ctr.Config.Tty, c.bool("interactive") && ctr.Config.OpenStdin, c.bool("sig-proxy"))
	if err != nil {
		return err
	}
	rows, cols := terminalSize(c.stdio)
	a.begin()
	s, err := ctr.Start(context.WithoutCancel(c.ctx), runtime.StartOptions{
		Attach: a.streams(), Explain: c.explains(), Note: c.noteTo(a.notes), Rows: rows, Cols: cols,
	})
	if err != nil {
		return fmt.Errorf("failed to start container %s: %w", ctr.Config.Name, err)
	}
	code, err := a.stream(s)
	if err != nil {
		return err
	}
	return exitWith(code)
}

func runAttach(c *call) error {
	ctr, err := c.container()
	if err != nil {
		return err
	}
	if ctr.State.Status != runtime.Running {
		return &exitError{code: 1, text: "You cannot attach to a stopped container, start it first"}
	}
	return c.attach(ctr, !c.bool("no-stdin"))
}

func (c *call) attach(ctr *runtime.Container, stdin bool) error {
	a, err := c.newAttachment(ctr.Config.Tty, stdin && ctr.Config.OpenStdin, c.bool("sig-proxy"))
	if err != nil {
		return err
	}
	a.begin()
	s, err := ctr.Attach(context.WithoutCancel(c.ctx), *a.streams())
	if err != nil {
		return err
	}
	code, err := a.stream(s)
	if err != nil {
		return err
	}
	return exitWith(code)
}
