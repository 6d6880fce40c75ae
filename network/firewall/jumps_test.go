package firewall

import (
	"context"
	"os/exec"
	"strings"
	"testing"
)

// TestJumpsStand: what somebody does to the jumps is seen without a program.
func TestJumpsStand(t *testing.T) {
	everywhere(t, func(t *testing.T, tool *Tool, f family) {
		program := strings.Replace(tool.path, "iptables", f.program(), 1)
		ctx := context.Background()
		b, err := tool.Backend()
		must(t, err)
		var rules []Rule
		for _, owner := range []string{"host", "host-12345678"} { // two minis
			set := Base(map[string]string{"host": "DOCKER"}[owner]+"X", owner, bool(f))
			rules = nil
			for _, c := range set.Chains {
				_, err := tool.EnsureChain(c.Chain)
				must(t, err)
			}
			for _, r := range set.Rules {
				rules = append(rules, r.Rule)
			}
			must(t, tool.AddAll(ctx, rules))
		}
		stands := func(when string, rules []Rule, want bool) {
			t.Helper()
			got, err := JumpsStand(b, rules)
			if must(t, err); got != want {
				t.Errorf("%s: got %v, want %v", when, got, want)
			}
		}
		var first []Rule
		for _, r := range Base("DOCKERX", "host", bool(f)).Rules {
			first = append(first, r.Rule)
		}
		stands("at first", rules, true)
		stands("below another mini", first, true)
		for _, hurt := range []struct{ do, undo string }{
			{"-I FORWARD -j ACCEPT", "-D FORWARD 1"},
			{"-t raw -I PREROUTING -p tcp -j ACCEPT", "-t raw -D PREROUTING 1"},
			{"-D FORWARD 2", ""}, {"-D FORWARD 1", ""}, {"-F FORWARD", ""},
			{"-t nat -F PREROUTING", ""}, {"-t nat -F OUTPUT", ""}, {"-t raw -F PREROUTING", ""},
		} {
			must(t, runAll(program, hurt.do))
			stands("after "+hurt.do, rules, false)
			if hurt.undo != "" {
				must(t, runAll(program, hurt.undo))
			} else {
				for _, r := range rules {
					_ = tool.Remove(ctx, r)
				}
				must(t, tool.AddAll(ctx, rules))
			}
			stands("repaired after "+hurt.do, rules, true)
		}
		user := rules[len(rules)-1]
		must(t, tool.Remove(ctx, user))
		user.First = false
		must(t, tool.Add(ctx, user))
		stands("with the administrator's jump last", rules, false)
		// Others' rules below ours do not matter.
		must(t, tool.Remove(ctx, user))
		must(t, tool.Add(ctx, rules[len(rules)-1]))
		must(t, runAll(program, "-A FORWARD -j DROP"))
		stands("above somebody's rule", rules, true)
	})
}

func runAll(path, args string) error {
	return exec.Command("sh", "-c", path+" "+args).Run()
}

func BenchmarkJumpsStand(b *testing.B) {
	for _, program := range []string{"iptables-nft", "iptables-legacy"} {
		b.Run(program, func(b *testing.B) {
			enter(b)
			benchJumps(b, New(program))
		})
	}
}

func benchJumps(b *testing.B, tool *Tool) {
	backend, err := tool.Backend()
	must(b, err)
	var rules []Rule
	set := Base("DOCKER", "host", false)
	for _, c := range set.Chains {
		_, err := tool.EnsureChain(c.Chain)
		must(b, err)
	}
	for _, r := range set.Rules {
		rules = append(rules, r.Rule)
	}
	must(b, tool.AddAll(context.Background(), rules))
	for b.Loop() {
		if ok, err := JumpsStand(backend, rules); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
