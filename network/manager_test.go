package network

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/minirt/mini/ipam"
	"github.com/minirt/mini/network/netns"
	"github.com/minirt/mini/network/port"
)

// wantErr checks an error's kind and text.
func wantErr(t *testing.T, what string, err, kind error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) || (kind != nil && !errors.Is(err, kind)) {
		t.Errorf("%s: got %v, want %q", what, err, text)
	}
}

func TestDefinitions(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	all, err := w.m.List()
	w.must(err)
	var names []string
	for _, n := range all {
		names = append(names, n.Name+"/"+n.Driver)
	}
	if got := strings.Join(names, " "); got != "bridge/bridge host/host none/null" {
		t.Errorf("an empty host has %s", got)
	}
	def := w.find(Bridge)
	if def.Subnet.String() != "172.17.0.0/24" || def.Gateway.String() != "172.17.0.1" || def.Bridge != "mini0" {
		t.Errorf("the default network is %+v", def)
	}
	web := w.create(CreateOptions{Name: "web", Labels: map[string]string{"a": "b"}})
	if web.Subnet.Overlaps(def.Subnet) || web.Bridge != "br-"+web.ID[:12] {
		t.Errorf("web is %+v", web)
	}
	for _, ref := range []string{"web", web.ID, web.ID[:8]} {
		if got := w.find(ref); got.ID != web.ID || got.Labels["a"] != "b" || got.Subnet != web.Subnet {
			t.Errorf("Find(%s) = %+v", ref, got)
		}
	}
	for _, ref := range []string{"foo", "0000000000", "../x", ""} {
		_, err = w.m.Find(ref)
		wantErr(t, "Find", err, ErrNotFound, "network "+ref+" not found")
	}
	_, err = w.m.Create(CreateOptions{Name: "web"})
	wantErr(t, "a name twice", err, ErrExists, "network with name web already exists")
	for _, name := range []string{"host", "default"} {
		_, err = w.m.Create(CreateOptions{Name: name})
		wantErr(t, "a predefined name", err, ErrExists, "operation is not permitted on predefined "+name+" network")
	}
	err = w.m.Remove(context.Background(), def, nil)
	wantErr(t, "removing bridge", err, ErrInvalid, "bridge is a pre-defined network and cannot be removed")
	w.must(w.m.Remove(context.Background(), web, nil))
	_, err = w.m.Find(web.ID)
	wantErr(t, "a removed network", err, ErrNotFound, "not found")
}

func TestAmbiguousPrefix(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	for i := range 20 { // more networks than hexadecimal digits
		w.create(CreateOptions{Name: fmt.Sprintf("net%d", i)})
	}
	seen := ""
	all, err := w.m.List()
	w.must(err)
	for _, n := range all {
		if strings.Contains(seen, n.ID[:1]) {
			_, err := w.m.Find(n.ID[:1])
			wantErr(t, "one digit", err, ErrAmbiguous, "network "+n.ID[:1]+" is ambiguous")
			return
		}
		seen += n.ID[:1]
	}
	t.Error("23 networks, and no two ids begin with the same digit")
}

func TestOverlaps(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	w.create(CreateOptions{Name: "a", Subnet: netip.MustParsePrefix("10.9.0.0/16")})
	_, err := w.m.Create(CreateOptions{Name: "b", Subnet: netip.MustParsePrefix("10.9.5.0/24")})
	wantErr(t, "inside another network", err, ipam.ErrOverlap, "network a")
	_, err = w.m.Create(CreateOptions{Name: "b", Subnet: netip.MustParsePrefix("192.0.2.0/25")})
	wantErr(t, "inside the uplink's subnet", err, ipam.ErrOverlap, "route on uplink0")
	w.sh("ip link add dummy type bridge; ip addr add 172.17.0.9/16 dev dummy; ip link set dummy up")
	if def := w.find(Bridge); def.Subnet.Overlaps(netip.MustParsePrefix("172.17.0.0/16")) {
		t.Errorf("the default network %s overlaps a route", def.Subnet)
	}
	late := w.create(CreateOptions{Name: "late", Subnet: netip.MustParsePrefix("10.77.0.0/24")})
	w.sh("ip addr add 10.77.0.5/25 dev dummy")
	wantErr(t, "a route that came later", w.m.Up(context.Background(), late, nil), ipam.ErrOverlap, "route on dummy")
}

