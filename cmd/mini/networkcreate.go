package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/minirt/mini/network"
)

func networkCreateCommand() *command {
	return &command{
		name: "create", args: "NETWORK", min: 1, max: 1, run: runNetworkCreate, short: "Create a network",
		long:    "The host is not touched until a container, or 'mini network up', needs the network.",
		example: "mini network create backend\nmini network create --subnet 10.9.0.0/24 --gateway 10.9.0.1 --ip-range 10.9.0.128/25 --internal db\nmini network create --subnet 10.8.0.0/24 --aux-address router=10.8.0.2 -o gateway_mode=routed lan\nmini network create -o icc=false guests\nmini network create -o bridge_name=br0 office\nmini network create --ipv6 six\nmini network create --ipv6 --subnet fd00:1::/64 --subnet 10.7.0.0/24 both\nmini network create --ipv6 --ipv4=false six-only\nmini network create -d macvlan -o parent=eth0 --subnet 192.168.1.0/24 --gateway 192.168.1.1 --ip-range 192.168.1.128/28 wire\nmini network create -d ptp cables",
		flags: func() flagSet {
			return flagSet{
				boolFlag("attachable", "", "Accepted and ignored: containers can always be attached by hand"),
				listFlag("aux-address", "", "Addresses that no container gets, as NAME=ADDRESS").called("map"),
				stringFlag("driver", "d", "Driver to manage the Network: bridge, macvlan or ptp").byDefault("bridge"),
				listFlag("gateway", "", "IPv4 or IPv6 Gateway for the subnet").called("ipSlice"),
				boolFlag("internal", "", "Restrict external access to the network"),
				boolFlag("ip-masq", "", "Masquerade what leaves the network: --ip-masq=false is -o masquerade=false").byDefault("true"),
				stringFlag("ipam-driver", "", "IP Address Management Driver").byDefault("default"),
				listFlag("ip-range", "", "Allocate container ip from a sub-range").called("ipNetSlice"),
				boolFlag("ipv4", "", "Enable or disable IPv4 address assignment").byDefault("true"),
				boolFlag("ipv6", "", "Enable or disable IPv6 address assignment"),
				listFlag("label", "", "Set metadata on a network"),
				stringFlag("mtu", "", "MTU of the bridge and of the containers' interfaces (default that of the host's way out)").called("int"),
				listFlag("opt", "o", "Set driver specific options, by Docker's names or as "+network.ShortOptions()).called("map"),
				stringFlag("scope", "", "Accepted for Docker's sake: local is the only scope"),
				listFlag("subnet", "", "Subnet in CIDR format that represents a network segment").called("ipNetSlice"),
			}
		},
	}
}

func runNetworkCreate(c *call) error {
	opt, err := networkOptions(c.flags, c.arg(0))
	if err != nil {
		return err
	}
	rt, err := c.open()
	if err != nil {
		return err
	}
	n, err := rt.Networks.Create(opt)
	if err != nil {
		return err
	}
	c.println(n.ID)
	return nil
}

func networkOptions(v values, name string) (opt network.CreateOptions, err error) {
	opt = network.CreateOptions{
		Name: name, Driver: v.String("driver"), IPAMDriver: v.String("ipam-driver"), Internal: v.Bool("internal"),
		Options: pairs(v.StringSlice("opt")),
	}
	if scope := v.String("scope"); scope != "" && scope != "local" {
		return opt, fmt.Errorf("invalid --scope %q: mini knows one host, which is the scope local", scope)
	}
	if v.IsSet("ip-masq") {
		if err := opt.SetMasquerade(v.Bool("ip-masq")); err != nil {
			return opt, err
		}
	}
	if opt.Reserved, err = parseReserved(v.StringSlice("aux-address")); err != nil {
		return opt, err
	}
	if opt.Labels, err = parseLabels(v.StringSlice("label")); err != nil {
		return opt, err
	}
	opt.IPv6, opt.NoIPv4 = v.Bool("ipv6"), !v.Bool("ipv4")
	if opt.Subnet, opt.Subnet6, err = parsePrefixes("subnet", v.StringSlice("subnet")); err != nil {
		return opt, err
	}
	if opt.IPRange, opt.IPRange6, err = parsePrefixes("ip-range", v.StringSlice("ip-range")); err != nil {
		return opt, err
	}
	if opt.Gateway, opt.Gateway6, err = parseGateways(v.StringSlice("gateway")); err != nil {
		return opt, err
	}
	if s := v.String("mtu"); s != "" {
		if opt.MTU, err = strconv.Atoi(s); err != nil || opt.MTU <= 0 {
			return opt, fmt.Errorf("invalid MTU %q: want a number of bytes", s)
		}
	}
	return opt, nil
}

// parseReserved reads NAME=ADDRESS texts.
func parseReserved(list []string) (map[string]netip.Addr, error) {
	if len(list) == 0 {
		return nil, nil
	}
	all := make(map[string]netip.Addr, len(list))
	for _, text := range list {
		name, value, _ := strings.Cut(text, "=")
		ip, err := netip.ParseAddr(value)
		if err != nil || !plain(ip) {
			return nil, fmt.Errorf("invalid --aux-address %q: want NAME=ADDRESS, such as router=10.9.0.2", text)
		}
		if _, twice := all[name]; twice {
			return nil, fmt.Errorf("invalid --aux-address %q: the name is given twice", text)
		}
		all[name] = ip
	}
	return all, nil
}

// plain tells addresses that a network can have from those that are of one link
// only, or IPv4 written as IPv6.
func plain(ip netip.Addr) bool { return ip.Zone() == "" && !ip.Is4In6() }

// listed takes the values of a flag apart that may be given several times, or once
// with commas between them.
func listed(values []string) []string {
	return strings.FieldsFunc(strings.Join(values, ","), func(r rune) bool { return r == ',' })
}

// parsePrefixes reads up to one prefix of each family.
func parsePrefixes(flag string, list []string) (v4, v6 netip.Prefix, err error) {
	for _, s := range listed(list) {
		p, err := netip.ParsePrefix(s)
		if err != nil || !plain(p.Addr()) {
			return v4, v6, fmt.Errorf("invalid --%s %q: want an address and a length, such as 10.9.0.0/24 or fd00:9::/64", flag, s)
		}
		to := &v4
		if p.Addr().Is6() {
			to = &v6
		}
		if to.IsValid() {
			return v4, v6, fmt.Errorf("invalid --%s %s: a network has one of each family, and %s was given before", flag, p, to)
		}
		*to = p
	}
	return v4, v6, nil
}

// parseGateways reads up to one address of each family.
func parseGateways(list []string) (v4, v6 netip.Addr, err error) {
	for _, s := range listed(list) {
		ip, err := netip.ParseAddr(s)
		if err != nil || !plain(ip) {
			return v4, v6, fmt.Errorf("invalid gateway address %q", s)
		}
		to := &v4
		if ip.Is6() {
			to = &v6
		}
		if to.IsValid() {
			return v4, v6, fmt.Errorf("invalid --gateway %s: a network has one of each family, and %s was given before", ip, to)
		}
		*to = ip
	}
	return v4, v6, nil
}
