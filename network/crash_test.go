package network

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/netns"
	"github.com/minirt/mini/plan"
)

// TestRollback: a plan that fails at any step leaves what was there before.
func TestRollback(t *testing.T) {
	for _, driver := range []string{"iptables-legacy", NFTables} { // deleting costs 10 ms less than with iptables-nft
		t.Run(driver, func(t *testing.T) { newWorld(t, driver, "0").rollBack() })
	}
}

func (w *world) rollBack() {
	t := w.t
	ctx, before := context.Background(), w.traces()
	def := w.find(Bridge)
	up, err := w.m.UpPlan(def)
	w.must(err)
	boom := errors.New("boom")
	for i := range up.Steps {
		p, err := w.m.UpPlan(def)
		w.must(err)
		failAt(&p, i, boom)
		if err := p.Run(ctx, nil); !errors.Is(err, boom) {
			t.Fatalf("step %d: %v", i, err)
		}
		if after := w.traces(); after != before {
			t.Fatalf("a failure after %q leaves:\n%s", p.Steps[i].Name, after)
		}
	}
	w.must(w.m.Up(ctx, def, nil))
	before = w.traces()
	ns, err := netns.New()
	w.must(err)
	defer ns.Close()
	ep, err := w.m.Reserve(def, w.spec("a", "8080:80", "5353:53/udp"))
	w.must(err)
	defer ep.Close()
	attach, err := w.m.AttachPlan(ep, ns)
	w.must(err)
	for i := range attach.Steps {
		p, err := w.m.AttachPlan(ep, ns)
		w.must(err)
		failAt(&p, i, boom)
		if err := p.Run(ctx, nil); !errors.Is(err, boom) {
			t.Fatalf("step %d: %v", i, err)
		}
		if after := w.traces(); after != before {
			t.Fatalf("a failure after %q leaves:\n%s", p.Steps[i].Name, after)
		}
	}
}

// failAt lets step i do its work and then fail.
func failAt(p *plan.Plan, i int, err error) {
	do := p.Steps[i].Do
	p.Steps[i].Do = func(ctx context.Context) error {
		if do != nil {
			if err := do(ctx); err != nil {
				return err
			}
		}
		return err
	}
}

// TestUpAfterCrash: a network whose bringing up was cut off at any step comes
// up, under the same names, and goes down without a trace.
func TestUpAfterCrash(t *testing.T) {
	// Deleting rules costs 10 ms each with nft, so there only some steps are tried.
	for backend, stride := range map[string]int{"iptables-nft": 5, "iptables-legacy": 1, NFTables: 1} {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			ctx, before := context.Background(), w.traces()
			def := w.find(Bridge)
			up, err := w.m.UpPlan(def)
			w.must(err)
			for i := 0; i < len(up.Steps); i += stride {
				w.crashUp(def, i)
				w.must(w.m.Up(ctx, def, nil))
				if mk, err := w.m.readMark(def); err != nil || mk.Bridge != "mini0" || mk.Prefix != "DOCKER" {
					t.Fatalf("after a crash at %q the network is %+v, %v", up.Steps[i].Name, mk, err)
				}
				w.must(w.m.Down(ctx, def, nil))
				if after := w.traces(); after != before {
					t.Fatalf("after a crash at %q is left:\n%s", up.Steps[i].Name, after)
				}
			}
		})
	}
}

// crashUp does what Up does until step i, and then no more. It gives the number of
// all steps.
func (w *world) crashUp(n *Network, i int) (steps int) {
	w.t.Helper()
	unlock, err := lock(w.m.statePath("networks.lock"), unix.LOCK_EX)
	w.must(err)
	defer unlock()
	chains, err := w.m.startChains(n.ruleFamilies())
	w.must(err)
	mk, err := w.m.layout(n, chains.Prefix)
	w.must(err)
	w.must(os.MkdirAll(w.m.netDir(n), 0o700))
	w.must(replaceJSON(w.m.markPath(n), mk))
	p := w.m.upPlan(n, mk, chains)
	steps = len(p.Steps)
	p.Steps = p.Steps[:min(i, steps)]
	w.must(p.Run(context.Background(), nil))
	return steps
}

// TestLinkOutlivesContainer: a pair that stays with its namespace is deleted,
// and is not in the way of the container's next life.
func TestLinkOutlivesContainer(t *testing.T) {
	w := newWorld(t, "iptables-legacy", "0")
	def, ctx := w.find(Bridge), context.Background()
	a := w.start(def, "a")
	// The namespace stays open, as an unanswered TCP connection keeps it.
	w.must(w.m.Drop(ctx, a.ep, nil))
	if !strings.Contains(w.sh("ip link"), a.ep.HostLink) {
		t.Fatal("the pair went by itself: this test shows nothing")
	}
	spec := w.spec("a")
	spec.ContainerID = a.ep.ContainerID
	again, err := w.m.Reserve(def, spec)
	w.must(err)
	defer again.Close()
	again.HostLink = a.ep.HostLink // in one restart of some thousands
	ns, err := netns.New()
	w.must(err)
	defer ns.Close()
	p, err := w.m.AttachPlan(again, ns)
	w.must(err)
	w.must(p.Run(ctx, nil))
	if ports := w.sh("ip link show master mini0"); !strings.Contains(ports, again.HostLink) {
		t.Errorf("the second life is not on the bridge:\n%s", ports)
	}
	w.must(w.m.Drop(ctx, again, nil))
	for range 2 { // the second time there is nothing to do
		w.must(w.m.DeleteLink(again))
	}
	if strings.Contains(w.sh("ip link"), again.HostLink) {
		t.Error("the pair is still there")
	}
}

