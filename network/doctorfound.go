package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/plan"
)

// checkFoundGateways looks for the addresses that a bridge of somebody else had when
// mini found it, and which the network uses. They are the owner's to put back. It
// gives the addresses that a bridge has, for people.
func (d *doctor) checkFoundGateways(w *ward, link netlink.Link) (has string, err error) {
	var all []netip.Prefix
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		addrs, err := addresses(d.h, link, family)
		if err != nil {
			return "", err
		}
		all = append(all, addrs...)
	}
	if w.mk.Found != nil {
		for _, f := range w.n.families() {
			d.checkFoundGateway(w, netip.PrefixFrom(f.gateway, f.subnet.Bits()), all)
		}
	}
	if len(all) == 0 {
		return "without an address", nil
	}
	return strings.Join(texts(all), ", "), nil
}

func (d *doctor) checkFoundGateway(w *ward, gateway netip.Prefix, has []netip.Prefix) {
	had := w.mk.Found.HasAddress
	if gateway.Addr().Is6() {
		had = w.mk.Found.HasAddress6
	}
	on := func(p netip.Prefix) bool { return gateway.Masked().Contains(p.Addr()) }
	what := "an address of " + gateway.Masked().String()
	if slices.Contains(w.mk.Found.Gateways, gateway.Addr()) {
		on = func(p netip.Prefix) bool { return p.Addr() == gateway.Addr() }
		what = "the address " + gateway.String()
	}
	if had && !slices.ContainsFunc(has, on) {
		d.foreign(Wrong, w.subject(), fmt.Sprintf("the bridge %s, which is not mini's, has lost %s", w.mk.Bridge, what), "its containers have no gateway, and the host no route to them",
			plan.Command(append([]string{"ip"}, addressWords(gateway, w.mk.Bridge)...)...))
	}
}

func texts[T fmt.Stringer](all []T) (words []string) {
	for _, a := range all {
		words = append(words, a.String())
	}
	return words
}
