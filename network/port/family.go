package port

import "net/netip"

// parts gives what a mapping is for each family: itself, or of one that is of
// both families IPv4's part and IPv6's, in this order.
func (m Mapping) parts() []Mapping {
	m.HostIP = m.hostIP()
	if !m.Dual {
		return []Mapping{m}
	}
	four, six := m, m
	four.Dual, four.HostIP = false, netip.IPv4Unspecified()
	six.Dual, six.HostIP = false, netip.IPv6Unspecified()
	return []Mapping{four, six}
}

// Split gives the mappings with one for each family, as people are shown them.
// Those that name no host address stay as they are.
func Split(all []Mapping) []Mapping {
	out := make([]Mapping, 0, len(all))
	for _, m := range all {
		if m.Dual {
			out = append(out, m.parts()...)
		} else {
			out = append(out, m)
		}
	}
	return out
}

// Has4 says whether the mapping is for an IPv4 address of the host.
func (m Mapping) Has4() bool { return m.Dual || m.hostIP().Is4() }

// Has6 says whether the mapping is for an IPv6 address of the host.
func (m Mapping) Has6() bool { return m.Dual || m.hostIP().Is6() }

// Local6 says whether [::1] is among the host addresses of the mapping. No rule
// of a firewall can lead from there to a container: see [Relay].
func (m Mapping) Local6() bool {
	return m.Dual || m.HostIP == netip.IPv6Unspecified() || m.HostIP == netip.IPv6Loopback()
}

// Only6 is the part of a mapping that is for IPv6, which there must be.
func (m Mapping) Only6() Mapping { p := m.parts(); return p[len(p)-1] }

// Only4 is the part of a mapping that is for IPv4, which there must be.
func (m Mapping) Only4() Mapping { return m.parts()[0] }

// Overlaps says whether two mappings cannot both have the same port of the host,
// as far as their addresses and protocols are concerned.
func (m Mapping) Overlaps(o Mapping) bool {
	if m.Proto != o.Proto {
		return false
	}
	for _, a := range m.parts() {
		for _, b := range o.parts() {
			if a.HostIP.Is4() == b.HostIP.Is4() && (a.HostIP == b.HostIP || a.HostIP.IsUnspecified() || b.HostIP.IsUnspecified()) {
				return true
			}
		}
	}
	return false
}
