package firewall

import (
	"flag"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/minirt/mini/network/port"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestSets compares all rules, as commands, with the reviewed text.
func TestSets(t *testing.T) {
	var b strings.Builder
	base := Base("DOCKER", "host")
	b.WriteString("# shared by all networks\n")
	for _, c := range base.Chains {
		b.WriteString(c.AddCommand() + "\n")
	}
	for _, r := range base.Rules {
		b.WriteString(r.AddCommand() + "\n")
	}
	b.WriteString("\n# a network\n")
	cfg := BridgeConfig{Prefix: "DOCKER", Owner: "0123456789ab:bridge", Link: "mini0", Subnet: netip.MustParsePrefix("172.17.0.0/24")}
	for _, r := range Bridge(cfg) {
		b.WriteString(r.AddCommand() + "\n")
	}
	b.WriteString("\n# a network whose containers do not reach each other\n")
	lonely := cfg
	lonely.NoICC = true
	for _, r := range Bridge(lonely) {
		b.WriteString(r.AddCommand() + "\n")
	}
	b.WriteString("\n# a network without masquerading\n")
	plain := cfg
	plain.NoMasquerade = true
	for _, r := range Bridge(plain) {
		b.WriteString(r.AddCommand() + "\n")
	}
	for _, mode := range []string{ModeRouted, ModeUnprotected} {
		b.WriteString("\n# a network with gateway mode " + mode + "\n")
		other := cfg
		other.Mode = mode
		for _, r := range Bridge(other) {
			b.WriteString(r.AddCommand() + "\n")
		}
	}
	b.WriteString("\n# an internal network\n")
	cfg.Owner, cfg.Link, cfg.Internal = "ba9876543210:closed", "br-ba9876543210", true
	for _, r := range Bridge(cfg) {
		b.WriteString(r.AddCommand() + "\n")
	}
	b.WriteString("\n# published ports\n")
	var ports []port.Mapping
	for _, spec := range []string{
		"8080:80", "127.0.0.1:53:5353/udp", "7000-7099:7000-7099", "7100:7100", "7101:7101/udp", "7102:7102/udp",
		"127.0.0.1:7103:7103/udp", "9000-9001:8000-8001", "7005:7005",
	} {
		m, err := port.Parse(spec)
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, m...)
	}
	for _, r := range Publish("DOCKER", "a1b2c3d4e5f6:web", ports, netip.MustParseAddr("172.17.0.2")) {
		b.WriteString(r.AddCommand() + "\n")
	}
	b.WriteString("\n# ports of a container of a routed network\n")
	open := []port.Mapping{{ContainerPort: 443, Proto: port.TCP}, {ContainerPort: 53, Proto: port.UDP}, {ContainerPort: 81, Proto: port.TCP}, {ContainerPort: 80, Proto: port.TCP}, {ContainerPort: 80, Proto: port.TCP}}
	for _, r := range Open("DOCKER", "a1b2c3d4e5f6:web", open, netip.MustParseAddr("172.17.0.2")) {
		b.WriteString(r.AddCommand() + "\n")
	}
	golden(t, "testdata/sets.golden", b.String())
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
	all := Base("DOCKER", "x").Rules
	for _, internal := range []bool{false, true} {
		all = append(all, Bridge(BridgeConfig{Prefix: "DOCKER", Owner: "x", Link: "mini0", Subnet: netip.MustParsePrefix("10.0.0.0/8"), Internal: internal})...)
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
	got := script([]Rule{
		newRule("nat", "A", "-i x", "o", "DROP"), newRule("raw", "B", "", "o", "DROP"), newRule("nat", "C", "", "o", "ACCEPT"),
	}, Rule.addOp)
	want := "*nat\n-A A -i x -m comment --comment mini:o -j DROP\n-A C -m comment --comment mini:o -j ACCEPT\nCOMMIT\n" +
		"*raw\n-A B -m comment --comment mini:o -j DROP\nCOMMIT\n"
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
