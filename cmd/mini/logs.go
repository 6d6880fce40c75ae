package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/minirt/mini/runtime"
	"github.com/minirt/mini/runtime/logs"
)

func logsCommand() *command {
	return &command{
		name: "logs", args: "CONTAINER", min: 1, max: 1, run: runLogs,
		short: "Fetch the logs of a container", complete: "containers",
		example: "mini logs -f --tail 10 web\nmini logs -t --since 5m web",
		flags: func() flagSet {
			return flagSet{
				boolFlag("follow", "f", "Follow log output"),
				stringFlag("since", "", "Show logs since timestamp (e.g. 2026-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)"),
				stringFlag("tail", "n", "Number of lines to show from the end of the logs").byDefault("all"),
				boolFlag("timestamps", "t", "Show timestamps"),
				stringFlag("until", "", "Show logs before a timestamp (e.g. 2026-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)"),
			}
		},
	}
}

func (c *call) logOptions(now time.Time) (opt logs.Options, err error) {
	opt = logs.Options{Tail: -1, Follow: c.bool("follow"), Timestamps: c.bool("timestamps")}
	if n, err := strconv.Atoi(c.str("tail")); err == nil && n >= 0 {
		opt.Tail = n // as in Docker, anything else means all
	}
	for _, t := range []struct {
		flag string
		to   *time.Time
	}{{"since", &opt.Since}, {"until", &opt.Until}} {
		text := c.str(t.flag)
		if text == "" {
			continue
		}
		if *t.to, err = logs.ParseTime(text, now); err != nil {
			return opt, fmt.Errorf("invalid value for %q: %w", t.flag, err)
		}
	}
	return opt, nil
}

func runLogs(c *call) error {
	opt, err := c.logOptions(time.Now())
	if err != nil {
		return err
	}
	ctr, err := c.container()
	if err != nil {
		return err
	}
	stderr := c.err
	if ctr.Config.Tty {
		stderr = c.out // a terminal has one stream only
	}
	var done chan struct{}
	if opt.Follow {
		done = make(chan struct{})
		go func() {
			defer close(done)
			if ctr.State.Status == runtime.Running {
				_, _ = ctr.Wait(c.ctx) // however it ended: nothing more will be said
			}
		}()
	}
	return logs.Read(c.ctx, ctr.LogPath(), opt, done, c.out, stderr)
}
