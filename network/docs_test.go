package network

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the listing in docs/networking.md")

const (
	docsPath  = "../docs/networking.md"
	docsBegin = "<!-- rules: written by go test ./network -run Docs -update -->\n"
	docsEnd   = "<!-- end of rules -->\n"
)

// TestDocs compares the listing in the documentation with the rules of a live
// host that has the default network with a published port, a user's network
// and an internal one, both with IPv6.
func TestDocs(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	def := w.find(Bridge)
	web := w.create(CreateOptions{Name: "web", IPv6: true, Subnet: netip.MustParsePrefix("172.20.0.0/24"), Subnet6: netip.MustParsePrefix("fd17:20::/64")})
	closed := w.create(CreateOptions{Name: "closed", IPv6: true, Subnet: netip.MustParsePrefix("172.21.0.0/24"), Subnet6: netip.MustParsePrefix("fd17:21::/64"), Internal: true})
	a := w.start(def, "a", "8080:80", "127.0.0.1:5353:53/udp")
	b := w.start(web, "b", "8081:80")
	w.start(closed, "c")
	var text strings.Builder
	for _, program := range []string{"iptables", "ip6tables"} {
		for _, table := range []string{"raw", "nat", "filter"} {
			rules := w.sh(program + "-nft-save -t " + table + " | grep '^-A' | sed 's/ --comment \"\\(.*\\)\"/ --comment \\1/'")
			fmt.Fprintf(&text, "```\n# %s, table %s\n%s```\n", program, table, rules)
		}
	}
	listing := strings.NewReplacer(short(def.ID), "0b1d6e000000", short(web.ID), "77eb00000000",
		short(closed.ID), "c105ed000000", short(a.ep.ContainerID), "a00000000000", short(b.ep.ContainerID), "b00000000000").Replace(text.String())

	data, err := os.ReadFile(docsPath)
	w.must(err)
	before, rest, ok := strings.Cut(string(data), docsBegin)
	old, after, ok2 := strings.Cut(rest, docsEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the rules", docsPath)
	}
	if *update {
		w.must(os.WriteFile(docsPath, []byte(before+docsBegin+listing+docsEnd+after), 0o644))
		return
	}
	if old != listing {
		t.Errorf("%s is out of date: run go test ./network -run Docs -update. The rules are:\n%s", docsPath, listing)
	}
}
