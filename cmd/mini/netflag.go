package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/runtime"
)

// parseNetworks reads the --network flags. Without any it is the default one.
func parseNetworks(list []string) ([]runtime.NetworkAttachment, error) {
	if len(list) == 0 {
		return []runtime.NetworkAttachment{{Network: network.Bridge}}, nil
	}
	var out []runtime.NetworkAttachment
	for _, spec := range list {
		a, err := parseNetwork(spec)
		if err != nil {
			return nil, err
		}
		for _, b := range out {
			if b.Network == a.Network {
				return nil, fmt.Errorf("network %q is specified multiple times", a.Network)
			}
		}
		out = append(out, a)
	}
	for _, a := range out {
		if len(out) > 1 && !hasOwnAddress(a.Network) {
			return nil, fmt.Errorf("conflicting options: network mode %s cannot be combined with other networks", a.Network)
		}
	}
	return out, nil
}

// hasOwnAddress tells the network modes apart from networks.
func hasOwnAddress(mode string) bool {
	return mode != network.Host && mode != network.None && !strings.HasPrefix(mode, "container:")
}

// parseNetwork reads NAME or name=NAME,OPTION=VALUE,….
func parseNetwork(spec string) (a runtime.NetworkAttachment, err error) {
	if !strings.Contains(spec, "=") {
		a.Network = spec
		return a, checkNetworkName(&a)
	}
	var t attachmentTexts
	for _, field := range strings.Split(spec, ",") {
		if err := setNetworkField(&a, &t, field); err != nil {
			return a, invalidArgument(spec, "--network", err)
		}
	}
	if a.Network == "" {
		return a, invalidArgument(spec, "--network", errors.New("no name: want name=NETWORK"))
	}
	priority, name := a.GwPriority, a.Network
	if a, err = parseAttachment(t); err != nil {
		return a, invalidArgument(spec, "--network", err)
	}
	a.GwPriority, a.Network = priority, name
	return a, checkNetworkName(&a)
}

// setNetworkField reads one OPTION=VALUE.
func setNetworkField(a *runtime.NetworkAttachment, t *attachmentTexts, field string) (err error) {
	key, value, _ := strings.Cut(field, "=")
	if value == "" {
		return fmt.Errorf("want KEY=VALUE, not %q", field)
	}
	switch key = strings.ToLower(strings.TrimSpace(key)); key {
	case "name":
		a.Network = value
	case "ip":
		t.ip = value
	case "ip6":
		t.ip6 = value
	case "mac-address":
		t.mac = value
	case "alias":
		t.aliases = append(t.aliases, value)
	case "gw-priority":
		if a.GwPriority, err = strconv.Atoi(value); err != nil {
			return fmt.Errorf("gw-priority %q is not a number", value)
		}
	default:
		return fmt.Errorf("%q is not known: want name, ip, ip6, alias, mac-address or gw-priority", key)
	}
	return nil
}

func checkNetworkName(a *runtime.NetworkAttachment) error {
	switch a.Network {
	case "container:":
		return errors.New("invalid container format container:<name|id>")
	case "":
		return errors.New("no name set for network")
	case "default":
		a.Network = network.Bridge
	}
	return nil
}

// addGlobal adds what --ip, --ip6, --mac-address and --network-alias say: they are for
// the first network, and nothing may be said twice.
func addGlobal(first *runtime.NetworkAttachment, global runtime.NetworkAttachment) error {
	switch {
	case global.IP.IsValid() && first.IP.IsValid():
		return errors.New("conflicting options: cannot specify both --ip and per-network IPv4 address")
	case global.IP6.IsValid() && first.IP6.IsValid():
		return errors.New("conflicting options: cannot specify both --ip6 and per-network IPv6 address")
	case global.MAC != nil && first.MAC != nil:
		return errors.New("conflicting options: cannot specify both --mac-address and per-network MAC address")
	case global.Aliases != nil && first.Aliases != nil:
		return errors.New("conflicting options: cannot specify both --network-alias and per-network alias")
	}
	if global.IP.IsValid() {
		first.IP = global.IP
	}
	if global.IP6.IsValid() {
		first.IP6 = global.IP6
	}
	if global.MAC != nil {
		first.MAC = global.MAC
	}
	if global.Aliases != nil {
		first.Aliases = global.Aliases
	}
	return nil
}
