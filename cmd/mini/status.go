package main

import (
	"fmt"
	"time"

	"github.com/docker/go-units"

	"github.com/minirt/mini/runtime"
)

// statusText is the STATUS column of ps.
func statusText(s runtime.State, now time.Time) string {
	switch s.Status {
	case runtime.Running:
		return "Up " + units.HumanDuration(now.Sub(s.StartedAt))
	case runtime.Exited:
		return fmt.Sprintf("Exited (%d) %s", s.ExitCode, ago(s.FinishedAt, now))
	case runtime.Dead:
		return "Dead"
	}
	return "Created"
}

// ago is a time as Docker's tables show it.
func ago(t, now time.Time) string { return units.HumanDuration(now.Sub(t)) + " ago" }
