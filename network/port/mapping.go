package port

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Proto is a transport protocol, by its name in `-p` and in iptables.
type Proto string

// The protocols that can be published.
const (
	TCP  Proto = "tcp"
	UDP  Proto = "udp"
	SCTP Proto = "sctp"
)

// Mapping is one container port that is published on the host.
type Mapping struct {
	// HostIP is the host address, 0.0.0.0 for all of them. The zero Addr leaves
	// the choice to whoever publishes the port.
	HostIP netip.Addr `json:"host_ip,omitzero"`
	// Dual: HostIP is 0.0.0.0, and the port is published on [::] as well.
	Dual bool `json:"dual,omitempty"`
	// HostPort is the host port. 0 asks the kernel for a free one.
	HostPort uint16 `json:"host_port"`
	// HostPortEnd is the last of a range from which the first free port is
	// taken. 0 means that only HostPort will do.
	HostPortEnd uint16 `json:"host_port_end,omitempty"`
	// ContainerPort is the port inside the container.
	ContainerPort uint16 `json:"container_port"`
	// Proto is the transport protocol.
	Proto Proto `json:"proto"`
}

// String gives the mapping as `docker ps` shows it: 0.0.0.0:8080->80/tcp.
func (m Mapping) String() string {
	host := strconv.Itoa(int(m.HostPort))
	if m.HostPortEnd > m.HostPort {
		host += "-" + strconv.Itoa(int(m.HostPortEnd))
	}
	return fmt.Sprintf("%s:%s->%d/%s", m.hostIP(), host, m.ContainerPort, m.Proto)
}

// Spec gives the mapping as `-p` takes it: 127.0.0.1:8080:80/tcp.
func (m Mapping) Spec() string {
	text := m.Exposed().String()
	if m.HostPortEnd > m.HostPort {
		text = fmt.Sprintf("%d-%d:%s", m.HostPort, m.HostPortEnd, text)
	} else if m.HostPort != 0 {
		text = fmt.Sprintf("%d:%s", m.HostPort, text)
	} else if m.HostIP.IsValid() {
		text = ":" + text
	}
	if m.HostIP.IsValid() {
		text = m.HostIP.String() + ":" + text
	}
	return text
}

// Reach says in words who can reach a published port, as far as it depends on
// the host address alone.
func (m Mapping) Reach() string {
	switch ip := m.hostIP(); {
	case ip.IsLoopback():
		return "this host only"
	case ip.IsUnspecified():
		return "everybody who reaches this host"
	default:
		return "everybody who reaches " + ip.String()
	}
}

// hostIP is all addresses when none is chosen.
func (m Mapping) hostIP() netip.Addr {
	if m.HostIP.IsValid() {
		return m.HostIP
	}
	return netip.IPv4Unspecified()
}

// maxRange bounds the number of ports that one `-p` may name, which is also
// the number of sockets it costs.
const maxRange = 8192

// Parse reads one `-p` option in Docker's short grammar,
//
//	[ip:][host[-end]:]container[-end][/tcp|udp|sctp]
//
// or in its long one, see [parseLong], and gives a mapping for each container
// port. A host range of the container range's length is matched port by port; a
// host range for one container port is a choice. The host part may be empty or 0
// (`127.0.0.1::80`): any free port.
func Parse(spec string) ([]Mapping, error) {
	parse := parseShort
	if strings.Contains(spec, "=") {
		parse = parseLong
	}
	w, err := parse(spec)
	var all []Mapping
	if err == nil {
		all, err = w.mappings()
	}
	if err != nil {
		return nil, fmt.Errorf("invalid port mapping %q: %w", spec, err)
	}
	return all, nil
}

// words are the parts of one `-p` option.
type words struct {
	ip              netip.Addr
	host, container string
	proto           Proto
}

func parseShort(spec string) (w words, err error) {
	body, proto, err := splitProto(spec)
	if err != nil {
		return w, err
	}
	w.proto = proto
	w.ip, w.host, w.container, err = splitParts(body)
	return w, err
}

