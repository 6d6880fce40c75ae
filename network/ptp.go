package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/plan"
)

// DriverPtp lays a cable from the host to each container, point to point, without
// a bridge: the host routes every packet, also from one container of the network
// to another. Each host's end has the gateway's address, and a route for the one
// address behind it. See docs/decisions/0041-ptp.md.
const DriverPtp = "ptp"

// ptpDigits is how many digits of a network's id are in the names of its cables.
const ptpDigits = 5

// checkPtp refuses what only a bridge can do.
func checkPtp(opt *CreateOptions) error {
	if opt.Driver != DriverPtp {
		return nil
	}
	if opt.Bridge != "" || opt.InhibitIPv4 || opt.GatewayMode == firewall.ModeIsolated || opt.GatewayMode6 == firewall.ModeIsolated {
		return fmt.Errorf("ptp has no bridge: bridge_name, inhibit_ipv4 and gateway_mode=isolated need --driver bridge")
	}
	return nil
}

// cables is what the names of the host's ends of the network's cables begin with.
// The rules of the network stand for all links of such a name.
func (n *Network) cables() string { return "pt" + n.ID[:ptpDigits] }

// heldMetric is the metric of the route that holds the subnet: it tells that
// route from other people's.
func (n *Network) heldMetric() int {
	number, err := strconv.ParseUint(n.ID[:ptpDigits], 16, 32)
	if err != nil {
		return 1 // not an id of ours
	}
	return 1 + int(number)
}

// isHeld tells the routes that hold the network's subnets.
func (n *Network) isHeld(r netlink.Route) bool {
	return r.Type == unix.RTN_UNREACHABLE && r.Priority == n.heldMetric() && r.Dst != nil &&
		(r.Dst.String() == n.Subnet.String() || r.Dst.String() == n.Subnet6.String())
}

// hasCable tells a link of one of the network's containers.
func (n *Network) hasCable(link netlink.Link) bool {
	a := link.Attrs()
	return n.Driver == DriverPtp && link.Type() == "veth" && strings.HasPrefix(a.Name, n.cables()) && (a.Alias == "" || strings.HasPrefix(a.Alias, "mini:"))
}

// metric6 is what the kernel gives to a route of IPv6 without a metric:
// IP6_RT_PRIO_USER of its net/ip6_route.h.
const metric6 = 1024

// mayBeHeld tells a route that perhaps holds the subnet of another mini's ptp
// network: that subnet is in use. Where an administrator says no metric, it is 0
// or [metric6].
func mayBeHeld(r netlink.Route) bool {
	return r.Type == unix.RTN_UNREACHABLE && r.Priority > 0 && r.Priority <= 1<<(4*ptpDigits) && r.Priority != metric6
}

// ptpDriver connects each container by a cable of its own.
type ptpDriver struct{ m *Manager }

// place finds a subnet, and an id whose first digits no other such network has.
func (d ptpDriver) place(n *Network) error {
	nets, err := d.m.stored()
	if err != nil {
		return err
	}
	taken, err := d.m.heldMetrics()
	if err != nil {
		return err
	}
	for _, o := range nets {
		if o.Driver == DriverPtp {
			taken[o.heldMetric()] = true
		}
	}
	for taken[n.heldMetric()] {
		n.ID = newID()
	}
	return d.m.chooseSubnet(n)
}

// heldMetrics gives the metrics of the host's unreachable routes: another mini's
// networks may be among them.
func (m *Manager) heldMetrics() (map[int]bool, error) {
	h, err := m.host()
	if err != nil {
		return nil, err
	}
	routes, err := listRoutes(h, netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_MAIN, Type: unix.RTN_UNREACHABLE}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_TYPE)
	if err != nil {
		return nil, fmt.Errorf("listing the host's unreachable routes: %w", err)
	}
	all := make(map[int]bool)
	for _, r := range routes {
		all[r.Priority] = true
	}
	return all, nil
}

// dress names the cable by the network, the container, and a random part, as
// [vethName] does.
func (d ptpDriver) dress(n *Network, ep *Endpoint, spec EndpointSpec) {
	random := vethName(spec)
	ep.HostLink = n.cables() + ep.ContainerID[:5] + random[len(random)-3:]
	ep.Subnet, ep.Subnet6, ep.Localnet = n.Subnet, n.Subnet6, n.translates()
	if n.HasIPv4() {
		ep.PrefixLen = 32
	}
	if n.HasIPv6() {
		ep.PrefixLen6 = 128
	}
}

