package firewall

import (
	"flag"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/minirt/mini/network/port"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sample is what the reviewed text is made for, in one family.
type sample struct {
	cfg   BridgeConfig
	ports []port.Mapping
	ip    netip.Addr
	ip6   netip.Addr
}

// samples are a network and the published ports of a container for each family.
func samples(t *testing.T) map[family]sample {
	cfg := BridgeConfig{Prefix: "DOCKER", Owner: "0123456789ab:bridge", Link: "mini0"}
	v4 := sample{cfg: cfg, ip: netip.MustParseAddr("172.17.0.2")}
	v6 := sample{cfg: cfg, ip6: netip.MustParseAddr("fd17::2")}
	v4.cfg.Subnet, v6.cfg.Subnet6 = netip.MustParsePrefix("172.17.0.0/24"), netip.MustParsePrefix("fd17::/64")
	for _, spec := range []string{
		"8080:80", "127.0.0.1:53:5353/udp", "7000-7099:7000-7099", "7100:7100", "7101:7101/udp", "7102:7102/udp",
		"127.0.0.1:7103:7103/udp", "9000-9001:8000-8001", "7005:7005",
	} {
		m, err := port.Parse(spec)
		if err != nil {
			t.Fatal(err)
		}
		v4.ports = append(v4.ports, m...)
	}
	for _, p := range v4.ports {
		if p.HostIP.IsLoopback() {
			p.HostIP = netip.MustParseAddr("2001:db8::1")
		} else {
			p.HostIP = netip.IPv6Unspecified()
		}
		v6.ports = append(v6.ports, p)
	}
	v6.ports = append(v6.ports, port.Mapping{HostIP: netip.IPv6Loopback(), HostPort: 1, ContainerPort: 1, Proto: port.TCP})
	return map[family]sample{false: v4, true: v6}
}

// networks are the kinds of networks, by what is said of them.
func (s sample) networks() (names []string, cfgs []BridgeConfig) {
	kind := func(name string, change func(*BridgeConfig)) {
		c := s.cfg
		change(&c)
		names, cfgs = append(names, name), append(cfgs, c)
	}
	kind("a network", func(*BridgeConfig) {})
	kind("a network whose containers do not reach each other", func(c *BridgeConfig) { c.NoICC = true })
	kind("a network without masquerading", func(c *BridgeConfig) { c.NoMasquerade = true })
	for _, mode := range []string{ModeRouted, ModeUnprotected} {
		kind("a network with gateway mode "+mode, func(c *BridgeConfig) { c.Mode, c.Mode6 = mode, mode })
	}
	kind("a network beside two that are unprotected, itself unprotected for one", func(c *BridgeConfig) {
		c.From, c.To, c.From6, c.To6 = []string{"br-a"}, []string{"br-b", "br-c"}, []string{"br-a"}, []string{"br-b", "br-c"}
	})
	kind("an internal network", func(c *BridgeConfig) {
		c.Owner, c.Link, c.Internal = "ba9876543210:closed", "br-ba9876543210", true
	})
	return names, cfgs
}

// TestSets compares all rules, as commands, with the reviewed text.
func TestSets(t *testing.T) {
	for f, s := range samples(t) {
		var b strings.Builder
		base := Base("DOCKER", "host", bool(f))
		b.WriteString("# shared by all networks\n")
		for _, c := range base.Chains {
			b.WriteString(c.AddCommand() + "\n")
		}
		for _, r := range base.Rules {
			b.WriteString(r.AddCommand() + "\n")
		}
		names, cfgs := s.networks()
		for i, c := range cfgs {
			b.WriteString("\n# " + names[i] + "\n")
			for _, r := range Bridge(c) {
				b.WriteString(r.AddCommand() + "\n")
			}
		}
		b.WriteString("\n# published ports\n")
		for _, r := range Publish("DOCKER", "a1b2c3d4e5f6:web", s.ports, s.ip, s.ip6) {
			b.WriteString(r.AddCommand() + "\n")
		}
		b.WriteString("\n# ports of a container of a routed network\n")
		open := []port.Mapping{{ContainerPort: 443, Proto: port.TCP}, {ContainerPort: 53, Proto: port.UDP}, {ContainerPort: 81, Proto: port.TCP}, {ContainerPort: 80, Proto: port.TCP}, {ContainerPort: 80, Proto: port.TCP}}
		for i := range open {
			open[i].HostIP = map[family]netip.Addr{false: netip.IPv4Unspecified(), true: netip.IPv6Unspecified()}[f]
		}
		for _, r := range Open("DOCKER", "a1b2c3d4e5f6:web", open, s.ip, s.ip6) {
			b.WriteString(r.AddCommand() + "\n")
		}
		golden(t, map[family]string{false: "testdata/sets.golden", true: "testdata/sets6.golden"}[f], b.String())
	}
}

// TestFamiliesOfPorts: which ports have rules of which family.
func TestFamiliesOfPorts(t *testing.T) {
	v4, v6 := netip.MustParseAddr("172.17.0.2"), netip.MustParseAddr("fd17::2")
	mapping := func(host string, dual bool) port.Mapping {
		m := port.Mapping{Dual: dual, HostPort: 8080, ContainerPort: 80, Proto: port.TCP}
		if host != "" {
			m.HostIP = netip.MustParseAddr(host)
		}
		return m
	}
	for _, c := range []struct {
		port    port.Mapping
		to, to6 netip.Addr
		want    string
	}{
		{mapping("", false), v4, v6, "4"},
		{mapping("0.0.0.0", false), v4, v6, "4"},
		{mapping("0.0.0.0", true), v4, v6, "46"},
		{mapping("0.0.0.0", true), v4, netip.Addr{}, "4"},
		{mapping("0.0.0.0", true), netip.Addr{}, v6, "6"},
		{mapping("127.0.0.1", false), v4, v6, "4"},
		{mapping("::", false), v4, v6, "6"},
		{mapping("2001:db8::1", false), v4, v6, "6"},
		{mapping("2001:db8::1", false), v4, netip.Addr{}, ""},
		{mapping("::1", false), v4, v6, ""},
	} {
		for what, rules := range map[string][]Rule{
			"Publish": Publish("DOCKER", "x", []port.Mapping{c.port}, c.to, c.to6), "Open": Open("DOCKER", "x", []port.Mapping{c.port}, c.to, c.to6),
		} {
			got := ""
			for _, r := range rules {
				got += map[bool]string{false: "4", true: "6"}[r.V6]
			}
			want := c.want
			if what == "Open" && c.port.HostIP.IsLoopback() && c.port.HostIP.Is6() {
				want = "6" // an address of the host has no meaning there
			}
			if got != want {
				t.Errorf("%s of %+v: rules for families %q, want %q", what, c.port, got, want)
			}
		}
	}
}

// TestBothFamilies: a network with both has the rules of both, in that order.
func TestBothFamilies(t *testing.T) {
	s := samples(t)
	both := s[false].cfg
	both.Subnet6, both.Mode6 = s[true].cfg.Subnet6, ModeRouted
	only := s[true].cfg
	only.Mode6 = ModeRouted
	var want, got []string
	for _, r := range append(Bridge(s[false].cfg), Bridge(only)...) {
		want = append(want, r.AddCommand())
	}
	for _, r := range Bridge(both) {
		got = append(got, r.AddCommand())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update rewrites it); got:\n%s", path, got)
	}
}

