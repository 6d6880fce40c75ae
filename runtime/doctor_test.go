package runtime

import (
	"net/netip"
	"testing"

	"github.com/minirt/mini/network"
)

func TestHoldings(t *testing.T) {
	v4, v6 := netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("fd00::2")
	for want, ep := range map[string]network.Endpoint{
		"10.1.0.2": {IP: v4}, "fd00::2": {IP6: v6}, "10.1.0.2 and fd00::2": {IP: v4, IP6: v6}, "a place": {},
	} {
		if got := holdings(&ep); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