func (d ptpDriver) detach(ep *Endpoint) (steps []plan.Step) {
	for _, at := range ep.places() {
		steps = append(steps, d.m.stepUnroute(ep, at))
	}
	return steps
}

func (d ptpDriver) disconnect(ep *Endpoint, _ *os.File) []plan.Step {
	return []plan.Step{d.m.stepDeleteCable(ep)}
}

func (d ptpDriver) fit(n *Network, mk *mark) error {
	mk.Bridge, mk.Held = n.cables()+"+", nil
	for _, f := range n.families() {
		mk.Held = append(mk.Held, f.subnet)
	}
	return d.m.fitMTU(n, mk)
}

// stands asks for the way to each subnet's own address, which no container has.
func (d ptpDriver) stands(_ *Network, mk *mark) (bool, error) {
	for _, subnet := range mk.Held {
		if held, err := d.m.isUnreachable(subnet.Addr()); !held || err != nil {
			return false, err
		}
	}
	return true, nil
}

// isUnreachable asks the kernel for the way to an address. It answers with an error
// for IPv4, with the route for IPv6.
func (m *Manager) isUnreachable(ip netip.Addr) (bool, error) {
	h, err := m.host()
	if err != nil {
		return false, err
	}
	routes, err := h.RouteGet(ip.AsSlice())
	if errors.Is(err, unix.EHOSTUNREACH) {
		return true, nil
	}
	return err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_UNREACHABLE, nil
}

func (d ptpDriver) up(n *Network, mk *mark) (steps []plan.Step) {
	for _, subnet := range mk.Held {
		steps = append(steps, d.m.stepHold(n, subnet))
	}
	return steps
}

func (d ptpDriver) down(n *Network, mk *mark) (steps []plan.Step) {
	for _, subnet := range mk.Held {
		steps = append(steps, plan.Step{
			Name: "give " + subnet.String() + " up",
			Why:  "Nobody is on the network. The cables went with their containers.",
			Cmds: []string{plan.Command(heldWords(n, "delete", subnet)...)},
			Do:   func(context.Context) error { return d.m.dropHeld(n, subnet) },
		})
	}
	return steps
}

func (m *Manager) stepHold(n *Network, subnet netip.Prefix) plan.Step {
	added := false
	return plan.Step{
		Name: "keep " + subnet.String() + " for the network's containers",
		Why:  "Each container gets a route of its own. This one is for the rest of the subnet: packets for an address that nobody has would otherwise leave by the host's default route. Its metric is made of the network's id, and tells whose it is.",
		Cmds: []string{plan.Command(heldWords(n, "add", subnet)...)},
		Do: func(context.Context) error {
			h, err := m.host()
			if err != nil {
				return err
			}
			err = h.RouteAdd(heldRoute(n, subnet))
			added = err == nil
			if errors.Is(err, unix.EEXIST) {
				return nil
			}
			return linkErr("adding an unreachable route for", subnet.String(), err)
		},
		Undo: func(context.Context) error {
			if !added {
				return nil
			}
			return m.dropHeld(n, subnet)
		},
	}
}

func heldWords(n *Network, verb string, subnet netip.Prefix) []string {
	return append(ipRoute(subnet.Addr(), verb), "unreachable", subnet.String(), "metric", fmt.Sprint(n.heldMetric()))
}

// ipRoute are the first words of ip-route(8) for the family of an address.
func ipRoute(ip netip.Addr, verb string) []string {
	if ip.Is6() {
		return []string{"ip", "-6", "route", verb}
	}
	return []string{"ip", "route", verb}
}

func heldRoute(n *Network, subnet netip.Prefix) *netlink.Route {
	return &netlink.Route{Type: unix.RTN_UNREACHABLE, Dst: ipNet(subnet), Priority: n.heldMetric()}
}

// dropHeld removes the route that holds the subnet. One that is gone is no error.
func (m *Manager) dropHeld(n *Network, subnet netip.Prefix) error {
	h, err := m.host()
	if err != nil {
		return err
	}
	if err := h.RouteDel(heldRoute(n, subnet)); err != nil && !errors.Is(err, unix.ESRCH) {
		return linkErr("deleting the unreachable route for", subnet.String(), err)
	}
	return nil
}