func TestDisconnect(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	n := w.create(CreateOptions{Name: "web"})
	a := w.start(n, "a", "8080:80")
	w.must(w.m.DisconnectPlan(a.ep, a.ns).RunAll(context.Background(), nil))
	w.must(w.m.DisconnectPlan(a.ep, a.ns).RunAll(context.Background(), nil))
	w.must(w.m.DetachPlan(a.ep).RunAll(context.Background(), nil))
	w.must(w.m.Release(a.ep))
	w.must(w.m.Release(a.ep))
	w.in(a.ns, func() error {
		if got := w.sh("ip -o link"); strings.Contains(got, "eth0") {
			t.Errorf("the container still has %s", got)
		}
		return nil
	})
	removed, err := w.m.Prune(context.Background(), nil, nil)
	w.must(err)
	if strings.Join(removed, " ") != "web" {
		t.Errorf("pruned %q, want web", removed)
	}
}

// TestDropAfterCrashInTheFirstRecord: an owner killed before its record had its
// name leaves a file that Drop finds and takes away.
func TestDropAfterCrashInTheFirstRecord(t *testing.T) {
	w := newWorld(t, "iptables-legacy", "0")
	def, id := w.find(Bridge), strings.Repeat("a", 64)
	w.must(os.MkdirAll(w.m.endpointDir(def), 0o700))
	tmp := tempPath(w.m.endpointPath(def, id))
	for _, file := range []string{tmp, w.m.endpointPath(def, id)} {
		w.must(os.WriteFile(file, []byte(`{"network`), 0o600))
		ep, err := w.m.Endpoint(def, id)
		w.must(err)
		w.must(w.m.Drop(context.Background(), ep, nil))
		if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", file, err)
		}
	}
	if _, err := w.m.Endpoint(def, id); !errors.Is(err, ErrNotFound) {
		t.Errorf("the container is still connected: %v", err)
	}
}

// TestForeignLinksStay: a link of ours was deleted, and somebody made one of the
// same name without an alias. It is not ours.
func TestForeignLinksStay(t *testing.T) {
	w := newWorld(t, "iptables-legacy", "0")
	ctx, def := context.Background(), w.find(Bridge)
	a := w.start(def, "a")
	w.sh("ip link del " + a.ep.HostLink + "; ip link add other0 type bridge; ip link add " + a.ep.HostLink + " master other0 type veth")
	w.must(w.m.DetachPlan(a.ep).RunAll(ctx, nil))
	w.must(w.m.DisconnectPlan(a.ep, a.ns).RunAll(ctx, nil))
	if got := w.sh("ip -o link show " + a.ep.HostLink); !strings.Contains(got, "master other0") {
		t.Errorf("somebody else's link is now %s", got)
	}
	w.must(w.m.Release(a.ep))
	w.sh("ip link del mini0; ip link add mini0 type bridge")
	w.must(w.m.Down(ctx, def, nil))
	w.sh("ip link show mini0")
}

// TestUntaggedLinksGo: what a crash between making and tagging leaves is ours.
func TestUntaggedLinksGo(t *testing.T) {
	w := newWorld(t, "iptables-legacy", "0")
	ctx, def := context.Background(), w.find(Bridge)
	a := w.start(def, "a")
	w.sh("ip link set " + a.ep.HostLink + " alias ''; ip link set mini0 alias ''")
	w.must(w.m.DisconnectPlan(a.ep, a.ns).RunAll(ctx, nil))
	w.must(w.m.Release(a.ep))
	w.must(w.m.Down(ctx, def, nil))
	if got := w.sh("ip -o link show"); strings.Contains(got, a.ep.HostLink) || strings.Contains(got, "mini0") {
		t.Errorf("left behind: %s", got)
	}
}

// TestRuleProgramsShareTheLock: what adds and removes the rules of a network has
// the lock for doing so.
func TestRuleProgramsShareTheLock(t *testing.T) {
	w := newWorld(t, "iptables-legacy", "0")
	dir, ctx, def := t.TempDir(), context.Background(), w.find(Bridge)
	for _, name := range []string{"", "-restore", "-save"} {
		script := "#!/bin/sh\nls -l /proc/$$/fd >>" + dir + "/seen" + name + "\nexec iptables-legacy" + name + " \"$@\"\n"
		w.must(os.WriteFile(dir+"/ipt"+name, []byte(script), 0o700))
	}
	opt := w.m.opt
	opt.IPTables = dir + "/ipt"
	m, err := Open(opt)
	w.must(err)
	defer m.Close()
	for _, do := range []func(context.Context, *Network, plan.Observer) error{m.Up, m.Down} {
		w.must(do(ctx, def, nil))
		seen, err := os.ReadFile(dir + "/seen-restore")
		w.must(err)
		if runs, locks := strings.Count(string(seen), "total"), strings.Count(string(seen), "networks.lock"); runs == 0 || locks != runs {
			t.Errorf("of %d programs %d had the lock", runs, locks)
		}
		w.must(os.Remove(dir + "/seen-restore"))
	}
}
