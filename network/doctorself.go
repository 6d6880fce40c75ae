package network

import (
	"context"
	"net"
	"net/netip"

	"github.com/minirt/mini/network/netns"
	"github.com/minirt/mini/plan"
)

// checkSelf looks at what all networks of a container share: its lo, and the rules that
// lead its questions for names to mini's name server.
func (p *wired) checkSelf() error {
	if p.d.once(p.ep.ContainerID) {
		if err := p.checkLoopback(); err != nil {
			return err
		}
		if err := p.checkNames(); err != nil {
			return err
		}
	}
	if !p.ep.IP6.IsValid() || !p.d.once(p.ep.ContainerID+" IPv6") {
		return nil
	}
	on, err := p.c.hasIPv6On("lo")
	if err == nil && !on {
		p.addInside("its lo is without IPv6", "it does not reach itself at ::1", []gap{{step: p.c.stepIPv6On("lo")}})
	}
	return err
}

// once says whether something is looked at for the first time.
func (d *doctor) once(what string) bool {
	if d.looked == nil {
		d.looked = make(map[string]bool)
	}
	first := !d.looked[what]
	d.looked[what] = true
	return first
}

func (p *wired) checkLoopback() error {
	h, err := netns.Open(p.c.ns, nil)
	if err != nil {
		return err
	}
	defer h.Close()
	lo, err := findLink(h, "lo")
	if lo != nil && lo.Attrs().Flags&net.FlagUp == 0 {
		p.addInside("its lo is down", "it reaches neither itself nor mini's name server", []gap{{step: p.c.stepLoopback()}})
	}
	return err
}

// checkNames looks for the rules in the container's namespace, which whoever is root in
// there can flush.
func (p *wired) checkNames() error {
	to := p.d.who.Running(p.ep.ContainerID).Names
	if !to.IsValid() {
		return nil
	}
	stands := false
	err := netns.Do(p.c.ns, func() (err error) {
		stands, err = namesTable(p.ep, to).Stands()
		return err
	})
	if err == nil && !stands {
		p.addInside("the rules that lead to mini's name server are gone", "it gets no answer for any name", []gap{{step: p.c.stepNamesAgain(to)}})
	}
	return err
}

func (c *container) stepNamesAgain(to netip.AddrPort) plan.Step {
	step, table := stepNames(c.ep, c.ns, to), namesTable(c.ep, to)
	step.Undo = nil
	step.Do = func(context.Context) error { return netns.Do(c.ns, table.Replace) }
	remove := plan.Command("ip", "netns", "exec", c.ep.NamespaceName(), "nft", "delete", "table", "ip", table.Name)
	step.Cmds = append([]string{remove + " 2>/dev/null || true"}, step.Cmds...)
	return step
}
