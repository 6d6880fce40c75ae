package ipam

import (
	"net/netip"
	"strings"
	"testing"
)

func TestKept(t *testing.T) {
	for want, cfg := range map[int]Config{
		3: {Subnet: prefix("10.0.0.0/24")},
		2: {Subnet: prefix("fd00::/64")},
		4: {Subnet: prefix("fd00::/64"), Range: prefix("fd00::1:0/112"), Reserved: []netip.Addr{addr("fd00::1"), addr("fd00::2"), addr("fd00::1:2")}},
		5: {Subnet: prefix("10.0.0.0/24"), Reserved: []netip.Addr{addr("10.0.0.1"), addr("10.0.0.7"), addr("10.0.0.9")}},
	} {
		if got := cfg.Kept(); got != want {
			t.Errorf("%+v: got %d, want %d", cfg, got, want)
		}
	}
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
		want []string // parts of the error; none: valid
	}{
		{"smallest", subnet("10.0.0.0/30"), nil},
		{"largest", subnet("10.0.0.0/8"), nil},
		{"last /8 of the space", subnet("255.0.0.0/8"), nil},
		{"everything set", Config{prefix("10.1.0.0/16"), addr("10.1.255.254"), prefix("10.1.5.0/24"), []netip.Addr{addr("10.1.5.9")}}, nil},
		{"range of one address", Config{Subnet: prefix("10.0.0.0/24"), Range: prefix("10.0.0.7/32")}, nil},
		{"none", Config{}, []string{"missing"}},
		{"too small", subnet("10.0.0.0/31"), []string{"10.0.0.0/31", "/8 to /30"}},
		{"too large", subnet("8.0.0.0/7"), []string{"/7", "/8 to /30"}},
		{"IPv6", subnet("fd00::/64"), nil},
		{"smallest of IPv6", subnet("fd00::/126"), nil},
		{"IPv6 too small", subnet("fd00::/127"), []string{"fd00::/127", "/8 to /126"}},
		{"IPv6 too large", subnet("fc00::/7"), []string{"fc00::/7", "/8 to /126"}},
		{"IPv6 host bits", subnet("fd00::5/64"), []string{"fd00::5/64", "did you mean fd00::/64?"}},
		{"IPv4 as IPv6", subnet("::ffff:10.0.0.0/120"), []string{"IPv4 written as IPv6"}},
		{"gateway anycast", Config{Subnet: prefix("fd00::/64"), Gateway: addr("fd00::")}, []string{"subnet-router anycast", "fd00::1 - fd00::ffff:ffff:ffff:ffff"}},
		{"last address of IPv6 as gateway", Config{Subnet: prefix("fd00::/64"), Gateway: addr("fd00::ffff:ffff:ffff:ffff")}, nil},
		{"range of IPv6", Config{Subnet: prefix("fd00::/64"), Range: prefix("fd00::8000:0:0:0/65")}, nil},
		{"range of IPv6 outside", Config{Subnet: prefix("fd00::/64"), Range: prefix("fd01::/80")}, []string{"range fd01::/80 is not inside subnet fd00::/64"}},
		{"reserved outside of IPv6", Config{Subnet: prefix("fd00::/64"), Reserved: []netip.Addr{addr("fd01::9")}}, []string{"reserved address fd01::9 is outside"}},
		{"host bits", subnet("10.0.0.5/24"), []string{"10.0.0.5/24", "did you mean 10.0.0.0/24?"}},
		{"gateway outside", Config{Subnet: prefix("10.0.0.0/24"), Gateway: addr("10.0.1.1")}, []string{"gateway 10.0.1.1 is outside", "10.0.0.0 - 10.0.0.255"}},
		{"gateway IPv6", Config{Subnet: prefix("10.0.0.0/24"), Gateway: addr("::ffff:10.0.0.1")}, []string{"outside"}},
		{"gateway network", Config{Subnet: prefix("10.0.0.0/24"), Gateway: addr("10.0.0.0")}, []string{"network address", "10.0.0.1 - 10.0.0.254"}},
		{"gateway broadcast", Config{Subnet: prefix("10.0.0.0/24"), Gateway: addr("10.0.0.255")}, []string{"broadcast address", "10.0.0.1 - 10.0.0.254"}},
		{"range outside", Config{Subnet: prefix("10.0.0.0/24"), Range: prefix("10.0.1.0/25")}, []string{"range 10.0.1.0/25 is not inside subnet 10.0.0.0/24"}},
		{"range wider", Config{Subnet: prefix("10.0.0.0/24"), Range: prefix("10.0.0.0/16")}, []string{"not inside"}},
		{"range host bits", Config{Subnet: prefix("10.0.0.0/24"), Range: prefix("10.0.0.9/28")}, []string{"did you mean 10.0.0.0/28?"}},
		{"range IPv6", Config{Subnet: prefix("10.0.0.0/24"), Range: prefix("fd00::/120")}, []string{"not inside"}},
		{"range malformed", Config{Subnet: prefix("10.0.0.0/24"), Range: netip.PrefixFrom(addr("10.0.0.0"), 33)}, []string{"malformed"}},
		{"range all reserved", Config{Subnet: prefix("10.0.0.0/24"), Range: prefix("10.0.0.0/31")}, []string{"no address to give out"}},
		{"reserved outside", Config{Subnet: prefix("10.0.0.0/24"), Reserved: []netip.Addr{addr("10.0.9.9")}}, []string{"reserved address 10.0.9.9 is outside"}},
		{"two faults", Config{Subnet: prefix("10.0.0.0/24"), Gateway: addr("1.1.1.1"), Range: prefix("10.0.1.0/25")}, []string{"gateway", "range"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { wantError(t, test.cfg.Validate(), test.want) })
	}
}

