package ipam

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

func TestNextSubnet(t *testing.T) {
	tests := []struct {
		name  string
		pools []Pool
		used  []string
		want  string // "": ErrNoSubnet
	}{
		{"first", DefaultPools(), nil, "172.17.0.0/24"},
		{"second", DefaultPools(), []string{"172.17.0.0/24"}, "172.17.1.0/24"},
		{"hole", DefaultPools(), []string{"172.17.0.0/24", "172.17.2.0/24"}, "172.17.1.0/24"},
		{"docker0", DefaultPools(), []string{"172.17.0.0/16"}, "172.18.0.0/24"},
		{"a host route", DefaultPools(), []string{"172.17.0.53/32"}, "172.17.1.0/24"},
		{"wider than the pool", DefaultPools(), []string{"172.16.0.0/12"}, "192.168.0.0/24"},
		{"a home network and a VPN", DefaultPools(), []string{"172.16.0.0/12", "192.168.0.0/16", "10.0.0.0/9"}, "10.128.0.0/24"},
		{"nested", DefaultPools(), []string{"172.17.0.7/32", "172.17.0.0/23", "172.17.1.0/25"}, "172.17.2.0/24"},
		{"host bits in used", DefaultPools(), []string{"172.17.0.9/24"}, "172.17.1.0/24"},
		{"default route and IPv6", DefaultPools(), []string{"0.0.0.0/0", "::/0", "fd00::/8"}, "172.17.0.0/24"},
		{"all private space", DefaultPools(), []string{"172.16.0.0/12", "192.168.0.0/16", "10.0.0.0/8"}, ""},
		{"end of the space", []Pool{{prefix("255.255.255.0/24"), 30}}, []string{"255.255.255.0/25", "255.255.255.128/26", "255.255.255.192/27", "255.255.255.224/28", "255.255.255.240/29", "255.255.255.248/30"}, "255.255.255.252/30"},
		{"past the end", []Pool{{prefix("255.255.255.0/24"), 30}}, []string{"255.255.255.0/24"}, ""},
		{"no pools", nil, nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var used []Used
			for _, p := range test.used {
				used = append(used, Used{Prefix: prefix(p), By: "x"})
			}
			got, err := NextSubnet(test.pools, used)
			if test.want == "" {
				if !errors.Is(err, ErrNoSubnet) {
					t.Fatalf("got %s, %v; want ErrNoSubnet", got, err)
				}
				return
			}
			if err != nil || got != prefix(test.want) {
				t.Fatalf("got %s, %v; want %s", got, err, test.want)
			}
		})
	}
}

func TestNextSubnetRefusesBadPools(t *testing.T) {
	for _, p := range []Pool{{}, {prefix("fd00::/8"), 65}, {prefix("fd00::/48"), 47}, {prefix("10.0.0.1/8"), 24}, {prefix("10.0.0.0/8"), 31}, {prefix("10.0.0.0/16"), 15}, {prefix("0.0.0.0/0"), 4}} {
		if got, err := NextSubnet([]Pool{p}, nil); err == nil || errors.Is(err, ErrNoSubnet) {
			t.Errorf("%v: got %s, %v", p, got, err)
		}
	}
}

func TestNextSubnetOfIPv6(t *testing.T) {
	last := Pool{prefix("ffff:ffff:ffff::/48"), 64}
	for _, test := range []struct {
		pool Pool
		used string
		want string
	}{
		{Pool{prefix("fd00::/48"), 64}, "", "fd00::/64"},
		{Pool{prefix("fd00::/48"), 64}, "fd00::/64 10.0.0.0/8", "fd00:0:0:1::/64"},
		{Pool{prefix("fd00::/48"), 64}, "fd00::/63 fd00:0:0:2::5/128", "fd00:0:0:3::/64"},
		{Pool{prefix("fd00::/48"), 56}, "fd00:0:0:1::/64", "fd00:0:0:100::/56"},
		{Pool{prefix("fd00::/48"), 64}, "fd00::/16", ""},
		{Pool{prefix("fd00::/48"), 64}, "::/0 fe80::/10", "fd00::/64"},
		{last, "ffff:ffff:ffff::/49 ffff:ffff:ffff:8000::/50 ffff:ffff:ffff:c000::/51", "ffff:ffff:ffff:e000::/64"},
		{last, "ffff:ffff:ffff::/49 ffff:ffff:ffff:8000::/49", ""},
	} {
		var used []Used
		for _, p := range strings.Fields(test.used) {
			used = append(used, Used{Prefix: prefix(p), By: "x"})
		}
		got, err := NextSubnet([]Pool{test.pool}, used)
		if test.want == "" && errors.Is(err, ErrNoSubnet) {
			continue
		}
		if err != nil || got.String() != test.want {
			t.Errorf("%s beside %s: got %s, %v, want %q", test.pool, test.used, got, err, test.want)
		}
		if err := CheckOverlap(got, used); err != nil {
			t.Error(err)
		}
	}
}

