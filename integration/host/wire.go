package host

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
)

// Addresses on the two ends of the uplink, and its names.
var (
	HostAddr    = netip.MustParseAddr("192.0.2.1")    // of the private host
	OutsideAddr = netip.MustParseAddr("192.0.2.2")    // of the outside world
	HostIPv6    = netip.MustParseAddr("fd6d:696e::1") // with the option IPv6
	OutsideIPv6 = netip.MustParseAddr("fd6d:696e::2") // with the option IPv6
)

// Names of the uplink's ends.
const (
	UplinkName  = "uplink0" // in the private host
	OutsideLink = "up0"     // in the outside world
)

// wire brings the loopbacks and the uplink up. The calling thread is in the
// host's namespace.
func (h *Host) wire() error {
	veth := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: UplinkName, TxQLen: -1},
		PeerName:      OutsideLink,
		PeerNamespace: netlink.NsFd(int(h.outside.net.Fd())),
	}
	if err := noAutomaticIPv6(); err != nil {
		return err
	}
	if err := (namespaces{net: h.outside.net}).run(noAutomaticIPv6); err != nil {
		return err
	}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("creating the uplink: %w", err)
	}
	if err := h.configure(UplinkName, HostAddr, HostIPv6); err != nil {
		return err
	}
	if err := h.defaultRoutes(); err != nil {
		return err
	}
	err := namespaces{net: h.outside.net}.run(func() error {
		if err := h.configure(OutsideLink, OutsideAddr, OutsideIPv6); err != nil {
			return err
		}
		return errors.Join(waitCarrier(OutsideLink), h.waitIPv6(OutsideIPv6))
	})
	if err != nil {
		return err
	}
	return errors.Join(waitCarrier(UplinkName), h.waitIPv6(HostIPv6))
}

// waitIPv6 waits until the kernel has made the address its own: it does so in
// the background, and a picture taken before would lack a route.
func (h *Host) waitIPv6(addr netip.Addr) error {
	if !h.cfg.ipv6 {
		return nil
	}
	const localTable = 255
	want := &netlink.Route{Table: localTable, Dst: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(128, 128)}}
	return Poll(5*time.Second, func() error {
		routes, err := netlink.RouteListFiltered(netlink.FAMILY_V6, want, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST)
		if err != nil {
			return fmt.Errorf("listing local routes: %w", err)
		}
		if len(routes) == 0 {
			return fmt.Errorf("%s has no local route", addr)
		}
		return nil
	})
}

// waitCarrier waits until the link can send. The kernel notices a little after
// both ends are up, and drops what is sent before: a second is lost then.
func waitCarrier(name string) error {
	return Poll(5*time.Second, func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("finding %s: %w", name, err)
		}
		if state := link.Attrs().OperState; state != netlink.OperUp {
			return fmt.Errorf("%s is %s", name, state)
		}
		return nil
	})
}

// noAutomaticIPv6 stops links made from now on from giving themselves
// addresses, which appear at times of their own choice. It is undone by
// restoreIPv6, so that mini meets the kernel's defaults.
func noAutomaticIPv6() error { return setGenMode("1") }

func restoreIPv6() error { return setGenMode("0") }

func setGenMode(mode string) error {
	err := os.WriteFile("/proc/sys/net/ipv6/conf/default/addr_gen_mode", []byte(mode), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a kernel without IPv6
	}
	if err != nil {
		return fmt.Errorf("setting how IPv6 addresses are made: %w", err)
	}
	return nil
}

// configure brings lo and the uplink's end up and gives it its addresses.
func (h *Host) configure(name string, v4, v6 netip.Addr) error {
	for _, n := range []string{"lo", name} {
		link, err := netlink.LinkByName(n)
		if err != nil {
			return fmt.Errorf("finding %s: %w", n, err)
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("bringing %s up: %w", n, err)
		}
	}
	if err := addAddr(name, netip.PrefixFrom(v4, 24)); err != nil {
		return err
	}
	if h.cfg.ipv6 {
		if err := addAddr(name, netip.PrefixFrom(v6, 64)); err != nil {
			return err
		}
	}
	return restoreIPv6()
}

func addAddr(name string, p netip.Prefix) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("finding %s: %w", name, err)
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{
		IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
	}}
	if p.Addr().Is6() {
		addr.Flags = ifaNoDAD // usable at once
	}
	if err := netlink.AddrAdd(link, addr); err != nil {
		return fmt.Errorf("adding %s to %s: %w", p, name, err)
	}
	return nil
}

const ifaNoDAD = 0x02 // IFA_F_NODAD of linux/if_addr.h

func (h *Host) defaultRoutes() error {
	gateways := []netip.Addr{OutsideAddr}
	if h.cfg.ipv6 {
		gateways = append(gateways, OutsideIPv6)
	}
	link, err := netlink.LinkByName(UplinkName)
	if err != nil {
		return fmt.Errorf("finding the uplink: %w", err)
	}
	for _, gw := range gateways {
		r := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: gw.AsSlice()}
		if err := netlink.RouteAdd(r); err != nil {
			return fmt.Errorf("adding the default route through %s: %w", gw, err)
		}
	}
	return nil
}

// setBridgeNF sets what the option BridgeNF asks for.
func (h *Host) setBridgeNF() error {
	if h.cfg.bridgeNF == nil {
		return nil
	}
	value := "0"
	if *h.cfg.bridgeNF {
		value = "1"
	}
	for _, f := range []string{"bridge-nf-call-iptables", "bridge-nf-call-ip6tables"} {
		err := os.WriteFile("/proc/sys/net/bridge/"+f, []byte(value), 0)
		if errors.Is(err, fs.ErrNotExist) && value == "0" {
			continue // without br_netfilter no bridged frame meets a rule
		}
		if err != nil {
			return fmt.Errorf("setting %s to %s: %w", f, value, err)
		}
	}
	return nil
}
