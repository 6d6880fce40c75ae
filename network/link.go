package network

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// LinkError is a change of a link that the kernel refused.
type LinkError struct {
	Op   string // "creating bridge"
	Link string
	Err  error
}

func (e *LinkError) Error() string { return fmt.Sprintf("%s %s: %s", e.Op, e.Link, e.Err) }

// Unwrap gives the kernel's error.
func (e *LinkError) Unwrap() error { return e.Err }

func linkErr(op, link string, err error) error {
	if err == nil {
		return nil
	}
	return &LinkError{Op: op, Link: link, Err: err}
}

func isNoLink(err error) bool {
	var notFound netlink.LinkNotFoundError
	return errors.As(err, &notFound) || errors.Is(err, unix.ENODEV)
}

// findLink gives a link of the host by name, nil when there is none.
func findLink(h *netlink.Handle, name string) (netlink.Link, error) {
	link, err := h.LinkByName(name)
	if isNoLink(err) {
		return nil, nil
	}
	return link, linkErr("looking for link", name, err)
}

// macFor derives a MAC address from an address, so that an address keeps its MAC
// and the neighbours' caches stay true. From an IPv4 address it does as Docker:
// 02:42 and the four bytes. Of an IPv6 address these are its last four bytes, mixed
// with a hash of those before. So the addresses of a range differ for certain, and
// those of two networks, which may be on one wire, almost.
func macFor(ip netip.Addr) net.HardwareAddr {
	b := ip.AsSlice()
	last := len(b) - 4
	mac := append(net.HardwareAddr{0x02, 0x42}, b[last:]...)
	if ip.Is6() {
		sum := sha256.Sum256(b[:last])
		for i := range 4 {
			mac[2+i] ^= sum[i]
		}
	}
	return mac
}

// macBeside is [macFor] of a container. It never is the gateway's.
func macBeside(gateway, ip netip.Addr) net.HardwareAddr {
	mac := macFor(ip)
	if gateway.IsValid() && bytes.Equal(mac, macFor(gateway)) {
		mac[0] |= 0x08
	}
	return mac
}

// hostMACFor is the address of the host's end of the veth pair. It is set so
// that udev's MACAddressPolicy does not change it after the fact.
func hostMACFor(ip netip.Addr) net.HardwareAddr {
	mac := macFor(ip)
	mac[0] |= 0x04
	return mac
}

// ensureBridge makes the bridge or verifies that the one there is ours. It
// says whether it made it.
func ensureBridge(h *netlink.Handle, name, alias string, mac net.HardwareAddr, mtu int) (made bool, err error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr, attrs.MTU = name, mac, mtu
	err = h.LinkAdd(&netlink.Bridge{LinkAttrs: attrs})
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return false, linkErr("creating bridge", name, err)
	}
	made = err == nil
	link, err := h.LinkByName(name)
	if err != nil {
		return made, linkErr("looking for bridge", name, err)
	}
	if !made && !isOurBridge(link, alias, mac) {
		return false, errorf(ErrExists, "link %s exists and is not mini's", name)
	}
	return made, linkErr("tagging bridge", name, h.LinkSetAlias(link, alias))
}

// isOurBridge knows a bridge by its alias. A bridge without one, but with the
// MAC we would give it, is what a crash between making and tagging leaves.
func isOurBridge(link netlink.Link, alias string, mac net.HardwareAddr) bool {
	a := link.Attrs()
	if link.Type() != "bridge" {
		return false
	}
	return a.Alias == alias || (a.Alias == "" && a.HardwareAddr.String() == mac.String())
}

// owns says that a link is the network's bridge.
func (n *Network) owns(link netlink.Link) bool {
	return isOurBridge(link, n.alias(), macFor(n.mainGateway()))
}

// owns says that a link is the host's end of the endpoint's veth pair: by its
// alias, or by its MAC as long as it has none.
func (ep *Endpoint) owns(link netlink.Link) bool {
	a := link.Attrs()
	if link.Type() != "veth" {
		return false
	}
	return a.Alias == ep.alias() || (a.Alias == "" && ep.HasAddress() && a.HardwareAddr.String() == ep.hostMAC().String())
}

