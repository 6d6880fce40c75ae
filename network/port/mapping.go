package port

import (
	"errors"
	"fmt"
	"net"
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

// String gives the mapping as `docker ps` shows it: 0.0.0.0:8080->80/tcp. One of
// both families is shown for each. A host port that is not known is left out.
func (m Mapping) String() string {
	if m.Dual {
		return m.parts()[0].String() + ", " + m.parts()[1].String()
	}
	host := m.Host()
	if m.HostPort == 0 { // not chosen yet
		host = addrText(m.hostIP())
	}
	return fmt.Sprintf("%s->%d/%s", host, m.ContainerPort, m.Proto)
}

// Host gives the host's side: 0.0.0.0:8080, [::1]:8080. Of one of both families
// it is that of IPv4.
func (m Mapping) Host() string {
	port := strconv.Itoa(int(m.HostPort))
	if m.HostPortEnd > m.HostPort {
		port += "-" + strconv.Itoa(int(m.HostPortEnd))
	}
	return net.JoinHostPort(m.hostIP().String(), port)
}

// Spec gives the mapping as `-p` takes it: 127.0.0.1:8080:80/tcp. One of both
// families names no host address.
func (m Mapping) Spec() string {
	if m.Dual {
		m.HostIP, m.Dual = netip.Addr{}, false
	}
	text := m.Exposed().String()
	if m.HostPortEnd > m.HostPort {
		text = fmt.Sprintf("%d-%d:%s", m.HostPort, m.HostPortEnd, text)
	} else if m.HostPort != 0 {
		text = fmt.Sprintf("%d:%s", m.HostPort, text)
	} else if m.HostIP.IsValid() {
		text = ":" + text
	}
	if m.HostIP.IsValid() {
		text = addrText(m.HostIP) + ":" + text
	}
	return text
}

// addrText puts an IPv6 address into brackets.
func addrText(ip netip.Addr) string {
	if ip.Is6() {
		return "[" + ip.String() + "]"
	}
	return ip.String()
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
		return "everybody who reaches " + addrText(ip)
	}
}

// hostIP is all addresses when none is chosen.
func (m Mapping) hostIP() netip.Addr {
	if m.HostIP.IsValid() {
		return m.HostIP
	}
	return netip.IPv4Unspecified()
}

// maxRange bounds the number of ports that one `-p` may publish, which is also
// the number of sockets it costs. A choice of one may be of any length.
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
	case n > maxRange:
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

// splitParts splits [ip:][host:]container. An IPv6 address stands in brackets, or
// is, as in Docker, all that comes before the last two parts.
func splitParts(body string) (ip netip.Addr, host, container string, err error) {
	parts := strings.Split(body, ":")
	n := len(parts)
	switch n {
	case 1:
		return ip, "", parts[0], nil
	case 2:
		return ip, parts[0], parts[1], nil
	}
	addr, host, container := strings.Join(parts[:n-2], ":"), parts[n-2], parts[n-1]
	if strings.HasPrefix(addr, "[") != strings.HasSuffix(addr, "]") || strings.HasSuffix(container, "]") {
		return ip, "", "", errors.New("want [ip:][host:]container, where an IPv6 address stands in brackets, as in [::1]:8080:80")
	}
	if addr != "" {
		ip, err = ParseHostIP(addr)
	}
	if err != nil && n > 3 && !strings.HasPrefix(addr, "[") {
		err = fmt.Errorf("too many colons: want [ip:][host:]container, and %w", err)
	}
	return ip, host, container, err
}

// ParseHostIP reads an address of the host. An IPv6 address may stand in brackets.
// What would be an IPv4 address in the end, or needs a link to make sense, is refused.
func ParseHostIP(s string) (netip.Addr, error) {
	bare := s
	if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
		bare = strings.TrimSuffix(inner, "]")
	}
	ip, err := netip.ParseAddr(bare)
	switch {
	case err != nil || (bare != s && !ip.Is6()):
		return netip.Addr{}, fmt.Errorf("%q is not an IP address", s)
	case ip.Is4In6():
		return netip.Addr{}, fmt.Errorf("%q is an IPv4 address in the form of IPv6: want %s", s, ip.Unmap())
	case ip.Is6() && ip.IsLinkLocalUnicast():
		return netip.Addr{}, fmt.Errorf("%q is a link-local address, which is another one on each link: ports are not published there", s)
	case ip.Zone() != "":
		return netip.Addr{}, fmt.Errorf("%q names a link: want an address without a zone", s)
	case ip.IsMulticast():
		return netip.Addr{}, fmt.Errorf("%q is a multicast address: want one of the host's own", s)
	}
	return ip, nil
}

// parseRange reads N or N-M, both from 1 to 65535.
func parseRange(what, s string) (first, last uint16, err error) {
	from, to, isRange := strings.Cut(s, "-")
	if isRange && (from == "" || to == "") {
		return 0, 0, fmt.Errorf("%s %q is neither a port nor a range such as 8000-8010", what, s)
	}
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
