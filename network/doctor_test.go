package network

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/minirt/mini/plan"
	"golang.org/x/sys/unix"
)

// TestRepairPlan: what is the same is done once, what only has the same name each time,
// and steps that build on each other stay together.
func TestRepairPlan(t *testing.T) {
	step := func(name string, cmds ...string) plan.Step { return plan.Step{Name: name, Cmds: cmds} }
	inside := func(cmd string) Finding {
		f := NewFinding("a", cmd, "", step("open", "open a"), step(cmd, cmd), step("close", "close a"))
		f.whole = true
		return f
	}
	p := RepairPlan([]Finding{
		NewFinding("a", "x", "", step("tag", "tag a"), step("filter", "filter a")),
		NewFinding("b", "x", "", step("tag", "tag b"), step("filter", "filter b")),
		NewFinding("a", "y", "", step("tag", "tag a")),
		inside("lo"), inside("eth0"),
		Fine("c", "well"),
	})
	var got []string
	for _, s := range p.Steps {
		got = append(got, s.Cmds...)
	}
	want := []string{"tag a", "filter a", "tag b", "filter b", "open a", "lo", "close a", "open a", "eth0", "close a"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestRepairInside: what fails for IPv6 keeps nothing of IPv4 from being repaired, and
// what both need keeps all.
func TestRepairInside(t *testing.T) {
	for failing, want := range map[string]string{
		"open":     "open",
		"address6": "open address6 address4 up route4",
		"up":       "open address6 address4 up",
		"route4":   "open address6 address4 up route6 route4",
	} {
		var done []string
		step := func(name string, family int) gap {
			return gap{family: family, step: plan.Step{Name: name, Do: func(context.Context) error {
				done = append(done, name)
				if name == failing {
					return errors.New(name)
				}
				return nil
			}}}
		}
		p := plan.Plan{Steps: untilFirst([]gap{
			step("open", 0), step("address6", unix.AF_INET6), step("address4", unix.AF_INET), step("up", 0),
			step("route6", unix.AF_INET6), step("route4", unix.AF_INET),
		})}
		if err := p.RunAll(t.Context(), nil); err == nil || strings.Join(done, " ") != want {
			t.Errorf("%s fails: error %v, done: %q, want %s", failing, err, done, want)
		}
	}
}