// deleteLink removes a link if it is ours. One that is gone is no error.
func deleteLink(h *netlink.Handle, name string, ours func(netlink.Link) bool) error {
	link, err := findLink(h, name)
	if link == nil || !ours(link) {
		return err
	}
	if err := h.LinkDel(link); err != nil && !isNoLink(err) {
		return linkErr("deleting link", name, err)
	}
	return nil
}

// setAddress gives a link an address. That it is there already is no error. Nobody
// else has an IPv6 address of ours, so the kernel need not ask for a second.
func setAddress(h *netlink.Handle, link netlink.Link, ip netip.Addr, bits int) error {
	a := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(ip, bits))}
	if ip.Is4() {
		a.Broadcast = broadcast(ip, bits)
	} else {
		a.Flags = unix.IFA_F_NODAD
	}
	if err := h.AddrAdd(link, a); err != nil && !errors.Is(err, unix.EEXIST) {
		return linkErr("adding address "+ip.String()+" to", link.Attrs().Name, err)
	}
	return nil
}

// ipNet is an address and the length of its prefix for netlink.
func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// addressWords are those of ip-address(8) that setAddress stands for.
func addressWords(p netip.Prefix, link string) []string {
	if p.Addr().Is6() {
		return []string{"address", "add", p.String(), "dev", link, "nodad"}
	}
	return []string{"address", "add", p.String(), "broadcast", "+", "dev", link}
}

func broadcast(ip netip.Addr, bits int) net.IP {
	b := ip.As4()
	for i := range b {
		host := max(0, min(8, (i+1)*8-bits))
		b[i] |= byte(1<<host - 1)
	}
	return b[:]
}

// vethPair describes both ends of a veth pair.
type vethPair struct {
	Host, Peer       string
	HostMAC, PeerMAC net.HardwareAddr
	MTU              int
	Master           int // index of the bridge; 0: none, and the host's end is born down
	PeerNS           int // file descriptor of the peer's namespace
}

// addVeth makes the pair in one RTM_NEWLINK: the host's end is born up and on
// the bridge, the peer is born in the container's namespace. Moving it there
// afterwards costs a grace period of some 20 ms. The library would send the
// bridge in a second message, so the message is built here. See rtnetlink(7).
func addVeth(v vethPair) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	if v.Master != 0 {
		msg.Flags, msg.Change = unix.IFF_UP, unix.IFF_UP
	}
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(v.Host)))
	req.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(v.MTU))))
	req.AddData(nl.NewRtAttr(unix.IFLA_ADDRESS, v.HostMAC))
	if v.Master != 0 {
		req.AddData(nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(v.Master))))
	}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC)
	peer.AddRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(v.Peer))
	peer.AddRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(v.MTU)))
	peer.AddRtAttr(unix.IFLA_ADDRESS, v.PeerMAC)
	peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(v.PeerNS)))
	req.AddData(info)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return linkErr("creating veth pair", v.Host, err)
}

// addrGenNone is IN6_ADDR_GEN_MODE_NONE of linux/if_link.h.
const addrGenNone = 1

// bridgePort is what is set on a port of the bridge after its birth.
type bridgePort struct {
	Name, Alias string
	Isolated    bool // nothing passes between it and other isolated ports
	// Quiet keeps the kernel from giving the port an IPv6 address and announcing it
	// to the container, see ip-link(8), addrgenmode.
	Quiet bool
}

// tagPort sets the alias of a bridge port and switches its hairpin mode on, in
// one message: neither can be given at birth. The kernel finds the link by name.
func tagPort(p bridgePort) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(p.Name)))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(p.Alias)))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_SLAVE_KIND, nl.NonZeroTerminated("bridge"))
	data := info.AddRtAttr(nl.IFLA_INFO_SLAVE_DATA, nil)
	data.AddRtAttr(nl.IFLA_BRPORT_MODE, []byte{1})
	if p.Isolated {
		data.AddRtAttr(nl.IFLA_BRPORT_ISOLATED, []byte{1})
	}
	req.AddData(info)
	if p.Quiet {
		af := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
		af.AddRtAttr(unix.AF_INET6, nil).AddRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, []byte{addrGenNone})
		req.AddData(af)
	}
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return linkErr("tagging bridge port", p.Name, err)
}
