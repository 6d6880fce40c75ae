package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/minirt/mini/network/port"
	"github.com/minirt/mini/plan"
)

func (w *world) publish(b *box, specs ...string) error {
	_, err := w.m.Publish(context.Background(), b.ep, EndpointSpec{Ports: w.ports(specs...)}, nil)
	return err
}

func (w *world) unpublish(b *box, spec string) error {
	return w.m.Unpublish(context.Background(), b.ep, b.ep.Find(w.ports(spec)[0]), nil)
}

// recorded checks that the record says what the endpoint does, and that the
// chain has exactly the rules on record.
func (w *world) recorded(when string, b *box) {
	w.t.Helper()
	now, err := w.m.Endpoint(networkOf(b.ep), b.ep.ContainerID)
	w.must(err)
	if fmt.Sprint(now.Ports) != fmt.Sprint(b.ep.Ports) || fmt.Sprint(now.Rules) != fmt.Sprint(b.ep.Rules) {
		w.t.Errorf("%s: on record are %v %v, want %v %v", when, now.Ports, now.Rules, b.ep.Ports, b.ep.Rules)
	}
	if n := strings.Count(w.sh(w.m.opt.IPTables+" -t nat -S DOCKER"), "-j DNAT"); n != len(b.ep.Rules) {
		w.t.Errorf("%s: the chain has %d rules, want %d:\n%s", when, n, len(b.ep.Rules), w.sh(w.m.opt.IPTables+" -t nat -S DOCKER"))
	}
	if _, missing, err := w.m.fw().Gaps(context.Background(), b.ep.Rules); len(missing) > 0 || err != nil {
		w.t.Errorf("%s: a rule on record is missing: %v", when, err)
	}
}

// TestPublishWhileRunning: ports come and go, and nothing else does.
func TestPublishWhileRunning(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			w := makeWorld(t, backend, "0")
			def := w.find(Bridge)
			a := w.start(def, "a", "7000-7004:7000-7004")
			w.serveIn(a)
			w.must(w.publish(a, "8080:80", "127.0.0.1:53:53/udp"))
			w.answers("an added port", w.outside, hostAddr+":8080", outsideAddr)
			w.recorded("added", a)
			w.must(w.unpublish(a, "7002:7002")) // one out of a range
			if got := len(a.ep.Rules); got != 4 {
				t.Errorf("%d rules, want two for what is left of the range, and two", got)
			}
			w.recorded("split", a)
			w.must(w.publish(a, "7002:7002"))
			w.recorded("back", a)
			w.must(w.unpublish(a, "8080:80"))
			w.blocked("a withdrawn port", w.outside, hostAddr+":8080")
			b := w.start(def, "b", "8080:80") // so the port is free
			w.stop(b)
			w.recorded("withdrawn", a)
			// Rules that somebody flushed are no reason to fail.
			w.sh(backend + " -t nat -F DOCKER")
			w.must(w.unpublish(a, "7001:7001"))
			w.stop(a)
			if left := w.sh(backend + " -t nat -S DOCKER"); strings.Contains(left, "DNAT") {
				t.Errorf("left behind: %s", left)
			}
		})
	}
}

func TestPublishErrors(t *testing.T) {
	w := makeWorld(t, "iptables-nft", "0")
	a := w.start(w.find(Bridge), "a", "8080:80")
	w.start(w.find(Bridge), "b", "9090:80")
	before := w.traces()
	wantErr(t, "its own port", w.publish(a, "8081:81", "8080:81"), port.ErrInUse, "Bind for 0.0.0.0:8080 failed: port is already allocated (held by container a)")
	wantErr(t, "another's port", w.publish(a, "8081:81", "9090:81"), port.ErrInUse, "(held by container b)")
	wantErr(t, "twice", w.publish(a, "8081:81", "8081:82"), ErrInvalid, "asked for twice")
	closed := w.start(w.create(CreateOptions{Name: "closed", Internal: true}), "c")
	wantErr(t, "on an internal network", w.publish(closed, "8081:81"), ErrInvalid, "network closed is internal")
	w.stop(closed)
	w.must(w.m.Remove(context.Background(), w.find("closed"), nil))
	w.recordedPorts(a, "8080")
	if after := w.traces(); after != before {
		t.Errorf("a refusal changed something:\n%s\nwas:\n%s", after, before)
	}
	w.must(w.publish(a, "8081:81")) // held by nobody
}

func (w *world) recordedPorts(b *box, want string) {
	w.t.Helper()
	now, err := w.m.Endpoint(networkOf(b.ep), b.ep.ContainerID)
	w.must(err)
	var got []string
	for _, p := range now.Ports {
		got = append(got, fmt.Sprint(p.HostPort))
	}
	if strings.Join(got, " ") != want {
		w.t.Errorf("on record are the ports %v, want %s", got, want)
	}
}

