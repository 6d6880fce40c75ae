package network

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/minirt/mini/ipam"
	"github.com/minirt/mini/network/port"
)

// maxName keeps every tag made of a name within the 255 bytes of a rule
// comment and of a link alias.
const maxName = 128

// The checks here are written out: a regular expression would be compiled at
// every start of mini, which takes longer than it ever matches.

// isName tells whether s has the form [a-zA-Z0-9][a-zA-Z0-9_.-]*.
func isName(s string) bool {
	for i, r := range s {
		if !isAlnum(r) && (i == 0 || r != '_' && r != '.' && r != '-') {
			return false
		}
	}
	return s != ""
}

func isAlnum(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// isInterface tells whether s is eth0 to eth99.
func isInterface(s string) bool {
	number, ok := strings.CutPrefix(s, "eth")
	n, err := strconv.ParseUint(number, 10, 8)
	return ok && err == nil && n <= 99 && len(number) <= 2
}

// isPrefix tells whether s has the form [A-Z][A-Z0-9-]{0,15}.
func isPrefix(s string) bool {
	for i, r := range s {
		upper := 'A' <= r && r <= 'Z'
		if !upper && (i == 0 || r != '-' && (r < '0' || r > '9')) {
			return false
		}
	}
	return s != "" && len(s) <= 16
}

func checkName(name string) error {
	switch {
	case name == "":
		return errorf(ErrInvalid, "the name is empty")
	case len(name) > maxName:
		return errorf(ErrInvalid, "the name %.20q… has %d characters: want at most %d", name, len(name), maxName)
	case !isName(name):
		return errorf(ErrInvalid, "invalid name %q: only [a-zA-Z0-9][a-zA-Z0-9_.-]* is allowed", name)
	}
	return nil
}

// checkLink says whether the kernel would take the name for a link.
func checkLink(name string) error {
	if len(name) > 15 || !isName(name) {
		return errorf(ErrInvalid, "invalid link name %q: want at most 15 of a-z, 0-9, _, . and -", name)
	}
	return nil
}

func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdef") == ""
}

// Bounds of the MTU in bytes: RFC 791 asks every link for 68, a veth takes no
// more than 65535.
const (
	minMTU  = 68
	minMTU6 = 1280 // of a link with IPv6, see RFC 8200, section 5
	maxMTU  = 65535
)

// checkCreate checks all that can be checked without looking at the host, and
// fills in defaults.
func checkCreate(opt CreateOptions) (CreateOptions, error) {
	if err := checkName(opt.Name); err != nil {
		return opt, err
	}
	if opt.Driver == "" {
		opt.Driver = DriverBridge
	}
	err := checkDriver(opt)
	for _, check := range []func(*CreateOptions) error{applyOptions, checkMacvlan, checkPtp, checkFamilies, checkGatewayMode, checkLinkOptions, checkAddresses} {
		if err == nil {
			err = check(&opt)
		}
	}
	if err != nil {
		return opt, errorf(ErrInvalid, "creating network %s: %s", opt.Name, err.Error())
	}
	return opt, nil
}

func checkLinkOptions(opt *CreateOptions) error {
	if opt.MTU != 0 && (opt.MTU < minMTU || opt.MTU > maxMTU) {
		return fmt.Errorf("mtu %d is not between %d and %d", opt.MTU, minMTU, maxMTU)
	}
	if opt.IPv6 && opt.MTU != 0 && opt.MTU < minMTU6 {
		return fmt.Errorf("mtu %d is too small for IPv6: want at least %d", opt.MTU, minMTU6)
	}
	if opt.Bridge != "" {
		return checkLink(opt.Bridge)
	}
	return nil
}

// checkFamilies says what is wrong with the families that a network shall have.
func checkFamilies(opt *CreateOptions) error {
	switch {
	case opt.NoIPv4 && !opt.IPv6:
		return fmt.Errorf("IPv4 or IPv6 must be enabled")
	case opt.NoIPv4 && (opt.GatewayMode != "" || opt.InhibitIPv4):
		return fmt.Errorf("the network has no IPv4: a gateway mode of IPv4, or inhibit_ipv4, is nothing for it")
	case !opt.IPv6 && opt.GatewayMode6 != "":
		return fmt.Errorf("a gateway mode of IPv6 needs --ipv6")
	case opt.IPv6 && !hasIPv6():
		return fmt.Errorf("this kernel has no IPv6")
	}
	return checkHostBinding(opt)
}

// checkHostBinding refuses a default host address of a family that the network
// will lack: no port could be published. 0.0.0.0 means all of both families.
func checkHostBinding(opt *CreateOptions) error {
	ip, err := port.ParseHostIP(opt.Options[hostBinding])
	switch {
	case err != nil || ip == netip.IPv4Unspecified():
		return nil // none, or refused before
	case ip.Is4() && opt.NoIPv4:
		return fmt.Errorf("the network has no IPv4: its default host address %s cannot be of IPv4", ip)
	case ip.Is6() && !opt.IPv6:
		return fmt.Errorf("the network has no IPv6: its default host address %s cannot be of IPv6 without --ipv6", ip)
	}
	return nil
}

func checkAddresses(opt *CreateOptions) error {
	opt.dropUnused()
	for _, v6 := range []bool{false, true} {
		if err := checkPool(opt.pool(v6), opt.Reserved); err != nil {
			return err
		}
	}
	return nil
}