// wantError wants an error with all parts in its text, or none without parts.
func wantError(t *testing.T, err error, parts []string) {
	t.Helper()
	if (err != nil) != (len(parts) > 0) {
		t.Fatalf("got error %v, want parts %q", err, parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in %q", part, err)
		}
	}
}

func TestConfigString(t *testing.T) {
	cfg := Config{Subnet: prefix("10.1.0.0/16"), Range: prefix("10.1.5.0/24"), Reserved: []netip.Addr{addr("10.1.5.9"), addr("10.1.0.3"), addr("10.1.5.9")}}
	want := "subnet 10.1.0.0/16 gateway 10.1.0.1 range 10.1.5.0/24 reserved 10.1.0.0,10.1.0.1,10.1.0.3,10.1.5.9,10.1.255.255"
	if got := cfg.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	cfg = Config{Subnet: prefix("fd00:1::/64"), Range: prefix("fd00:1::5:0/120"), Reserved: []netip.Addr{addr("fd00:1::5:9"), addr("fd00:1::3"), addr("fd00:1::5:9")}}
	want = "subnet fd00:1::/64 gateway fd00:1::1 range fd00:1::5:0/120 reserved fd00:1::,fd00:1::1,fd00:1::3,fd00:1::5:9"
	if got := cfg.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestParseOwner(t *testing.T) {
	tests := []struct {
		id    string
		want  Owner
		parts []string
	}{
		{"0123456789abcdef", 0x0123456789abcdef, nil},
		{"ffffffffffffffff0000000000000000", 0xffffffffffffffff, nil},
		{"0123456789abcde", 0, []string{"too short"}},
		{"", 0, []string{"too short"}},
		{"+123456789abcdef", 0, []string{"hexadecimal"}},
		{"0123456789abcdeg", 0, []string{"hexadecimal"}},
		{"0000000000000000f", 0, []string{"all zeros"}},
	}
	for _, test := range tests {
		got, err := ParseOwner(test.id)
		wantError(t, err, test.parts)
		if got != test.want {
			t.Errorf("ParseOwner(%q) = %s, want %s", test.id, got, test.want)
		}
		if err == nil && got.String() != test.id[:16] {
			t.Errorf("String of %q is %s", test.id, got)
		}
	}
}

func FuzzValidate(f *testing.F) {
	f.Add([]byte{10, 0, 0, 0}, 24, []byte{10, 0, 0, 1}, []byte{10, 0, 0, 128}, 25, []byte{10, 0, 0, 5})
	f.Add([]byte{255, 0, 0, 0}, 8, []byte{}, []byte{}, 0, []byte{})
	six := func(last byte) []byte { return append([]byte{0xfd, 14: 0}, last) }
	f.Add(six(0), 64, six(1), six(128), 121, six(130))
	f.Add(six(0), 126, six(3), []byte{}, 0, six(2))
	f.Fuzz(func(t *testing.T, sub []byte, bits int, gw, rng []byte, rngBits int, res []byte) {
		s, _ := netip.AddrFromSlice(sub)
		g, _ := netip.AddrFromSlice(gw)
		r, _ := netip.AddrFromSlice(rng)
		cfg := Config{Subnet: netip.PrefixFrom(s, bits), Gateway: g, Range: netip.PrefixFrom(r, rngBits)}
		if a, ok := netip.AddrFromSlice(res); ok {
			cfg.Reserved = append(cfg.Reserved, a)
		}
		// A /8 takes 2 MiB a round, which would only slow the fuzzer down.
		if cfg.Validate() != nil || bits < 16 {
			return
		}
		b := newBitmap(t, cfg)
		a, err := b.Allocate()
		if err != nil {
			t.Fatalf("valid configuration %s gives out nothing: %v", cfg, err)
		}
		if !cfg.Subnet.Contains(a) || cfg.Range.IsValid() && !cfg.Range.Contains(a) || a == cfg.GatewayAddr() {
			t.Fatalf("%s gave out %s", cfg, a)
		}
	})
}
