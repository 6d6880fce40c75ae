package lab

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestParseErrors(t *testing.T) {
	const two = "nodes:\n  a: {}\n  b: {}\n"
	const joined = two + "links:\n  - {a: \"a:eth0 10.0.0.1/24\", b: \"b:eth0 10.0.0.2/24\"}\n"
	for name, c := range map[string]struct{ text, want string }{
		"empty":                {"", "x.yaml:1:1: empty: want a topology"},
		"no YAML":              {"nodes: [", "x.yaml:1:8: "},
		"two documents":        {two + "---\n" + two, "x.yaml:1:1: more than one document"},
		"unknown key":          {two + "colour: red\n", "x.yaml:4:1: unknown field \"colour\""},
		"unknown key inside":   {two + "routes:\n  - {in: a, too: default}\n", "x.yaml:5:13: unknown field \"too\""},
		"key twice":            {two + "nodes:\n  c: {}\n", "x.yaml:4:1: "},
		"alias of itself":      {"nodes: &x {a: *x}\n", "x.yaml:1:8: anchors, aliases and merges"},
		"merge":                {"nodes: {a: {<<: {on: b}}}\n", "x.yaml:1:13: anchors, aliases and merges"},
		"too long":             {strings.Repeat("#", 1<<20+1), "x.yaml:1:1: too long"},
		"wrong type":           {"nodes: 5\n", "x.yaml:1:8: "},
		"no places":            {"about: nothing\n", "x.yaml:1:6: neither hosts nor nodes"},
		"bad lab name":         {"name: A_B\n" + two, "x.yaml:1:7: bad name \"A_B\""},
		"bad node name":        {"nodes:\n  A: {}\n", "x.yaml:2:6: bad name \"A\""},
		"host and node":        {"hosts:\n  a: {}\n" + two, "x.yaml:4:6: a is a host already"},
		"share with nobody":    {"nodes:\n  a: {share: z}\n", "x.yaml:2:14: no host or node \"z\": there are a"},
		"share in a circle":    {"nodes:\n  a: {share: b}\n  b: {share: a}\n", "x.yaml:3:14: b and a share each other's namespace"},
		"bridge nowhere":       {two + "bridges:\n  br0: {in: c}\n", "x.yaml:5:13: no host or node \"c\": there are a, b"},
		"bridge without place": {two + "bridges:\n  br0: {}\n", "in is missing"},
		"long interface name":  {two + "links:\n  - {a: \"a:abcdefghijklmnop\", b: \"b:eth0\"}\n", "x.yaml:5:9: bad interface name \"abcdefghijklmnop\""},
		"interface twice":      {two + "links:\n  - {a: \"a:eth0\", b: \"a:eth0\"}\n", "x.yaml:5:22: a has an interface eth0 already"},
		"no interface":         {two + "links:\n  - {a: a, b: \"b:eth0\"}\n", "x.yaml:5:9: which interface of a? want a:INTERFACE"},
		"link to nowhere":      {two + "links:\n  - {a: \"a:eth0\", b: \"c:eth0\"}\n", "x.yaml:5:22: no host or node \"c\""},
		"one end":              {two + "links:\n  - {a: \"a:eth0\"}\n", "b is missing"},
		"bad address":          {two + "links:\n  - {a: \"a:eth0 10.0.0.256/24\", b: \"b:eth0\"}\n", "x.yaml:5:9: bad address \"10.0.0.256/24\""},
		"address twice":        {joined + "  - {a: \"a:eth1 10.0.0.2/24\", b: \"b:eth1\"}\n", "x.yaml:6:9: b has the address 10.0.0.2 already"},
		"address on a port":    {two + "bridges:\n  br0: {in: a}\nlinks:\n  - {a: \"b:eth0\", b: \"br0 10.0.0.1/24\"}\n", "x.yaml:7:22: the port of a bridge has no address"},
		"route past all":       {joined + "routes:\n  - {in: a, to: default, via: 10.9.9.9}\n", "x.yaml:7:31: no interface of a is on a network with 10.9.9.9"},
		"route to nowhere":     {joined + "routes:\n  - {in: a, to: default}\n", "a route leads somewhere"},
		"host bits":            {joined + "routes:\n  - {in: a, to: 10.1.2.3/24, via: 10.0.0.2}\n", "x.yaml:7:17: bad prefix \"10.1.2.3/24\": it has host bits, want 10.1.2.0/24"},
		"no such link":         {joined + "nat:\n  - {in: a, masquerade: 10.0.0.0/24, out: wlan0}\n", "x.yaml:7:43: a has no interface \"wlan0\": it has lo, eth0"},
		"both kinds of nat":    {joined + "nat:\n  - {in: a, masquerade: 10.0.0.0/24, dnat: \"10.0.0.1:80\", to: \"10.0.0.2:80\"}\n", "want either masquerade or dnat"},
		"bad hook":             {joined + "nat:\n  - {in: a, dnat: \"10.0.0.1:80\", to: \"10.0.0.2:80\", hooks: [input]}\n", "bad 0 \"input\": want one of prerouting, output"},
		"not of the network":   {joined + "sysctls:\n  - {in: a, key: kernel.hostname, value: x}\n", "x.yaml:7:18: bad key \"kernel.hostname\""},
		"bad port":             {joined + "ports:\n  - {in: a, listen: \"tcp:99999\"}\n", "x.yaml:7:21: bad port in \"tcp:99999\""},
		"port twice":           {joined + "ports:\n  - {in: a, listen: \"tcp:80\"}\n  - {in: a, listen: \"http:80\"}\n", "x.yaml:8:21: a listens on port 80 already"},
		"unknown probe":        {joined + "expect:\n  - {from: a, to: b, by: magic}\n", "x.yaml:7:26: bad by \"magic\": want one of ping, tcp, udp, http, traceroute"},
		"tcp without a port":   {joined + "expect:\n  - {from: a, to: b, by: tcp}\n", "x.yaml:7:19: tcp, udp and http want a port"},
		"target nowhere":       {joined + "expect:\n  - {from: a, to: c, by: ping}\n", "x.yaml:7:19: bad target \"c\""},
		"target has nothing":   {two + "expect:\n  - {from: a, to: b, by: ping}\n", "x.yaml:5:19: b has no address"},
		"ping refused":         {joined + "expect:\n  - {from: a, to: b, by: ping, want: refused}\n", "x.yaml:7:38: a ping cannot be refused"},
		"no hops":              {joined + "expect:\n  - {from: a, to: b, by: traceroute}\n", "a traceroute that is ok wants hops"},
		"wire alone":           {joined + "expect:\n  - {from: a, to: b, by: ping, wire: \"a:eth0\"}\n", "wire and carries go together"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("x.yaml", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got\n    %v\nwant\n    %s", err, c.want)
			}
		})
	}
}