func TestNameservers(t *testing.T) {
	path := t.TempDir() + "/resolv.conf"
	text := "# c\nnameserver 10.0.0.53\nnameserver 127.0.0.53\nnameserver ::1\nnameserver\nsearch x\n nameserver 8.8.8.8 # x\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range nameservers(path) {
		got = append(got, fmt.Sprint(u.Prefix, " ", u.By))
	}
	if want := []string{"10.0.0.53/32 nameserver 10.0.0.53", "8.8.8.8/32 nameserver 8.8.8.8"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReserveErrors(t *testing.T) {
	w := makeWorld(t, "iptables-nft", "0")
	def := w.find(Bridge)
	a := w.start(def, "a", "8080:80")
	spec := w.spec("b")
	spec.IP = a.ep.IP
	_, err := w.m.Reserve(def, spec)
	wantErr(t, "a taken address", err, ipam.ErrTaken, "already in use by container a")
	_, _, err = w.m.Preview(def, spec)
	wantErr(t, "a taken address, previewed", err, ipam.ErrTaken, "already in use by container a")
	spec.IP = def.Gateway
	_, err = w.m.Reserve(def, spec)
	wantErr(t, "the gateway's address", err, ipam.ErrReserved, "the gateway")
	_, _, err = w.m.Preview(def, spec)
	wantErr(t, "the gateway's address, previewed", err, ipam.ErrReserved, "the gateway")
	_, err = w.m.Reserve(def, w.spec("b", "9000:80", "8080:80"))
	wantErr(t, "a taken port", err, port.ErrInUse, "Bind for 0.0.0.0:8080 failed: port is already allocated (held by container a)")
	again := w.spec("a")
	again.ContainerID = a.ep.ContainerID
	_, err = w.m.Reserve(def, again)
	wantErr(t, "a second endpoint", err, ErrExists, "endpoint with name a already exists in network bridge")
	err = w.m.Down(context.Background(), def, nil)
	wantErr(t, "a network in use", err, ErrInUse, `network bridge has active endpoints (name:"a" id:"`)
	gone := &Network{ID: newID(), Name: "gone", Driver: DriverBridge, Subnet: def.Subnet, Gateway: def.Gateway}
	_, err = w.m.Reserve(gone, w.spec("b"))
	wantErr(t, "a removed network", err, ErrNotFound, "network gone not found")

	eps, err := w.m.Endpoints(def)
	w.must(err)
	if len(eps) != 1 {
		t.Errorf("failed reservations left %d endpoints, want 1", len(eps))
	}
	c := w.start(def, "c", "9000:80") // what the failure above held is free
	if c.ep.IP == a.ep.IP {
		t.Errorf("two containers have %s", c.ep.IP)
	}
}

// TestParallelReserve: each Manager has its own file descriptors, as processes
// have.
func TestParallelReserve(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	n := w.create(CreateOptions{Name: "web", Subnet: netip.MustParsePrefix("10.9.0.0/16")})
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := make(map[netip.Addr]bool)
	for i := range 8 {
		wg.Go(func() {
			m, err := Open(w.m.opt)
			for j := 0; j < 25 && err == nil; j++ {
				var ep *Endpoint
				ep, err = m.Reserve(n, EndpointSpec{ContainerID: fmt.Sprintf("%04x%060x", i*100+j+1, 1), ContainerName: "c", Interface: "eth0"})
				if err == nil {
					mu.Lock()
					got[ep.IP] = true
					mu.Unlock()
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(got) != 200 {
		t.Errorf("200 containers got %d addresses", len(got))
	}
}

// TestDrop: what a crash can leave at any point of Reserve is released, and the
// living are left alone.
func TestDrop(t *testing.T) {
	w := makeWorld(t, "iptables-nft", "0")
	def := w.find(Bridge)
	alive := w.start(def, "alive", "8080:80")
	dead := w.start(def, "dead", "8081:80")
	w.must(dead.ep.Close())

	// A record that was cut short, whose owner has an address already.
	_, cut, err := w.m.intend(def, w.spec("cut"))
	w.must(err)
	_, err = w.m.allocate(def, cut, wish{})
	w.must(err)
	w.must(os.Truncate(w.m.endpointPath(def, cut.ContainerID), 10))

	for range 2 {
		eps, err := w.m.Endpoints(def)
		w.must(err)
		for _, ep := range eps {
			if ep.ContainerID != alive.ep.ContainerID {
				w.must(w.m.Drop(context.Background(), &ep, nil))
			}
		}
	}
	eps, err := w.m.Endpoints(def)
	w.must(err)
	if len(eps) != 1 || eps[0].ContainerName != "alive" {
		t.Errorf("after reaping: %+v", eps)
	}
	pool, err := ipam.OpenFile(w.m.leasePath(def, false), def.pool(false))
	w.must(err)
	defer pool.Close()
	if used, err := pool.Used(); used != 1 || err != nil {
		t.Errorf("%d addresses are in use, error %v, want 1", used, err)
	}
	if rules := w.sh("iptables-nft -t nat -S DOCKER"); strings.Contains(rules, "8081") || !strings.Contains(rules, "8080") {
		t.Errorf("the rules after reaping:\n%s", rules)
	}
	w.start(def, "next", "8081:80")
}

func TestEndpointRecord(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	n := w.create(CreateOptions{Name: "web"})
	b := w.start(n, "a", "8080:80/udp")
	got, err := w.m.Endpoint(n, b.ep.ContainerID)
	w.must(err)
	want, err := json.Marshal(b.ep)
	w.must(err)
	if text, err := json.Marshal(got); err != nil || string(text) != string(want) {
		t.Errorf("read back:\n%s\nwritten:\n%s", text, want)
	}
	in, err := w.m.Inspect(n)
	w.must(err)
	c := in.Containers[b.ep.ContainerID]
	if c.Name != "a" || c.IPv4Address != b.ep.IP.String()+"/24" || c.MacAddress != macFor(b.ep.IP).String() || in.IPAM.Config[0].Gateway != n.Gateway.String() {
		t.Errorf("inspected: %+v", in)
	}
	_, err = w.m.Endpoint(n, strings.Repeat("f", 64))
	wantErr(t, "a container that is not connected", err, ErrNotFound, "is not connected to network web")
}

func TestLoopbackPlan(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	ns, err := netns.New()
	w.must(err)
	defer ns.Close()
	w.must(w.m.LoopbackPlan("x", ns).Run(context.Background(), nil))
	w.in(ns, func() error {
		if got := w.sh("ip -o addr show dev lo"); !strings.Contains(got, "127.0.0.1/8") {
			t.Errorf("lo is %s", got)
		}
		return nil
	})
}

// TestRemovedMeanwhile: what was found before is compared with what is there
// once the lock is held.
func TestRemovedMeanwhile(t *testing.T) {
	w := newWorld(t, "iptables-legacy", "0")
	ctx, old := context.Background(), w.create(CreateOptions{Name: "web"})
	w.must(w.m.Remove(ctx, old, nil))
	wantErr(t, "removing it twice", w.m.Remove(ctx, old, nil), ErrNotFound, "network web not found")
	now := w.create(CreateOptions{Name: "web"})
	wantErr(t, "removing the one before", w.m.Remove(ctx, old, nil), ErrNotFound, "network web not found")
	wantErr(t, "bringing up the one before", w.m.Up(ctx, old, nil), ErrNotFound, "network web not found")
	_, err := w.m.Reserve(old, w.spec("a"))
	wantErr(t, "an address of the one before", err, ErrNotFound, "network web not found")
	if got := w.find("web"); got.ID != now.ID {
		t.Errorf("got %s, want %s", got.ID, now.ID)
	}
}

// TestMovesAside: two roots that were first used while neither was up have
// chosen the same subnet. The second one to be used takes another.
func TestMovesAside(t *testing.T) {
	w := newWorld(t, "iptables-nft", "0")
	first := w.m
	opt := first.opt
	opt.Root, opt.State = t.TempDir(), t.TempDir()
	second, err := Open(opt)
	w.must(err)
	defer second.Close()
	a := w.find(Bridge)
	w.m = second
	b := w.find(Bridge)
	if a.Subnet != b.Subnet {
		t.Fatalf("the subnets are %s and %s: nothing to test", a.Subnet, b.Subnet)
	}
	w.m = first
	w.start(a, "a")
	w.m = second
	clash := w.create(CreateOptions{Name: "clash"})
	w.sh("ip route add " + clash.Subnet.String() + " dev uplink0")
	w.must(second.Up(context.Background(), clash, nil))
	box := w.start(b, "b")
	if now := w.find(Bridge); now.Subnet.Overlaps(a.Subnet) || !now.Subnet.Contains(box.ep.IP) || box.ep.Gateway != now.Gateway || now.ID != b.ID {
		t.Errorf("the second network is %+v, its container has %s", now, box.ep.IP)
	}
	w.serve(w.outside, ":80")
	w.answers("b to the world", box.ns, outsideAddr+":80", hostAddr)
	// A subnet that the user asked for stays.
	fixed := w.create(CreateOptions{Name: "fixed", Subnet: netip.MustParsePrefix("10.77.0.0/24")})
	w.sh("ip route add 10.77.0.0/24 dev uplink0")
	_, err = w.m.Reserve(fixed, w.spec("c"))
	w.must(err)
	if err := w.m.Up(context.Background(), fixed, nil); err == nil {
		t.Error("a clash of a subnet that was asked for: no error")
	}
}

// TestRename: a new name survives a monitor that is still starting, loses
// nothing of what the monitor writes, and brings no record back.
func TestRename(t *testing.T) {
	w := newWorld(t, "iptables-legacy", "0")
	def := w.find(Bridge)
	_, ep, err := w.m.intend(def, w.spec("old"))
	w.must(err)
	w.must(w.m.Rename(def, ep.ContainerID, "new"))
	w.must(w.m.claim(def, ep, w.spec("old")))
	got, err := w.m.Endpoint(def, ep.ContainerID)
	w.must(err)
	if got.ContainerName != "new" || got.IP != ep.IP || !got.IP.IsValid() {
		t.Errorf("the record is %+v", got)
	}
	w.must(w.m.Release(ep))
	wantErr(t, "a container that is gone", w.m.Rename(def, ep.ContainerID, "newer"), ErrNotFound, "is not connected")
	wantErr(t, "saving what was released", w.m.save(ep), ErrNotFound, "is not connected")
}

// TestRenameRaces: renaming, saving and releasing at once leave no record, no
// temporary file, and no address.
func TestRenameRaces(t *testing.T) {
	w := newWorld(t, "iptables-legacy", "0")
	def := w.find(Bridge)
	for i := range 50 {
		ep, err := w.m.Reserve(def, w.spec("old"))
		w.must(err)
		var wg sync.WaitGroup
		errs := make([]error, 4)
		mine := *ep
		for j := range errs {
			wg.Go(func() {
				if j == 0 {
					errs[j] = w.m.save(&mine)
				} else {
					errs[j] = w.m.Rename(def, ep.ContainerID, fmt.Sprintf("new-%d-%d", i, j))
				}
			})
		}
		w.must(w.m.Release(ep))
		wg.Wait()
		for _, err := range errs {
			if err != nil && !errors.Is(err, ErrNotFound) {
				t.Fatal(err)
			}
		}
		if left, err := os.ReadDir(w.m.endpointDir(def)); len(left) != 0 || err != nil {
			t.Fatalf("left behind: %v, %v", left, err)
		}
	}
}
