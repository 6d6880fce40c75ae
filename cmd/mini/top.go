package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/minirt/mini/runtime"
)

func topCommand() *command {
	return &command{
		name: "top", args: "CONTAINER", min: 1, max: -1, ordered: true, run: runTop,
		short: "Display the running processes of a container", complete: "containers",
		long: "Process ids are the host's. Options of ps other than -ef are not supported.", example: "mini top web",
	}
}

func runTop(c *call) error {
	for _, o := range c.args()[1:] {
		if o != "-ef" && o != "ef" {
			return fmt.Errorf("ps option %q is not supported: only -ef is", o)
		}
	}
	ctr, err := c.container()
	if err != nil {
		return err
	}
	if ctr.State.Status != runtime.Running {
		return fmt.Errorf("container %s is not running", ctr.Config.ID)
	}
	pids, err := ctr.Pids()
	if err != nil {
		return err
	}
	clock, err := readBootClock()
	if err != nil {
		return err
	}
	tw := tabwriter.NewWriter(c.out, 20, 1, 3, ' ', 0)
	fmt.Fprintln(tw, "UID\tPID\tPPID\tC\tSTIME\tTTY\tTIME\tCMD")
	for _, pid := range pids {
		p, err := readProcess(pid)
		if errors.Is(err, errProcessGone) {
			continue
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(tw, strings.Join(p.columns(clock, time.Now()), "\t"))
	}
	return tw.Flush()
}
