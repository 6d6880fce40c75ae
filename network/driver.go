package network

import (
	"os"

	"github.com/minirt/mini/plan"
)

// linkDriver is what tells the drivers apart that give containers links. What
// touches the kernel is given as steps of a plan.
type linkDriver interface {
	// place fits a network that is about to be defined to the host and to other
	// networks.
	place(n *Network) error
	// dress fills in what an endpoint's links are called and made of.
	dress(n *Network, ep *Endpoint, spec EndpointSpec)
	// attach connects a container, see [Manager.AttachPlan]. The mark is that of the
	// network, nil for a driver without rules.
	attach(ep *Endpoint, mk *mark, ns *os.File) plan.Plan
	// detach is for a container that is dying, disconnect for one that lives on.
	detach(ep *Endpoint) []plan.Step
	disconnect(ep *Endpoint, ns *os.File) []plan.Step
}

// netDriver is the rest of it, for networks that are brought up: see
// [Network.HasRules].
type netDriver interface {
	// fit decides what the network looks like on this host. It reads only.
	fit(n *Network, mk *mark) error
	// stands tells whether what the mark describes is still there, apart from rules.
	stands(n *Network, mk *mark) (bool, error)
	// up and down make and take away what all containers of the network need.
	up(n *Network, mk *mark) []plan.Step
	down(n *Network, mk *mark) []plan.Step
}

// links gives the driver of that name. An endpoint on record from before drivers
// were recorded has none: see [Endpoint.driver].
func (m *Manager) links(driver string) linkDriver {
	switch driver {
	case DriverMacvlan:
		return macvlanDriver{m}
	case DriverPtp:
		return ptpDriver{m}
	}
	return bridgeDriver{m}
}

func (m *Manager) nets(n *Network) netDriver {
	if n.Driver == DriverPtp {
		return ptpDriver{m}
	}
	return bridgeDriver{m}
}

// driver is the name of the network's driver.
func (ep *Endpoint) driver() string {
	if ep.Driver == "" && ep.Parent != "" {
		return DriverMacvlan
	}
	return ep.Driver
}

// HasEndpoints tells whether containers get addresses of the network.
func (n *Network) HasEndpoints() bool { return n.HasRules() || n.Driver == DriverMacvlan }

// HasRules tells whether the network has firewall rules, and so is brought up and
// taken down.
func (n *Network) HasRules() bool { return n.Driver == DriverBridge || n.Driver == DriverPtp }

// bridgeDriver joins containers by a bridge of the host.
type bridgeDriver struct{ m *Manager }

func (d bridgeDriver) place(n *Network) error { return d.m.place(n) }

func (d bridgeDriver) dress(n *Network, ep *Endpoint, spec EndpointSpec) {
	ep.HostLink, ep.Isolated = vethName(spec), n.NoICC
}

func (d bridgeDriver) attach(ep *Endpoint, mk *mark, ns *os.File) plan.Plan {
	return d.m.attachPlan(ep, mk, ns)
}

func (d bridgeDriver) detach(ep *Endpoint) []plan.Step {
	if ep.HostLink == "" {
		return nil // an intent that was cut short
	}
	return append([]plan.Step{d.m.stepUnplug(ep)}, d.m.forgetSteps(ep)...)
}

func (d bridgeDriver) disconnect(ep *Endpoint, _ *os.File) []plan.Step {
	return append([]plan.Step{d.m.stepDeleteCable(ep)}, d.m.forgetSteps(ep)...)
}

func (d bridgeDriver) fit(n *Network, mk *mark) error { return d.m.fitBridge(n, mk) }

func (d bridgeDriver) stands(n *Network, mk *mark) (bool, error) { return d.m.bridgeStands(n, mk) }

func (d bridgeDriver) up(n *Network, mk *mark) []plan.Step { return d.m.linkSteps(n, mk) }

func (d bridgeDriver) down(n *Network, mk *mark) []plan.Step {
	if mk.Found != nil {
		return d.m.leaveSteps(n, mk)
	}
	return []plan.Step{d.m.stepDropBridge(n, mk)}
}

// macvlanDriver gives containers children of one of the host's links.
type macvlanDriver struct{ m *Manager }

func (d macvlanDriver) place(n *Network) error { return d.m.placeOnParent(n) }

func (d macvlanDriver) dress(n *Network, ep *Endpoint, _ EndpointSpec) { ep.onParent(n) }

func (d macvlanDriver) attach(ep *Endpoint, _ *mark, ns *os.File) plan.Plan {
	return d.m.attachMacvlan(ep, ns)
}

func (d macvlanDriver) detach(*Endpoint) []plan.Step { return nil }

func (d macvlanDriver) disconnect(ep *Endpoint, ns *os.File) []plan.Step {
	return []plan.Step{stepDeleteChild(&container{ep: ep, ns: ns})}
}
