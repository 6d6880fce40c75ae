package network

import (
	"context"
	"fmt"

	"github.com/minirt/mini/network/netns"
	"github.com/minirt/mini/plan"
)

// addInside records a finding whose repair is in the container's namespace.
func (p *wired) addInside(what, why string, steps ...plan.Step) {
	f := NewFinding(p.subject(), what, why, p.inNamespace(steps...)...)
	f.whole = true
	p.d.add(f)
}

// inNamespace puts steps between one that opens the container's namespace and one
// that closes it. By hand, the namespace gets a name for that time.
func (p *wired) inNamespace(steps ...plan.Step) []plan.Step {
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
	all := []plan.Step{open}
	for _, s := range steps {
		s.Name += " (" + ep.ContainerName + ")"
		all = append(all, s)
	}
	untilFirst(all)
	return append(all, end)
}

// untilFirst lets no step be done after one has failed that it builds on.
func untilFirst(steps []plan.Step) {
	failed := false
	for i := range steps {
		do := steps[i].Do
		steps[i].Do = func(ctx context.Context) error {
			if failed {
				return nil
			}
			err := do(ctx)
			failed = err != nil
			return err
		}
	}
}