// TestEveryRuleIsTagged: what is not tagged could not be told from others' rules.
func TestEveryRuleIsTagged(t *testing.T) {
	var all []Noted
	for f, s := range samples(t) {
		all = append(all, Base("DOCKER", "x", bool(f)).Rules...)
		_, cfgs := s.networks()
		for _, c := range cfgs {
			c.Owner = "x"
			all = append(all, Bridge(c)...)
		}
	}
	for _, r := range all {
		if text := strings.Join(r.Spec, " "); !strings.Contains(text, "-m comment --comment mini:x -j ") {
			t.Errorf("no tag in: %s", text)
		}
		if r.Name == "" || r.Why == "" {
			t.Errorf("no reason given for: %s", strings.Join(r.Spec, " "))
		}
	}
}

func TestPadded(t *testing.T) {
	for _, n := range []int{0, 1, page - 3, page - 2, page - 1, page, page + 1} {
		in := strings.Repeat("x", n)
		got := padded(in)
		if len(got)%page != 0 || !strings.HasPrefix(got, in+"#") || !strings.HasSuffix(got, "\n") || len(got) > len(in)+page+1 {
			t.Errorf("%d bytes are padded to %d", n, len(got))
		}
	}
}

func TestScriptGroupsByTable(t *testing.T) {
	lines := linesOf([]Rule{
		newRule("nat", "A", "-i x", "o", "DROP"), newRule("raw", "B", "", "o", "DROP"),
		family(true).rule("raw", "D", "", "o", "DROP"), newRule("nat", "C", "", "o", "ACCEPT"),
	}, Rule.addOp)
	for f, want := range map[family]string{
		false: "*nat\n-A A -i x -m comment --comment mini:o -j DROP\n-A C -m comment --comment mini:o -j ACCEPT\nCOMMIT\n" +
			"*raw\n-A B -m comment --comment mini:o -j DROP\nCOMMIT\n",
		true: "*raw\n-A D -m comment --comment mini:o -j DROP\nCOMMIT\n",
	} {
		if got := f.script(lines); got != want {
			t.Errorf("%s: got:\n%s\nwant:\n%s", f.program(), got, want)
		}
	}
}
