package network

import (
	"slices"
	"testing"

	"github.com/minirt/mini/plan"
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
