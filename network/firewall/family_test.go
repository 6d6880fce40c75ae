package firewall

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMixedLists: one operation takes rules and chains of both families, and parts
// them.
func TestMixedLists(t *testing.T) {
	backends(t, func(t *testing.T, tool *Tool) {
		ctx := context.Background()
		var chains []Chain
		var all []Rule
		for _, f := range families {
			chains, all = append(chains, f.chain("nat", "TEST")), append(all, f.rules(3)...)
		}
		if made, ok, err := tool.AddTogether(ctx, chains, all); len(made) != 2 || !ok || err != nil {
			t.Fatalf("made %v, ok %v, error %v, want two chains", made, ok, err)
		}
		there := func(when string, want ...int) {
			t.Helper()
			for i, c := range chains {
				list, err := tool.List(c)
				if must(t, err); len(list) != want[i] {
					t.Errorf("%s %s has %d rules, want %d", when, c, len(list), want[i])
				}
			}
		}
		there("together,", 3, 3)
		must(t, tool.Remove(ctx, all[4]))
		there("with one removed,", 3, 2)
		drop, add, err := tool.Gaps(ctx, all)
		if must(t, err); len(drop) != 2 || len(add) != 3 || !drop[0].V6 || !add[2].V6 {
			t.Errorf("one rule of IPv6 is missing: drop %v, add %v", drop, add)
		}
		must(t, tool.Replace(ctx, drop, add))
		there("repaired,", 3, 3)
		must(t, tool.RemoveAll(ctx, all[1:5]))
		there("with some removed,", 1, 1)
		l, err := tool.Listing(ctx, true)
		must(t, err)
		if l.Find(all[0]) != 0 || l.Find(all[5]) != 0 || l.Find(all[1]) != -1 {
			t.Errorf("the listing has %+v", l.Chains)
		}
		bad := append(all[1:5:5], family(true).rule("nat", "TEST", "", "x", "NOTHING"))
		if err := tool.AddAll(ctx, bad); err == nil {
			t.Error("a jump to nowhere was added")
		}
		there("after a failure of the second family,", 1, 1)
		must(t, tool.RemoveAll(ctx, all))
		stay, err := tool.DeleteChains(ctx, chains)
		if must(t, err); len(stay) > 0 {
			t.Errorf("%v stay", stay)
		}
		for _, program := range []string{tool.path, strings.Replace(tool.path, "iptables", "ip6tables", 1)} {
			if out, err := exec.Command(program+"-save", "-t", "nat").Output(); err != nil || strings.Contains(string(out), "TEST") {
				t.Errorf("%s-save: error %v, left:\n%s", program, err, out)
			}
		}
	})
}

// TestRulesAreReadAsWritten: a listing has each rule in the words in which it was
// given, so that nobody must ask the program for it.
func TestRulesAreReadAsWritten(t *testing.T) {
	everywhere(t, func(t *testing.T, tool *Tool, f family) {
		s, ctx := samples(t)[f], context.Background()
		base := Base("DOCKER", "host", bool(f))
		for _, c := range base.Chains {
			must(t, ensureChain(tool, c.Chain))
		}
		var all []Rule
		for _, r := range base.Rules {
			all = append(all, r.Rule)
		}
		_, cfgs := s.networks()
		for _, c := range cfgs {
			for _, r := range Bridge(c) {
				all = append(all, r.Rule)
			}
		}
		all = append(all, Publish("DOCKER", "a1b2c3d4e5f6:web", s.ports, s.ip, s.ip6)...)
		all = append(all, Open("DOCKER", "a1b2c3d4e5f6:web", s.ports, s.ip, s.ip6)...)
		must(t, tool.AddAll(ctx, all))
		l, err := tool.Listing(ctx, true)
		must(t, err)
		for _, r := range all {
			if l.Find(r) < 0 {
				t.Errorf("not found: %s", r.AddCommand())
			}
		}
	})
}

// install makes programs in a directory: each runs another one, and notes that in
// the file ran. It gives the path of iptables.
func install(t *testing.T, programs map[string]string) (path string) {
	t.Helper()
	dir := t.TempDir()
	for name, target := range programs {
		for _, suffix := range []string{"", "-save", "-restore"} {
			script := "#!/bin/sh\necho " + name + suffix + " >>" + dir + "/ran\nexec " + target + suffix + " \"$@\"\n"
			must(t, os.WriteFile(filepath.Join(dir, name+suffix), []byte(script), 0o700))
		}
	}
	return filepath.Join(dir, "iptables")
}

// TestNoIP6tables: without rules of IPv6 nobody asks for ip6tables, and with one the
// error says where it was looked for.
func TestNoIP6tables(t *testing.T) {
	enter(t)
	path := install(t, map[string]string{"iptables": "iptables-legacy"})
	tool, ctx := New(path), context.Background()
	_, _, err := tool.AddTogether(ctx, []Chain{{Table: "nat", Name: "TEST"}}, rules(3))
	must(t, err)
	_, err = tool.OtherListing(ctx, false)
	must(t, err)
	must(t, tool.RemoveAll(ctx, rules(3)))
	_, err = tool.DeleteChains(ctx, []Chain{{Table: "nat", Name: "TEST"}})
	must(t, err)
	dir := filepath.Dir(path)
	want := "finding the program for IPv6: neither " + dir + "/ip6tables nor " + dir + "/ip6tables-legacy exists and is of the back end of " + path + ": networks with IPv6 need it"
	if _, err := tool.HasChain(Chain{Table: "nat", Name: "TEST", V6: true}); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if err := tool.AddAll(ctx, family(true).rules(1)); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	other := filepath.Join(dir, "ipt")
	must(t, os.Rename(path, other))
	want = "the name of " + other + " does not contain iptables"
	if err := New(other).AddAll(ctx, family(true).rules(1)); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestIP6tablesOfTheSameBackEnd: the one beside iptables is taken, unless it is of
// the other back end.
func TestIP6tablesOfTheSameBackEnd(t *testing.T) {
	enter(t)
	for _, c := range []struct{ v4, v6, want string }{
		{"iptables-nft", "ip6tables-nft", "ip6tables"},
		{"iptables-legacy", "ip6tables-legacy", "ip6tables"},
		{"iptables-nft", "ip6tables-legacy", "ip6tables-nft"},
		{"iptables-legacy", "ip6tables-nft", "ip6tables-legacy"},
	} {
		path := install(t, map[string]string{
			"iptables": c.v4, "ip6tables": c.v6, "ip6tables-nft": "ip6tables-nft", "ip6tables-legacy": "ip6tables-legacy",
		})
		got, err := New(path).program(true)
		if must(t, err); filepath.Base(got) != c.want {
			t.Errorf("beside an iptables that is %s, with an ip6tables that is %s: got %s, want %s", c.v4, c.v6, filepath.Base(got), c.want)
		}
	}
}