// TestParseTellsAll checks that one reading names all faults, from top to bottom.
func TestParseTellsAll(t *testing.T) {
	_, err := Parse("x.yaml", []byte("nodes:\n  a: {share: z}\n  B: {}\n"))
	want := "x.yaml:2:14: no host or node \"z\": there are a, B\nx.yaml:3:6: bad name \"B\": want up to 20 of a-z, 0-9 and -"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestParseNames(t *testing.T) {
	for file, want := range map[string]string{"/a/b/two.yaml": "two", "two": "two"} {
		got, err := Parse(file, []byte("nodes: {a: {}}\n"))
		if err != nil || got.Name != want {
			t.Errorf("%s: got %q, %v; want %q", file, got.Name, err, want)
		}
	}
	got, err := Parse("x.yaml", []byte("name: other\nnodes: {z: {}, a: {}}\n"))
	if err != nil || got.Name != "other" {
		t.Fatalf("got %q, %v", got.Name, err)
	}
	m, _ := got.resolve()
	if m.places[0].name != "z" || m.places[1].name != "a" {
		t.Errorf("the places are not in the file's order: %v, %v", m.places[0].name, m.places[1].name)
	}
}

func TestBuiltins(t *testing.T) {
	files, err := builtin.ReadDir("builtin")
	if err != nil || len(files) != len(Builtins()) {
		t.Errorf("%d files, %v; want %d", len(files), err, len(Builtins()))
	}
	for _, name := range Builtins() {
		lab, _, err := Builtin(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if lab.Summary() == "" || len(lab.Expect) == 0 {
			t.Errorf("%s teaches nothing, or proves nothing", name)
		}
	}
	if _, _, err := Builtin("../doc"); err == nil || !strings.Contains(err.Error(), "mini comes with veth, bridge") {
		t.Errorf("got %v", err)
	}
}

// TestScripts has the whole plans of two labs, which together have each kind of part.
func TestScripts(t *testing.T) {
	for _, name := range []string{"docker0", "vxlan"} {
		lab, _, err := Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := Open("/run/mini").Script(lab, &b); err != nil {
			t.Fatal(err)
		}
		golden(t, "testdata/"+name+".sh", []byte(b.String()))
	}
}

func TestParts(t *testing.T) {
	lab, err := Parse("x.yaml", []byte(`
hosts: {machine: {}}
nodes: {web: {}, beside: {share: web}, alone: {}}
bridges: {br0: {in: machine, address: 10.0.0.1/24}}
links:
  - {a: "web:eth0 10.0.0.2/24 fd00::2/64", b: br0}
tunnels:
  - {in: machine, name: vx, id: 1, local: 10.0.0.1, remote: 10.0.0.9, bridge: br0}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []Part{
		{"machine", "host", "br0", "10.0.0.1/24", "bridge"},
		{"machine", "host", "veth-web", "", "web:eth0, port of br0"},
		{"machine", "host", "vx", "", "VXLAN to 10.0.0.9, port of br0"},
		{"web", "node", "eth0", "10.0.0.2/24 fd00::2/64", "machine:veth-web"},
		{"beside", "node, as web", "", "", ""},
		{"alone", "node", "", "", ""},
	}
	if got := lab.Parts(); !slices.Equal(got, want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
}

// TestWords: what is expected and what came are the same words only when all that was asked for is so.
func TestWords(t *testing.T) {
	a := netip.MustParseAddr
	p := probe{from: &place{}, by: "traceroute", want: OK, hops: []netip.Addr{a("10.0.0.1"), a("10.0.0.2")}}
	for _, c := range []struct {
		p    probe
		a    answer
		want string
	}{
		{p, answer{outcome: OK, hops: []netip.Addr{a("10.0.0.1"), a("10.0.0.2")}}, "ok, hops 10.0.0.1 10.0.0.2 true"},
		{p, answer{outcome: OK, hops: []netip.Addr{{}, a("10.0.0.2")}}, "ok, hops * 10.0.0.2 false"},
		{p, answer{outcome: Timeout, hops: []netip.Addr{a("10.0.0.1"), {}}}, "timeout, hops 10.0.0.1 * false"},
		{p, answer{outcome: Unreachable, detail: "no route"}, "unreachable (no route) false"},
		{probe{from: &place{}, want: Timeout}, answer{outcome: OK, ttl: 9}, "ok false"},
		{probe{from: &place{}, want: OK, ttl: 63}, answer{outcome: OK, ttl: 63}, "ok, ttl 63 true"},
		{probe{from: &place{}, want: OK, ttl: 63}, answer{outcome: OK, ttl: 64}, "ok, ttl 64 false"},
		{probe{from: &place{}, want: OK}, answer{outcome: OK, ttl: 9, sees: a("10.0.0.1")}, "ok true"},
		{probe{from: &place{}, want: OK, sees: a("10.0.0.1")}, answer{outcome: OK, sees: a("10.0.0.2")}, "ok, sees 10.0.0.2 false"},
		{probe{from: &place{}, want: OK, wire: &wire{proto: "udp", port: 4789}}, answer{outcome: OK, wire: "only ICMP and UDP 4789"}, "ok, only ICMP and UDP 4789 false"},
		{probe{from: &place{}, want: OK, wire: &wire{proto: "udp", port: 4789}}, answer{outcome: OK, wire: "only UDP 4789"}, "ok, only UDP 4789 true"},
	} {
		r := c.p.result(c.a)
		if got := fmt.Sprint(r.Got, " ", r.Met); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestKindOf(t *testing.T) {
	v4 := func(proto byte, rest ...byte) []byte { return append([]byte{0x45, 8: 64, 9: proto, 19: 0}, rest...) }
	v6 := func(src byte, next byte, rest ...byte) []byte {
		return append([]byte{0x60, 6: next, 8: src, 9: 0x80, 39: 0}, rest...)
	}
	for _, c := range []struct {
		packet []byte
		want   string
	}{
		{v4(17, 0, 1, 0x12, 0xb5, 0, 0), "UDP 4789"}, {v4(6, 0, 1, 0, 80), "TCP 80"}, {v4(1), "ICMP"}, {v4(47), "IP protocol 47"},
		{v4(17), "UDP"}, {v6(0xfd, 17, 0, 1, 0x12, 0xb5), "UDP 4789"}, {v6(0xfd, 58), "ICMPv6"}, {v6(0xfe, 58), ""}, {nil, ""}, {[]byte{0x45}, ""},
	} {
		if got := kindOf(c.packet); got != c.want {
			t.Errorf("% x: got %q, want %q", c.packet, got, c.want)
		}
	}
}

// TestDocs: the file that the documentation shows is one, and its list of labs is complete.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../docs/labs.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "```yaml\n")
	text, _, _ = strings.Cut(text, "```")
	if _, err := Parse("labs.md", []byte(text)); err != nil {
		t.Error(err)
	}
	_, table, _ := strings.Cut(string(page), "| lab | what it shows |\n|---|---|\n")
	for _, name := range Builtins() {
		if !strings.HasPrefix(table, "| `"+name+"` |") {
			t.Errorf("want a line for %s at %.20q", name, table)
		}
		_, table, _ = strings.Cut(table, "\n")
	}
}
