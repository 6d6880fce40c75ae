package network

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/netns"
	"github.com/minirt/mini/plan"
)

// addGaps records what something of the container lacks. The repair is in its
// namespace.
func (p *wired) addGaps(subject, why string, gaps []gap) {
	if len(gaps) == 0 {
		return
	}
	var what []string
	for _, g := range gaps {
		what = append(what, g.what)
	}
	p.addInside(subject+" "+strings.Join(what, " and "), why, gaps)
}

func (p *wired) addInside(what, why string, gaps []gap) {
	f := NewFinding(p.subject(), what, why, p.inNamespace(gaps)...)
	f.whole = true
	p.d.add(f)
}

// inNamespace puts steps between one that opens the container's namespace and one
// that closes it. By hand, the namespace gets a name for that time.
func (p *wired) inNamespace(gaps []gap) []plan.Step {
	name, ep, c := p.ep.NamespaceName(), p.ep, p.c
	open := plan.Step{
		Name: "open the network namespace of " + ep.ContainerName + " for " + ep.Interface,
		Why:  "The container runs: its namespace is that of its first process.",
		Cmds: []string{plan.Command("ip", "netns", "attach", name, fmt.Sprint(p.pid))},
		Do: func(context.Context) (err error) {
			r := p.d.who.Running(ep.ContainerID)
			if r == nil {
				return fmt.Errorf("container %s has ended", ep.ContainerName)
			}
			c.ns = r.Netns
			if c.nl, err = netns.Open(c.ns, nil); err != nil {
				return err
			}
			c.link, err = findLink(c.nl, ep.Interface)
			return err
		},
	}
	end := plan.Step{
		Name: "close the network namespace of " + ep.ContainerName + " for " + ep.Interface,
		Why:  "The name was for this repair only.",
		Cmds: []string{plan.Command("ip", "netns", "delete", name)},
		Do:   func(context.Context) error { c.close(); return nil },
	}
	all := []gap{{step: open}}
	for _, g := range gaps {
		g.step.Name += " (" + ep.ContainerName + ")"
		all = append(all, g)
	}
	return append(untilFirst(all), end)
}

// untilFirst gives the steps of gaps so that none is done after one has failed that it
// builds on: one of its own family, or of both. What fails for IPv6 does not keep
// IPv4 from being repaired.
func untilFirst(gaps []gap) (steps []plan.Step) {
	failed := make(map[int]bool)
	for _, g := range gaps {
		do := g.step.Do
		g.step.Do = func(ctx context.Context) error {
			if failed[unix.AF_UNSPEC] || failed[g.family] {
				return nil
			}
			err := do(ctx)
			failed[g.family] = failed[g.family] || err != nil
			return err
		}
		steps = append(steps, g.step)
	}
	return steps
}