func TestFindPorts(t *testing.T) {
	ep := &Endpoint{}
	for _, spec := range []string{"0.0.0.0:80:80", "127.0.0.1:81:80", "0.0.0.0:82:80/udp", "0.0.0.0:83:81", "0.0.0.0:90:90", "[::1]:91:90"} {
		m, err := port.Parse(spec)
		if err != nil {
			t.Fatal(err)
		}
		m[0].Dual = m[0].HostPort == 90
		ep.Ports = append(ep.Ports, m...)
	}
	for spec, want := range map[string]string{
		"80": "[0 1]", "80/udp": "[2]", "81:80": "[1]", "127.0.0.1::80": "[1]", "80-83:80": "[0 1]", "127.0.0.2::80": "[]", "84:81": "[]",
		"90": "[4 5]", "90:90": "[4]", "0.0.0.0:90:90": "[]", "[::]:90:90": "[]", "[::1]::90": "[5]", "[::1]:90:90": "[]",
	} {
		m, err := port.Parse(spec)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(ep.Find(m[0])); got != want {
			t.Errorf("%s: %s, want %s", spec, got, want)
		}
	}
}

// killedBefore applies changes as a process does that is killed before step i of
// the plan: nothing after that is run.
func (w *world) killedBefore(p plan.Plan, i int, changes ...*change) {
	w.t.Helper()
	p.Steps[i].Do = func(context.Context) error { panic("killed") }
	defer func() {
		if r := recover(); r != "killed" {
			w.t.Fatalf("got %v", r)
		}
	}()
	w.t.Errorf("it was not killed: %v", w.m.apply(context.Background(), p, changes, nil))
}

// killedAfter is killedBefore for the moment after step i.
func (w *world) killedAfter(p plan.Plan, i int, changes ...*change) {
	w.t.Helper()
	p.Steps = append(slices.Clone(p.Steps[:i+1]), plan.Step{})
	w.killedBefore(p, i+1, changes...)
}

// TestCrashWhilePublishing: an owner that dies at any step leaves what Drop
// finds, and a plan that fails at any step changes nothing.
func TestCrashWhilePublishing(t *testing.T) {
	w := makeWorld(t, "iptables-legacy", "0")
	ctx, def, boom := context.Background(), w.find(Bridge), errors.New("boom")
	keep := w.start(def, "keep") // the network stays up
	before := w.traces()
	for _, crash := range []string{"intent", "act", "fails"} {
		a := w.start(def, "a", "7000-7004:7000-7004")
		c := changeOf(a.ep)
		added, err := w.m.hold(a.ep, EndpointSpec{Ports: w.ports("8080:80")})
		w.must(err)
		c.next.Ports = append(c.next.Ports, added.Ports...)
		c.next.publish("DOCKER")
		var p plan.Plan
		p.Add(w.m.stepRules("publish", "", missingIn(c.next.Rules, a.ep.Rules), missingIn(a.ep.Rules, c.next.Rules))...)
		switch crash {
		case "intent":
			w.killedBefore(p, 0, c)
		case "act":
			w.killedAfter(p, 0, c)
		case "fails":
			failAt(&p, 0, boom)
			if err := w.m.apply(ctx, p, []*change{c}, nil); !errors.Is(err, boom) {
				t.Fatalf("got %v", err)
			}
			w.recorded("after a failure", a)
		}
		w.must(added.Close())
		found, err := w.m.Endpoint(def, a.ep.ContainerID) // as the next command does
		w.must(err)
		w.must(w.m.Drop(ctx, found, nil))
		w.must(a.ep.Close())
		w.must(w.m.DeleteLink(found))
		if after := w.traces(); after != before {
			t.Errorf("after a crash at %q is left:\n%s\nwas:\n%s", crash, after, before)
		}
	}
	w.stop(keep)
}

// TestDefaultAddressOfAddedPorts is the network's, or what the caller says.
func TestDefaultAddressOfAddedPorts(t *testing.T) {
	w := makeWorld(t, "iptables-nft", "0")
	a := w.start(w.find(Bridge), "a")
	spec := EndpointSpec{Ports: w.ports("81:80", "192.0.2.1:82:80"), HostIP: netip.MustParseAddr("127.0.0.1")}
	added, err := w.m.Publish(context.Background(), a.ep, spec, nil)
	if got := fmt.Sprint(added); err != nil || got != "[127.0.0.1:81->80/tcp 192.0.2.1:82->80/tcp]" {
		t.Errorf("got %s, %v", got, err)
	}
}
