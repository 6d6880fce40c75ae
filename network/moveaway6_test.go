package network

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// comes6 and goes6 are what a dockerd does to chains of IPv6.
var (
	comes6 = strings.ReplaceAll(dockerComes, "127.0.0.0/8", "::1/128")
	goes6  = strings.ReplaceAll(dockerGoes, "127.0.0.0/8", "::1/128")
)

// TestMoveAway6: when a Docker comes to the chains of one family or of both, the
// rules of both move, also when the move is cut short after any of its steps.
func TestMoveAway6(t *testing.T) {
	for backend, most := range map[string]int{"iptables-legacy": 5, "iptables-nft": 1} {
		for _, to := range []string{"IPv4", "IPv6", "both"} {
			for steps := range most {
				t.Run(fmt.Sprintf("%s, %s, after %d steps", backend, to, steps), func(t *testing.T) {
					w := newWorld(t, backend, "0")
					come, go6 := "", ""
					if to != "IPv6" {
						come, go6 = "ipt="+backend+dockerComes, "ipt="+backend+dockerGoes
					}
					if to != "IPv4" {
						come, go6 = come+"\nipt="+w.ip6tables()+comes6, go6+"\nipt="+w.ip6tables()+goes6
					}
					w.moveAndBack(come, go6, steps)
				})
			}
		}
	}
}

func (w *world) moveAndBack(come, goes string, steps int) {
	w.t.Helper()
	ctx, before := context.Background(), w.traces()
	def, both := w.find(Bridge), w.both("both", 1)
	a, b := w.start(def, "a", "8080:80"), w.start(both, "b", "8081:80", "[::]:8082:80")
	w.serveIn(a)
	w.serveIn(b)
	w.sh(come)
	s, err := w.m.chainState()
	w.must(err)
	p, err := w.m.movePlan(s, nil)
	w.must(err)
	for _, step := range p.Steps[:steps] {
		w.must(step.Do(ctx)) // then it is killed
	}
	w.must(w.m.Reload(ctx, both, nil))
	w.must(w.m.Reload(ctx, def, nil))
	w.answers("outside to a", w.outside, hostAddr+":8080", outsideAddr)
	w.answers("outside to b", w.outside, hostAddr+":8081", outsideAddr)
	w.moved()
	if rules := w.sh(w.ip6tables() + "-save -t nat"); strings.Count(rules, "-A MINI -p tcp -m tcp --dport 808") != 2 {
		w.t.Errorf("the rules of IPv6 are:\n%s", rules)
	}
	once := w.traces()
	w.must(w.m.Reload(ctx, both, nil))
	if again := w.traces(); again != once {
		w.t.Errorf("a second reload changes\n%s\nto\n%s", once, again)
	}
	w.stop(a)
	w.stop(b)
	w.must(w.m.Down(ctx, def, nil))
	w.must(w.m.Remove(ctx, both, nil))
	w.sh(goes)
	w.waitForVeths()
	if after := w.traces(); after != before {
		w.t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}
}

// moved wants all of mini's rules in chains MINI, and the record to say so.
func (w *world) moved() {
	w.t.Helper()
	for _, ipt := range []string{w.m.opt.IPTables, w.ip6tables()} {
		rules := w.sh(ipt + "-save | grep mini:")
		if strings.Contains(rules, "DOCKER-FORWARD") || strings.Contains(rules, "-j DOCKER\n") || !strings.Contains(rules, "-j MINI-FORWARD") {
			w.t.Errorf("the rules of %s are:\n%s", ipt, rules)
		}
	}
	if s, err := w.m.chainState(); err != nil || s.Prefix != "MINI" || s.Moving || !s.up(false) || !s.up(true) {
		w.t.Errorf("the chains are %+v, %v", s, err)
	}
}

// TestMakeRoom: somebody has chains DOCKER of IPv6 only, and the first network with
// IPv6 comes when mini's chains DOCKER of IPv4 are in use: all move, also when the
// first try is cut short.
func TestMakeRoom(t *testing.T) {
	for backend, most := range map[string]int{"iptables-legacy": 5, "iptables-nft": 1} {
		for steps := range most {
			t.Run(fmt.Sprintf("%s, after %d steps", backend, steps), func(t *testing.T) {
				newWorld(t, backend, "0").makeRoom(steps)
			})
		}
	}
}

func (w *world) makeRoom(steps int) {
	w.t.Helper()
	ctx, ipt := context.Background(), w.ip6tables()
	w.sh(ipt + " -t nat -N DOCKER; " + ipt + " -t nat -A PREROUTING -j DOCKER; " + ipt + " -t nat -A DOCKER -p tcp --dport 1 -j RETURN")
	before := w.traces()
	def, both := w.find(Bridge), w.both("both", 1)
	a := w.start(def, "a", "8080:80")
	w.serveIn(a)
	s, err := w.m.chainState()
	w.must(err)
	if s.Prefix != "DOCKER" {
		w.t.Fatalf("the chains of the first network are %+v", s)
	}
	p, err := w.m.movePlan(s, []bool{true})
	w.must(err)
	for _, step := range p.Steps[:steps] {
		w.must(step.Do(ctx)) // then it is killed
	}
	b := w.start(both, "b", "8081:80")
	w.serveIn(b)
	w.moved()
	w.answers("outside to a", w.outside, hostAddr+":8080", outsideAddr)
	w.answers("outside to b", w.outside, hostAddr+":8081", outsideAddr)
	w.stop(a)
	w.stop(b)
	w.must(w.m.Down(ctx, def, nil))
	w.must(w.m.Remove(ctx, both, nil))
	w.waitForVeths()
	if after := w.traces(); after != before {
		w.t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}
}

// TestNoRoom: where mini's names are taken and it may not choose others, nothing
// comes up, and the error says what helps.
func TestNoRoom(t *testing.T) {
	w := newWorld(t, "iptables-legacy", "0")
	ctx, ipt := context.Background(), w.ip6tables()
	w.sh("iptables-legacy -t nat -N DOCKER; " + ipt + " -t nat -N MINI")
	def, both := w.find(Bridge), w.both("both", 1)
	w.must(w.m.Up(ctx, def, nil))
	before := w.traces()
	wantErr(t, "a network with IPv6", w.m.Up(ctx, both, nil), ErrInUse, "somebody else has chains MINI that network both needs: take all networks down with mini network down, then use --chain-prefix")
	if after := w.traces(); after != before {
		t.Errorf("changed:\n%s\nbefore:\n%s", after, before)
	}
	w.must(w.m.Down(ctx, def, nil))
	// Both families are looked at when a network with both is the first.
	w.must(w.m.Up(ctx, both, nil))
	if mk, err := w.m.readMark(both); err != nil || mk.Prefix != "MINI2" {
		t.Errorf("the network is %+v, %v, want the prefix MINI2", mk, err)
	}
	w.must(w.m.Down(ctx, both, nil))
}
