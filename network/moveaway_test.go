package network

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/minirt/mini/plan"
)

// dockerComes does what a dockerd does to mini's chains when it starts.
const dockerComes = `
	$ipt -t nat -F DOCKER
	$ipt -N DOCKER
	$ipt -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
	$ipt -t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
	$ipt -t nat -A DOCKER -i docker0 -j RETURN
	$ipt -I FORWARD -o docker0 -j DOCKER`

const dockerGoes = `
	$ipt -D FORWARD -o docker0 -j DOCKER
	$ipt -X DOCKER
	for c in PREROUTING OUTPUT; do $ipt -t nat -S $c | grep -v mini: | grep '^-A' | sed 's/^-A/-D/' | while read -r r; do $ipt -t nat $r; done; done
	$ipt -t nat -F DOCKER
	$ipt -t nat -X DOCKER`

// TestMoveBeforeAChange: a change that was planned before a move is refused, and
// changes nothing.
func TestMoveBeforeAChange(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	ctx, def := context.Background(), w.find(Bridge)
	a := w.start(def, "a", "8080:80")
	c := changeOf(a.ep)
	c.next.Ports, c.next.Rules = nil, nil
	p := plan.Plan{Title: "unpublish"}
	p.Add(w.m.stepRules("unpublish", "", a.ep.Rules, nil)...)
	w.sh("ipt=iptables-nft" + dockerComes)
	w.must(w.m.Reload(ctx, def, nil))
	rules := w.sh("iptables-nft-save -t nat | grep dport")
	wantErr(t, "the change", w.m.apply(ctx, p, []*change{c}, nil), nil, "have just moved to MINI: try again")
	if now := w.sh("iptables-nft-save -t nat | grep dport"); now != rules {
		t.Errorf("it changed\n%s\nto\n%s", rules, now)
	}
	w.must(w.m.Unpublish(ctx, a.ep, []int{0}, nil))
	if now := w.sh("iptables-nft-save -t nat | grep dport || true"); now != "" {
		t.Errorf("left:\n%s", now)
	}
}

// TestMoveAway: when a Docker comes, mini's rules move to other chains, also when
// the move is cut short after any of its steps. The containers, which know
// only the old rules, leave nothing behind.
func TestMoveAway(t *testing.T) {
	for _, backend := range backends {
		for steps := range 5 {
			t.Run(fmt.Sprintf("%s, after %d steps", backend, steps), func(t *testing.T) {
				w := newWorld(t, backend, "0")
				ctx, before, def := context.Background(), w.traces(), w.find(Bridge)
				web := w.create(CreateOptions{Name: "web"})
				a, b := w.start(def, "a", "8080:80"), w.start(web, "b", "8081:80", "127.0.0.1:8082:80")
				w.serveIn(a)
				w.serveIn(b)
				w.sh("ipt=" + backend + dockerComes)
				w.blocked("outside, with the rules gone", w.outside, hostAddr+":8080")
				s, err := w.m.chainState()
				w.must(err)
				p, err := w.m.movePlan(s, nil)
				w.must(err)
				for _, step := range p.Steps[:steps] {
					w.must(step.Do(ctx)) // then it is killed
				}
				w.must(w.m.Reload(ctx, def, nil))
				w.must(w.m.Reload(ctx, web, nil))
				w.answers("outside to a", w.outside, hostAddr+":8080", outsideAddr)
				w.answers("outside to b", w.outside, hostAddr+":8081", outsideAddr)
				w.blocked("a to b", a.ns, w.addr(b)+":80")
				rules := w.sh(backend + "-save")
				if strings.Contains(rules, "-j DOCKER-FORWARD") || strings.Count(rules, "--dport 808") != 3 {
					t.Errorf("the rules are:\n%s", rules)
				}
				if s, err := w.m.chainState(); err != nil || s.Prefix != "MINI" || s.Moving {
					t.Errorf("the chains are %+v, %v", s, err)
				}
				once := w.traces()
				w.must(w.m.Reload(ctx, def, nil))
				if again := w.traces(); again != once {
					t.Errorf("a second reload changes\n%s\nto\n%s", once, again)
				}
				_, err = w.m.Publish(ctx, a.ep, EndpointSpec{Ports: w.ports("8083:80")}, nil)
				w.must(err)
				w.answers("outside to a port of later", w.outside, hostAddr+":8083", outsideAddr)
				w.stop(a)
				w.stop(b)
				if rules := w.sh(backend + "-save -t nat"); strings.Contains(rules, "--dport") {
					t.Errorf("rules of containers are left:\n%s", rules)
				}
				w.must(w.m.Down(ctx, def, nil))
				w.must(w.m.Remove(ctx, web, nil))
				w.sh("ipt=" + backend + dockerGoes)
				w.waitForVeths()
				if after := w.traces(); after != before {
					t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
				}
			})
		}
	}
}
