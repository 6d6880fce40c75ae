package rootfs

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// HostGateway is the address in --add-host that stands for the host's.
const HostGateway = "host-gateway"

// HostEntry is one name for /etc/hosts.
type HostEntry struct {
	Name    string
	Addr    netip.Addr // not valid when Gateway is set
	Gateway bool       // the name stands for the host, see [HostGateway]
}

// ParseAddHost reads the value of --add-host: NAME:ADDRESS or NAME=ADDRESS, an
// IPv6 address with or without brackets, or "host-gateway" as the address.
func ParseAddHost(s string) (HostEntry, error) {
	sep := ":"
	if strings.Contains(s, "=") {
		sep = "="
	}
	name, addr, ok := strings.Cut(s, sep)
	if !ok || name == "" {
		return HostEntry{}, fmt.Errorf("bad format for add-host: %q: it must be NAME:ADDRESS", s)
	}
	if !validHostName(name) {
		return HostEntry{}, fmt.Errorf("invalid host name in add-host: %q", name)
	}
	if addr == HostGateway {
		return HostEntry{Name: name, Gateway: true}, nil
	}
	if inner, found := strings.CutPrefix(addr, "["); found && strings.HasSuffix(inner, "]") {
		addr = inner[:len(inner)-1]
	}
	ip, err := netip.ParseAddr(addr)
	if err != nil || ip.Zone() != "" {
		return HostEntry{}, fmt.Errorf("invalid IP address in add-host: %q", addr)
	}
	return HostEntry{Name: name, Addr: ip}, nil
}

// validHostName wants a word that cannot be mistaken for anything else in
// /etc/hosts. Docker is as lenient.
func validHostName(name string) bool {
	for _, r := range name {
		if unicode.IsSpace(r) || unicode.IsControl(r) || r == '#' || r == utf8.RuneError {
			return false
		}
	}
	return name != "" && len(name) <= 255
}

// HostsOptions say what /etc/hosts holds besides localhost.
type HostsOptions struct {
	Hostname  string       // of the container, may hold a domain
	Addresses []netip.Addr // of the container; without one it has no line
	Extra     []HostEntry  // from --add-host, in order
	Gateway   []netip.Addr // what [HostGateway] stands for
}

// Hosts gives the text of /etc/hosts. It fails when an entry wants the host's
// address and there is none.
func Hosts(o HostsOptions) (string, error) {
	var b strings.Builder
	b.WriteString("127.0.0.1\tlocalhost\n" +
		"::1\tlocalhost ip6-localhost ip6-loopback\n" +
		"fe00::\tip6-localnet\n" +
		"ff00::\tip6-mcastprefix\n" +
		"ff02::1\tip6-allnodes\n" +
		"ff02::2\tip6-allrouters\n")
	for _, e := range o.Extra {
		addrs := []netip.Addr{e.Addr}
		if e.Gateway {
			addrs = o.Gateway
		}
		if len(addrs) == 0 {
			return "", fmt.Errorf("adding host %s: this network has no address of the host for %s", e.Name, HostGateway)
		}
		for _, a := range addrs {
			fmt.Fprintf(&b, "%s\t%s\n", a, e.Name)
		}
	}
	for _, a := range o.Addresses {
		b.WriteString(ownLine(a, o.Hostname))
	}
	return b.String(), nil
}

// ownLine gives the line for one address of the container itself, if it has a name.
func ownLine(addr netip.Addr, hostname string) string {
	if hostname == "" {
		return ""
	}
	names := hostname
	if short, _, found := strings.Cut(hostname, "."); found && short != "" {
		names += " " + short
	}
	return fmt.Sprintf("%s\t%s\n", addr, names)
}

// EditHosts takes the container's own lines for some addresses out of the text
// of its /etc/hosts, and adds lines for others. All else stays as it is.
func EditHosts(text, hostname string, gone, came []netip.Addr) string {
	drop := make(map[string]bool)
	for _, a := range append(slices.Clone(gone), came...) {
		drop[ownLine(a, hostname)] = true
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasSuffix(line, "\n") {
			line += "\n" // what follows begins a line of its own
		}
		if !drop[line] {
			b.WriteString(line)
		}
	}
	for _, a := range came {
		b.WriteString(ownLine(a, hostname))
	}
	return b.String()
}

// Hostname gives the text of /etc/hostname.
func Hostname(name string) string { return name + "\n" }