func TestUniqueLocal(t *testing.T) {
	one, again, two := UniqueLocal([]byte("one")), UniqueLocal([]byte("one")), UniqueLocal([]byte("two"))
	if one != again || one == two {
		t.Errorf("got %s, %s, %s: want the same for one seed only", one, again, two)
	}
	if !prefix("fd00::/8").Contains(one.Base.Addr()) || one.Base.Bits() != 48 || one.Bits != 64 || one.Validate() != nil {
		t.Errorf("got %s, want a /48 of fd00::/8 in /64s", one)
	}
}

func TestDefaultPoolsHoldMany(t *testing.T) {
	var used []Used
	for n := range 1500 {
		p, err := NextSubnet(DefaultPools(), used)
		if err != nil {
			t.Fatalf("after %d: %v", n, err)
		}
		if n < 500 || n%100 == 0 { // the check is quadratic
			if err := CheckOverlap(p, used); err != nil {
				t.Fatal(err)
			}
		}
		if err := subnet(p.String()).Validate(); err != nil {
			t.Fatal(err)
		}
		used = append(used, Used{Prefix: p, By: "network"})
	}
}

// The slow way tries every subnet of the pool against every used prefix.
func TestNextSubnetAgainstModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	base := prefix("10.8.0.0/18")
	for range 3000 {
		pool := Pool{base, 20 + r.IntN(8)}
		var used []Used
		for range r.IntN(30) {
			a := address(number(base.Addr()) - 1<<12 + uint32(r.IntN(1<<14+1<<13)))
			used = append(used, Used{Prefix: netip.PrefixFrom(a, 18+r.IntN(15)), By: "x", Yields: r.IntN(3) == 0})
		}
		want, found := slowNext(pool, used)
		got, err := NextSubnet([]Pool{pool}, used)
		if (err == nil) != found || found && got != want {
			t.Fatalf("%s with %v: got %s, %v; want %s, %t", pool, used, got, err, want, found)
		}
	}
}

func slowNext(pool Pool, used []Used) (netip.Prefix, bool) {
	for a := pool.Base.Addr(); pool.Base.Contains(a); {
		p := netip.PrefixFrom(a, pool.Bits)
		if CheckOverlap(p, used) == nil {
			return p, true
		}
		a = lastAddr(p).Next()
	}
	return netip.Prefix{}, false
}

func TestCheckOverlap(t *testing.T) {
	used := []Used{
		{Prefix: prefix("0.0.0.0/0"), By: "default route"},
		{Prefix: prefix("192.168.1.0/24"), By: "route on eth0"},
		{Prefix: prefix("172.17.0.0/24"), By: "network web"},
		{Prefix: prefix("10.9.9.9/32"), By: "nameserver"},
		{Prefix: prefix("fd00::/64"), By: "route on eth0"},
		{Prefix: prefix("100.64.0.0/10"), By: "blackhole route", Yields: true},
		{Prefix: prefix("fc00::/8"), By: "unreachable route", Yields: true},
	}
	tests := []struct{ subnet, want string }{
		{"172.18.0.0/24", ""},
		{"192.168.0.0/16", "subnet 192.168.0.0/16 overlaps 192.168.1.0/24 (route on eth0)"},
		{"172.17.0.128/25", "subnet 172.17.0.128/25 overlaps 172.17.0.0/24 (network web)"},
		{"10.9.0.0/16", "subnet 10.9.0.0/16 overlaps 10.9.9.9/32 (nameserver)"},
		{"100.64.0.0/24", ""},
		{"100.64.0.0/10", "subnet 100.64.0.0/10 overlaps 100.64.0.0/10 (blackhole route)"},
		{"100.0.0.0/8", "subnet 100.0.0.0/8 overlaps 100.64.0.0/10 (blackhole route)"},
		{"fc00:1::/64", ""},
		{"fd00::/48", "subnet fd00::/48 overlaps fd00::/64 (route on eth0)"},
	}
	for _, test := range tests {
		err := CheckOverlap(prefix(test.subnet), used)
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: %v", test.subnet, err)
			}
			continue
		}
		if !errors.Is(err, ErrOverlap) || err.Error() != test.want {
			t.Errorf("%s: got %v, want %s", test.subnet, err, test.want)
		}
	}
}