// mappings gives one mapping for each container port.
func (w words) mappings() ([]Mapping, error) {
	first, last, err := parseRange("container port", w.container)
	if err != nil {
		return nil, err
	}
	var hostFirst, hostLast uint16
	if w.host == "0" {
		w.host = "" // Docker takes both for: any free port
	}
	if w.host != "" {
		if hostFirst, hostLast, err = parseRange("host port", w.host); err != nil {
			return nil, err
		}
	}
	n, hosts := int(last)-int(first)+1, int(hostLast)-int(hostFirst)+1
	switch {
	case n > maxRange || hosts > maxRange:
		return nil, fmt.Errorf("the range is longer than %d ports", maxRange)
	case w.host != "" && n > 1 && hosts != n:
		return nil, fmt.Errorf("the host range has %d ports and the container range %d: they must be of one length", hosts, n)
	}
	out := make([]Mapping, n)
	for i := range out {
		out[i] = Mapping{HostIP: w.ip, ContainerPort: first + uint16(i), Proto: w.proto}
		switch {
		case w.host == "":
		case n == 1:
			out[i].HostPort = hostFirst
			if hostLast > hostFirst {
				out[i].HostPortEnd = hostLast
			}
		default:
			out[i].HostPort = hostFirst + uint16(i)
		}
	}
	return out, nil
}

// splitProto takes the protocol off the end; tcp is the default.
func splitProto(spec string) (body string, proto Proto, err error) {
	body, name, found := strings.Cut(spec, "/")
	if !found {
		return body, TCP, nil
	}
	proto, err = parseProto(name)
	return body, proto, err
}

func parseProto(name string) (Proto, error) {
	switch p := Proto(strings.ToLower(name)); p {
	case TCP, UDP, SCTP:
		return p, nil
	}
	return "", fmt.Errorf("unknown protocol %q: want tcp, udp or sctp", name)
}

// splitParts splits [ip:][host:]container. An IPv6 address stands in brackets.
func splitParts(body string) (ip netip.Addr, host, container string, err error) {
	if strings.HasPrefix(body, "[") {
		return ip, "", "", errors.New("IPv6 host addresses are not supported")
	}
	addr := ""
	switch parts := strings.Split(body, ":"); len(parts) {
	case 1:
		return ip, "", parts[0], nil
	case 2:
		return ip, parts[0], parts[1], nil
	case 3:
		addr, host, container = parts[0], parts[1], parts[2]
	default:
		return ip, "", "", errors.New("too many colons: want [ip:][host:]container")
	}
	if addr != "" {
		ip, err = ParseHostIP(addr)
	}
	return ip, host, container, err
}

// ParseHostIP reads an address of the host.
func ParseHostIP(s string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(s)
	if err != nil || !ip.Is4() {
		return netip.Addr{}, fmt.Errorf("%q is not an IPv4 address", s)
	}
	return ip, nil
}

// parseRange reads N or N-M, both from 1 to 65535.
func parseRange(what, s string) (first, last uint16, err error) {
	from, to, isRange := strings.Cut(s, "-")
	if first, err = parsePort(what, from); err != nil {
		return 0, 0, err
	}
	if !isRange {
		return first, first, nil
	}
	if last, err = parsePort(what, to); err != nil {
		return 0, 0, err
	}
	if last < first {
		return 0, 0, fmt.Errorf("%s range %s ends before it begins", what, s)
	}
	return first, last, nil
}

func parsePort(what, s string) (uint16, error) {
	if s == "" {
		return 0, fmt.Errorf("no %s", what)
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || s[0] == '+' {
		return 0, fmt.Errorf("%s %q is not a number", what, s)
	}
	if n < 1 || n > 65535 {
		return 0, fmt.Errorf("%s %s is not between 1 and 65535", what, s)
	}
	return uint16(n), nil
}
