package network

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/minirt/mini/network/firewall"
)

// older makes of the rules of a network that is up what another version of mini
// could have made: without one of the shared chains.
func (w *world) older(n *Network) {
	w.t.Helper()
	s, err := w.m.chainState()
	w.must(err)
	mk, err := w.m.readMark(n)
	w.must(err)
	gone := firewall.Chain{Table: "nat", Name: s.Prefix + "-OUT"}
	var drop, add []firewall.Rule
	mk.Rules = slices.DeleteFunc(mk.Rules, func(r firewall.Rule) bool {
		if r.Home() != gone {
			return false
		}
		drop = append(drop, r)
		if slices.Contains(r.Spec, "MASQUERADE") {
			r.Chain, r.First = "POSTROUTING", false
			add = append(add, r)
		}
		return true
	})
	mk.Rules = append(mk.Rules, add...)
	s.Rules = slices.DeleteFunc(s.Rules, func(r firewall.Rule) bool {
		if !slices.Contains(r.Spec, gone.Name) {
			return false
		}
		drop = append(drop, r)
		return true
	})
	s.Chains = slices.DeleteFunc(s.Chains, func(c firewall.Chain) bool { return c == gone })
	w.must(replaceJSON(w.m.markPath(n), mk))
	w.must(replaceJSON(w.m.chainPath(), s))
	w.must(w.m.fw().Replace(context.Background(), drop, add))
	_, err = w.m.fw().DeleteChain(gone)
	w.must(err)
}

// chains gives the rules of each chain in their order, whichever chain is the
// older one.
func (w *world) chains() string {
	w.t.Helper()
	all := strings.Split(strings.TrimSuffix(strings.TrimSpace(w.ruleset()), "\n}"), "\n\n")
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// TestRenew: a mini that was updated brings the rules of the version before up to
// date, for the containers that run, too, and also when it is killed meanwhile.
func TestRenew(t *testing.T) {
	for _, backend := range drivers {
		for steps := range 5 {
			t.Run(fmt.Sprintf("%s, after %d steps", backend, steps), func(t *testing.T) {
				w := newWorld(t, backend, "0")
				before := w.traces()
				ctx, def := context.Background(), w.find(Bridge)
				a := w.start(def, "a", "8080:80")
				w.serveIn(a)
				want := w.chains()
				w.older(def)
				s, err := w.m.chainState()
				w.must(err)
				p, err := w.m.renewPlan(s)
				w.must(err)
				for _, step := range p.Steps[:steps] {
					w.must(step.Do(ctx)) // then it is killed
				}
				w.must(w.m.Up(ctx, def, nil))
				if steps == 0 && !strings.Contains(strings.Join(w.notices, "\n"), "another version of mini") {
					t.Errorf("the notices are %q", w.notices)
				}
				w.answers("outside", w.outside, hostAddr+":8080", outsideAddr)
				if got := w.chains(); got != want {
					t.Errorf("the rules are\n%s\nwant\n%s", got, want)
				}
				w.stop(a)
				w.must(w.m.Down(ctx, def, nil))
				if after := w.traces(); after != before {
					t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
				}
			})
		}
	}
}

// TestRenewByOthers: a reload does it, doctor, and another network that comes up.
func TestRenewByOthers(t *testing.T) {
	for _, backend := range drivers {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			ctx, def, web := context.Background(), w.find(Bridge), w.create(CreateOptions{Name: "web"})
			w.must(w.m.Up(ctx, def, nil))
			want := w.chains()
			w.older(def)
			w.must(w.m.Reload(ctx, def, nil))
			if got := w.chains(); got != want {
				t.Errorf("reloaded:\n%s\nwant\n%s", got, want)
			}
			w.older(def)
			found, err := w.m.Diagnose(ctx, Census{})
			w.must(err)
			if wrong := slices.DeleteFunc(slices.Clone(found), func(f Finding) bool { return !isWrong(f) }); len(wrong) != 1 || !strings.Contains(wrong[0].What, "another version") {
				t.Errorf("doctor found %+v", wrong)
			}
			w.must(w.m.Repair(ctx, found, nil))
			if got := w.chains(); got != want {
				t.Errorf("repaired by doctor:\n%s\nwant\n%s", got, want)
			}
			w.must(w.m.Up(ctx, web, nil))
			both := w.rules()
			w.must(w.m.Down(ctx, web, nil))
			w.older(def)
			w.must(w.m.Up(ctx, web, nil))
			if got := w.rules(); got != both {
				t.Errorf("with another network:\n%s\nwant\n%s", got, both)
			}
		})
	}
}

// TestRenewBeforeIPv6: a network with IPv6 that was brought up by a mini that knew
// none comes up once more.
func TestRenewBeforeIPv6(t *testing.T) {
	for _, backend := range drivers {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			ctx, def, six := context.Background(), w.find(Bridge), w.create(CreateOptions{Name: "six", IPv6: true})
			w.must(w.m.Up(ctx, def, nil))
			w.must(w.m.Up(ctx, six, nil))
			want := w.rules()
			w.withoutIPv6(six)
			w.older(def)
			w.must(w.m.Up(ctx, def, nil))
			if mk, err := w.m.readMark(six); err != nil || mk.Ready {
				t.Errorf("got %+v, %v, want a network that is half up", mk, err)
			}
			w.must(w.m.Up(ctx, six, nil))
			if got := w.rules(); got != want {
				t.Errorf("the rules are\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// withoutIPv6 takes the rules and chains of IPv6 away, and off the records.
func (w *world) withoutIPv6(n *Network) {
	w.t.Helper()
	ctx := context.Background()
	s, err := w.m.chainState()
	w.must(err)
	mk, err := w.m.readMark(n)
	w.must(err)
	isV6 := func(r firewall.Rule) bool { return r.V6 }
	var drop []firewall.Rule
	for _, r := range slices.Concat(s.Rules, mk.Rules) {
		if r.V6 {
			drop = append(drop, r)
		}
	}
	w.must(w.m.fw().RemoveAll(ctx, drop))
	chains := slices.DeleteFunc(slices.Clone(s.Chains), func(c firewall.Chain) bool { return !c.V6 })
	_, err = w.m.fw().DeleteChains(ctx, chains)
	w.must(err)
	mk.Rules = slices.DeleteFunc(mk.Rules, isV6)
	s.forget(true)
	s.MadeUser6 = false
	w.must(replaceJSON(w.m.markPath(n), mk))
	w.must(replaceJSON(w.m.chainPath(), s))
}