// checkPool checks what was said of the addresses of one family.
func checkPool(cfg ipam.Config, reserved map[string]netip.Addr) error {
	if !cfg.Subnet.IsValid() {
		if cfg.Gateway.IsValid() || cfg.Range.IsValid() || len(cfg.Reserved) > 0 {
			return fmt.Errorf("a gateway, an ip-range or an aux-address needs a subnet of its family")
		}
		return nil
	}
	names := reserved
	cfg.Reserved = nil // checked by name
	if err := cfg.Validate(); err != nil {
		return err
	}
	if err := checkReserved(names, cfg); err != nil {
		return err
	}
	for _, p := range unusable {
		if cfg.Subnet.Overlaps(p) {
			return fmt.Errorf("subnet %s has addresses of %s, which no container can use", cfg.Subnet, p)
		}
	}
	return nil
}

// checkDriver says which drivers there are.
func checkDriver(opt CreateOptions) error {
	switch {
	case opt.Driver == DriverHost || opt.Driver == DriverNull:
		return fmt.Errorf("only one instance of %q network is allowed", opt.Driver)
	case opt.Driver != DriverBridge && opt.Driver != DriverMacvlan && opt.Driver != DriverPtp:
		return fmt.Errorf("driver %q is not supported: want bridge, macvlan or ptp", opt.Driver)
	case opt.IPAMDriver != "" && opt.IPAMDriver != "default":
		return fmt.Errorf("ipam driver %q is not supported: want default", opt.IPAMDriver)
	}
	return nil
}

// unusable is what the kernel treats in a way of its own: loopback, multicast, and
// the addresses of one link only, see RFC 6890, RFC 5771 and RFC 4291.
var unusable = []netip.Prefix{
	netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8), netip.PrefixFrom(netip.AddrFrom4([4]byte{224}), 4),
	netip.PrefixFrom(netip.IPv6Loopback(), 128), netip.PrefixFrom(netip.AddrFrom16([16]byte{0xff}), 8),
	netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfe, 0x80}), 10),
}

// checkSpec checks an endpoint against its network without looking at the host.
func checkSpec(n *Network, s EndpointSpec) error {
	switch {
	case !n.HasEndpoints():
		return errorf(ErrInvalid, "network %s has no endpoints: its driver is %s", n.Name, n.Driver)
	case len(s.ContainerID) < 16 || !isHex(s.ContainerID):
		return errorf(ErrInvalid, "invalid container id %q: want at least 16 hexadecimal digits", s.ContainerID)
	case !isInterface(s.Interface):
		return errorf(ErrInvalid, "invalid interface %q: want eth0 to eth99", s.Interface)
	}
	if err := checkName(s.ContainerName); err != nil {
		return err
	}
	for _, a := range s.Aliases {
		if err := CheckAlias(a); err != nil {
			return err
		}
	}
	if err := n.CheckAddress(s.IP); err != nil {
		return err
	}
	if err := n.CheckAddress(s.IP6); err != nil {
		return err
	}
	if err := CheckMAC(s.MAC); err != nil {
		return err
	}
	return checkPorts(s.Ports)
}

// maxAlias and maxLabel bound a name that DNS carries, and its parts between the
// dots, in bytes (RFC 1035, section 2.3.4).
const (
	maxAlias = 253
	maxLabel = 63
)

// CheckAlias says why a further name of a container could not be looked up. As in
// Docker, _ may begin it.
func CheckAlias(alias string) error {
	for label := range strings.SplitSeq(alias, ".") {
		strange := func(r rune) bool { return !isAlnum(r) && r != '-' && r != '_' }
		if label == "" || len(label) > maxLabel || len(alias) > maxAlias || strings.ContainsFunc(label, strange) {
			return errorf(ErrInvalid, "invalid network alias %q: want letters, digits, - and _ with single dots between them, %d at most and %d between two dots", alias, maxAlias, maxLabel)
		}
	}
	return nil
}

// CheckMAC says why a container's link cannot have a MAC address. None at all is
// fine.
func CheckMAC(mac net.HardwareAddr) error {
	if mac == nil {
		return nil
	}
	if len(mac) != 6 || mac[0]&1 != 0 || mac.String() == "00:00:00:00:00:00" {
		return errorf(ErrInvalid, "invalid MAC address %q: want the address of one station, such as 02:42:ac:11:00:02", mac)
	}
	return nil
}

func checkPorts(ports []port.Mapping) error {
	seen := make(map[port.Mapping]bool)
	for _, p := range ports {
		if p.ContainerPort == 0 || (p.HostPortEnd != 0 && p.HostPortEnd < p.HostPort) {
			return errorf(ErrInvalid, "invalid port mapping %s", p)
		}
		if p.HostIP.Is4In6() || p.HostIP.Zone() != "" {
			return errorf(ErrInvalid, "invalid port mapping %s: the host address is neither IPv4 nor plain IPv6", p)
		}
		key := port.Mapping{HostIP: p.HostIP, HostPort: p.HostPort, Proto: p.Proto}
		if !p.HostIP.IsValid() || p.Dual {
			key.HostIP = netip.IPv4Unspecified()
		}
		if p.HostPort != 0 && p.HostPortEnd == 0 {
			if seen[key] {
				return errorf(ErrInvalid, "host port %s/%s is asked for twice", key.Host(), p.Proto)
			}
			seen[key] = true
		}
	}
	return nil
}
