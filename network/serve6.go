package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/minirt/mini/network/port"
	"github.com/minirt/mini/plan"
)

// Published ports at [::1] are served by the process that holds them: see
// [port.Relay]. Nothing of it is on record, as it ends with the process.

// local6 gives those of the published ports that are served at [::1].
func (ep *Endpoint) local6() []port.Mapping {
	return slices.DeleteFunc(slices.Clone(ep.Ports), func(p port.Mapping) bool { return !ep.isLocal6(p) })
}

// serves6 says whether there are any.
func (ep *Endpoint) serves6() bool { return slices.ContainsFunc(ep.Ports, ep.isLocal6) }

func (ep *Endpoint) isLocal6(p port.Mapping) bool {
	return ep.IP6.IsValid() && p.Local6() && p.Proto != port.SCTP
}

// socatLines bounds what is printed for a range: one line shows how it is done.
const socatLines = 8

// stepServe6 serves the ports of after at [::1], and no longer those of before
// that are not among them. There is no step where nothing changes.
func stepServe6(before, after *Endpoint) []plan.Step {
	if !before.serves6() && !after.serves6() {
		return nil
	}
	first := missingPorts(before.local6(), after.local6())
	gone := missingPorts(after.local6(), before.local6())
	if before.IP6 != after.IP6 {
		first = after.local6()
	}
	var step plan.Step
	switch {
	case len(first) > 0:
		step = plan.Step{
			Name: "pass " + local6Text(first) + " on to the container",
			Why: "The kernel lets nothing that is for ::1 leave the loopback link, so no rule can do it: the container's monitor takes these connections, " +
				"and makes one of its own for each. By hand it takes a program like socat:",
		}
		for _, p := range first[:min(len(first), socatLines)] {
			step.Cmds = append(step.Cmds, socatComment(p, after.IP6))
		}
	case len(gone) > 0:
		step = plan.Step{Name: "pass nothing more on from " + local6Text(gone), Why: "Connections that were made go on."}
	default:
		return nil
	}
	step.Do = func(context.Context) error { return before.serve6(after) }
	step.Undo = func(context.Context) error { return after.serve6(before) }
	return []plan.Step{step}
}

// serve6 lets after serve at [::1] what it has, in place of ep, and with its relay.
func (ep *Endpoint) serve6(after *Endpoint) error {
	if ep.relay == nil {
		ep.relay = new(port.Relay)
	}
	after.relay = ep.relay
	var errs []error
	kept := make(map[*port.Socket]bool)
	for i, p := range after.Ports {
		if after.isLocal6(p) {
			kept[after.sockets[i]] = true
			errs = append(errs, after.relay.Serve(after.sockets[i], p.Proto, netip.AddrPortFrom(after.IP6, p.ContainerPort)))
		}
	}
	for _, s := range ep.sockets {
		if !kept[s] {
			errs = append(errs, after.relay.Silence(s))
		}
	}
	return errors.Join(errs...)
}

func local6Text(ports []port.Mapping) string {
	text := local6Of(ports[0]).String()
	if len(ports) > 1 {
		text += fmt.Sprintf(" and %d more", len(ports)-1)
	}
	return text
}

// local6Of is the part of a mapping that is served at [::1].
func local6Of(p port.Mapping) port.Mapping {
	p = p.Only6()
	p.HostIP = netip.IPv6Loopback()
	return p
}

// socatComment is a command that does what the monitor does, as a comment: in a
// script it would never end.
func socatComment(p port.Mapping, to netip.Addr) string {
	kind, options := "TCP6", ",reuseaddr,fork"
	if p.Proto == port.UDP {
		kind, options = "UDP6", ",fork"
	}
	return fmt.Sprintf("# socat %s-LISTEN:%d,bind=[::1]%s %s:[%s]:%d", kind, p.HostPort, options, kind, to, p.ContainerPort)
}
