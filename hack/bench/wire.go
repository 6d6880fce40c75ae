package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The uplink of every private host. They do not see each other.
var (
	hostPrefix    = netip.MustParsePrefix("192.0.2.1/24")
	outsidePrefix = netip.MustParsePrefix("192.0.2.2/24")
)

// onThread runs f on a thread that is thrown away afterwards, so f may leave
// it in any network namespace.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		// No unlock: ending a locked goroutine ends its thread. The agent's first
		// thread is locked by main.
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

// enterNet moves the calling thread to a network namespace.
func enterNet(ns *os.File) error {
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering %s: %w", ns.Name(), err)
	}
	return nil
}

// wire makes the outside world and connects the host to it.
func wire() (outside *os.File, err error) {
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("making the outside namespace: %w", err)
		}
		outside, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		return nil, err
	}
	veth := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "uplink0", TxQLen: -1},
		PeerName:  "up0", PeerNamespace: netlink.NsFd(int(outside.Fd())),
	}
	if err := netlink.LinkAdd(veth); err != nil {
		return nil, fmt.Errorf("creating the uplink: %w", err)
	}
	if err := configure("uplink0", hostPrefix); err != nil {
		return nil, err
	}
	err = onThread(func() error {
		return errors.Join(enterNet(outside), configure("up0", outsidePrefix))
	})
	if err != nil {
		return nil, err
	}
	gw := &netlink.Route{Gw: outsidePrefix.Addr().AsSlice()}
	if err := netlink.RouteAdd(gw); err != nil {
		return nil, fmt.Errorf("adding the default route: %w", err)
	}
	return outside, waitUp("uplink0")
}

func configure(name string, p netip.Prefix) error {
	for _, n := range []string{"lo", name} {
		link, err := netlink.LinkByName(n)
		if err != nil {
			return fmt.Errorf("finding %s: %w", n, err)
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("bringing %s up: %w", n, err)
		}
		if n == "lo" {
			continue
		}
		addr := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("adding %s to %s: %w", p, n, err)
		}
	}
	return nil
}

// waitUp waits until a link can send: the kernel notices the carrier a little
// after both ends are up.
func waitUp(name string) error {
	return poll(5*time.Second, func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("finding %s: %w", name, err)
		}
		if state := link.Attrs().OperState; state != netlink.OperUp {
			return fmt.Errorf("link %s is %s", name, state)
		}
		return nil
	})
}
