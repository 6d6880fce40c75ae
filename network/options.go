package network

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/minirt/mini/ipam"
	"github.com/minirt/mini/network/port"
)

// Docker's keys of driver options. A network's Options have these, whatever form
// the user wrote.
const (
	optBridge     = "com.docker.network.bridge.name"
	optMTU        = "com.docker.network.driver.mtu"
	optICC        = "com.docker.network.bridge.enable_icc"
	optMasquerade = "com.docker.network.bridge.enable_ip_masquerade"
	optInhibit    = "com.docker.network.bridge.inhibit_ipv4"
	optMode       = "com.docker.network.bridge.gateway_mode_ipv4"
	optMode6      = "com.docker.network.bridge.gateway_mode_ipv6"
	optIsolate    = "isolate"

	optParent      = "parent"
	optMacvlanMode = "macvlan_mode"
)

// option is one driver option.
type option struct {
	key   string // Docker's
	short string // Podman's, or the last word of Docker's
	set   func(opt *CreateOptions, value string) error
}

// options gives all driver options. It is a function, as a table would be built
// at every start of mini.
func options() []option {
	return []option{
		{optBridge, "bridge_name", func(o *CreateOptions, v string) error {
			if o.Bridge != "" && o.Bridge != v {
				return fmt.Errorf("%q and the bridge %q, asked for otherwise, contradict each other", v, o.Bridge)
			}
			o.Bridge = v
			return nil
		}},
		{optMTU, "mtu", setMTU},
		{optICC, "icc", func(o *CreateOptions, v string) error { return setNot(&o.NoICC, v) }},
		{optMasquerade, "masquerade", func(o *CreateOptions, v string) error { return setNot(&o.NoMasquerade, v) }},
		{optInhibit, "inhibit_ipv4", func(o *CreateOptions, v string) error { return setBool(&o.InhibitIPv4, v) }},
		{optMode, "gateway_mode", func(o *CreateOptions, v string) error { return setGatewayMode(&o.GatewayMode, v) }},
		{optMode6, "gateway_mode_ipv6", func(o *CreateOptions, v string) error { return setGatewayMode(&o.GatewayMode6, v) }},
		{hostBinding, "host_binding_ipv4", func(_ *CreateOptions, v string) error {
			_, err := port.ParseHostIP(v)
			return err
		}},
		{optIsolate, "", checkIsolate},
		{optParent, "", func(o *CreateOptions, v string) error { o.Parent = v; return nil }},
		{optMacvlanMode, "", setMacvlanMode},
	}
}

// applyOptions takes over the driver options and gives them Docker's names. An
// unknown one is refused, as Podman does: an option without effect would be a
// false promise.
func applyOptions(opt *CreateOptions) error {
	known := options()
	given := opt.Options
	opt.Options = make(map[string]string, len(given))
	for _, name := range slices.Sorted(maps.Keys(given)) {
		i := slices.IndexFunc(known, func(o option) bool { return name == o.key || name != "" && name == o.short })
		if i < 0 {
			return fmt.Errorf("unknown option %q: want %s", name, optionNames(known))
		}
		o := known[i]
		if old, twice := opt.Options[o.key]; twice && old != given[name] {
			return fmt.Errorf("option %s: %q and %q contradict each other", o.key, old, given[name])
		}
		opt.Options[o.key] = given[name]
		if err := o.set(opt, given[name]); err != nil {
			return fmt.Errorf("option %s: %w", name, err)
		}
	}
	return nil
}

// ShortOptions lists the short names of the driver options.
func ShortOptions() string {
	var names []string
	for _, o := range options() {
		if o.short == "" {
			o.short = o.key
		}
		names = append(names, o.short)
	}
	return strings.Join(names, ", ")
}

func optionNames(known []option) string {
	var names []string
	for _, o := range known {
		name := o.key
		if o.short != "" {
			name += " (" + o.short + ")"
		}
		names = append(names, name)
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func setMTU(o *CreateOptions, v string) error {
	n, err := strconv.Atoi(v)
	if err != nil {
		return fmt.Errorf("%q is not a number", v)
	}
	if o.MTU != 0 && o.MTU != n {
		return fmt.Errorf("%d and the MTU %d, asked for otherwise, contradict each other", n, o.MTU)
	}
	o.MTU = n
	return nil
}

// SetMasquerade sets the option of that name, as Podman's --ip-masq does. It
// fails when the options say the opposite.
func (o *CreateOptions) SetMasquerade(on bool) error {
	value := strconv.FormatBool(on)
	for _, key := range []string{optMasquerade, "masquerade"} {
		given, ok := o.Options[key]
		if said, err := strconv.ParseBool(given); ok && err == nil && said != on {
			return errorf(ErrInvalid, "--ip-masq=%s and the option %s=%s contradict each other", value, key, given)
		} else if ok {
			return nil
		}
	}
	if o.Options == nil {
		o.Options = make(map[string]string)
	}
	o.Options[optMasquerade] = value
	return nil
}

// setNot sets a field that is the opposite of the option.
func setNot(field *bool, v string) error {
	err := setBool(field, v)
	*field = err == nil && !*field
	return err
}

func setBool(field *bool, v string) error {
	on, err := strconv.ParseBool(v)
	if err != nil {
		return fmt.Errorf("%q is neither true nor false", v)
	}
	*field = on
	return nil
}

// checkIsolate is Podman's option to close a network against others that have it
// too, or with strict against all. Mini's are always closed against all.
func checkIsolate(_ *CreateOptions, v string) error {
	if on, err := strconv.ParseBool(v); v != "strict" && (err != nil || !on) {
		return fmt.Errorf("%q is not possible: mini's networks are always isolated from each other, which is true or strict", v)
	}
	return nil
}

// checkReserved checks the addresses of a family that no container shall get.
func checkReserved(all map[string]netip.Addr, cfg ipam.Config) error {
	names := make(map[netip.Addr]string)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		ip := all[name]
		switch {
		case ip.Is6() != cfg.Subnet.Addr().Is6():
			continue
		case name == "":
			return fmt.Errorf("aux-address %s has no name: want NAME=ADDRESS", ip)
		case !cfg.Subnet.Contains(ip):
			return fmt.Errorf("aux-address %s=%s is outside subnet %s", name, ip, cfg.Subnet)
		case ip == cfg.GatewayAddr():
			return fmt.Errorf("aux-address %s=%s is the gateway", name, ip)
		case names[ip] != "":
			return fmt.Errorf("aux-addresses %s and %s are both %s", names[ip], name, ip)
		}
		names[ip] = name
	}
	return nil
}
