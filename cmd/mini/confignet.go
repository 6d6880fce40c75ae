package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/network/port"
	"github.com/minirt/mini/runtime"
)

// setNetwork reads the flags about networking and refuses those that
// contradict each other, as Docker does.
func setNetwork(cfg *runtime.Config, v values) (warnings []string, err error) {
	if cfg.Networks, err = parseNetworks(v.StringSlice("network")); err != nil {
		return nil, err
	}
	cfg.NetworkMode = cfg.Networks[0].Network
	if err := setPorts(cfg, v); err != nil {
		return nil, err
	}
	if cfg.DNS, err = parseDNS(v); err != nil {
		return nil, err
	}
	global, err := parseAttachment(attachmentTexts{v.String("ip"), v.String("ip6"), v.String("mac-address"), v.StringSlice("network-alias")})
	if err == nil {
		err = addGlobal(&cfg.Networks[0], global)
	}
	if err != nil {
		return nil, err
	}
	for _, a := range cfg.Networks {
		if err := checkMode(cfg, a); err != nil {
			return nil, err
		}
	}
	if cfg.NetworkMode == network.Host && (len(cfg.Ports) > 0 || cfg.PublishAll) {
		warnings = append(warnings, "Published ports are discarded when using host network mode")
	}
	if a := cfg.Networks[0]; len(cfg.Networks) == 1 && !a.IP.IsValid() && !a.IP6.IsValid() && a.MAC == nil && a.Aliases == nil && a.GwPriority == 0 {
		cfg.Networks = nil // the mode says it all
	}
	return warnings, nil
}

// setPorts reads the flags about ports.
func setPorts(cfg *runtime.Config, v values) error {
	for _, spec := range v.StringSlice("publish") {
		ports, err := port.Parse(spec)
		if err != nil {
			return err
		}
		cfg.Ports = append(cfg.Ports, ports...)
	}
	for _, spec := range v.StringSlice("expose") {
		exposed, err := port.ParseExposed(spec)
		if err != nil {
			return err
		}
		cfg.Exposed = append(cfg.Exposed, exposed...)
	}
	cfg.PublishAll = v.Bool("publish-all")
	return nil
}

// publishIP reads the default host address of published ports.
func publishIP(s string) (netip.Addr, error) {
	if s == "" {
		return netip.Addr{}, nil
	}
	ip, err := port.ParseHostIP(s)
	if err != nil {
		return ip, fmt.Errorf("invalid --publish-ip: %w", err)
	}
	return ip, nil
}

func parseDNS(v values) (dns runtime.DNS, err error) {
	for _, s := range v.StringSlice("dns") {
		ip, err := netip.ParseAddr(strings.TrimSpace(s))
		if err != nil {
			return dns, invalidArgument(s, "--dns", fmt.Errorf("IP address is not correctly formatted: %s", s))
		}
		dns.Servers = append(dns.Servers, ip)
	}
	for _, s := range v.StringSlice("dns-search") {
		if s == "" || strings.ContainsAny(s, " \t\n/") {
			return dns, invalidArgument(s, "--dns-search", errors.New("not a domain"))
		}
		dns.Search = append(dns.Search, s)
	}
	for _, s := range v.StringSlice("dns-option") {
		if s == "" || strings.ContainsAny(s, " \t\n") {
			return dns, invalidArgument(s, "--dns-option", errors.New("not an option"))
		}
		dns.Options = append(dns.Options, s)
	}
	return dns, nil
}

// attachmentTexts are what --ip, --ip6, --mac-address and the aliases say. Each may
// be empty.
type attachmentTexts struct {
	ip, ip6, mac string
	aliases      []string
}

func parseAttachment(t attachmentTexts) (a runtime.NetworkAttachment, err error) {
	if t.ip != "" {
		if a.IP, err = netip.ParseAddr(t.ip); err != nil || !a.IP.Is4() {
			return a, fmt.Errorf("invalid IPv4 address: %s", t.ip)
		}
	}
	if t.ip6 != "" {
		if a.IP6, err = netip.ParseAddr(t.ip6); err != nil || !a.IP6.Is6() || !plain(a.IP6) {
			return a, fmt.Errorf("invalid IPv6 address: %s", t.ip6)
		}
	}
	if t.mac != "" {
		if a.MAC, err = net.ParseMAC(t.mac); err != nil || len(a.MAC) != 6 {
			return a, fmt.Errorf("%s is not a valid mac address", t.mac)
		}
		if a.MAC[0]&1 != 0 {
			return a, fmt.Errorf("%s is not a valid mac address: it is a multicast address", t.mac)
		}
	}
	if len(t.aliases) > 0 {
		a.Aliases = t.aliases
	}
	return a, nil
}

// checkMode refuses what makes no sense in a network mode.
func checkMode(cfg *runtime.Config, a runtime.NetworkAttachment) error {
	mode := a.Network
	shared := strings.HasPrefix(mode, "container:")
	own := hasOwnAddress(mode)
	switch {
	case shared && cfg.Hostname != "":
		return errors.New("conflicting options: hostname and the network mode")
	case shared && cfg.Domainname != "":
		return errors.New("conflicting options: domainname and the network mode")
	case shared && (cfg.DNS.Servers != nil || cfg.DNS.Search != nil || cfg.DNS.Options != nil):
		return errors.New("conflicting options: dns and the network mode")
	case shared && len(cfg.ExtraHosts) > 0:
		return errors.New("conflicting options: custom host-to-IP mapping and the network mode")
	case shared && (len(cfg.Ports) > 0 || cfg.PublishAll):
		return errors.New("conflicting options: port publishing and the container type network mode")
	case shared && len(cfg.Exposed) > 0:
		return errors.New("conflicting options: port exposing and the container type network mode")
	case !own && a.MAC != nil:
		return errors.New("conflicting options: mac-address and the network mode")
	case !own && (a.IP.IsValid() || a.IP6.IsValid()):
		return errors.New("conflicting options: ip and the network mode")
	case !own && a.Aliases != nil, mode == network.Bridge && a.Aliases != nil:
		return errors.New("network-scoped alias is supported only for containers in user defined networks")
	}
	return nil
}
