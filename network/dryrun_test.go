package network

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/minirt/mini/network/netns"
)

// TestDryRun runs the printed script on an empty host, and compares what it
// built with what mini built on another.
func TestDryRun(t *testing.T) {
	networks := map[string]CreateOptions{
		Bridge: {}, "web": {Name: "web", MTU: 1400}, "closed": {Name: "closed", Internal: true},
		"lonely": {Name: "lonely", NoICC: true}, "plain": {Name: "plain", NoMasquerade: true},
		"routed": {Name: "routed", GatewayMode: "routed"}, "open": {Name: "open", GatewayMode: "nat-unprotected"},
		"isolated": {Name: "isolated", GatewayMode: "isolated", Internal: true},
		"dual":     {Name: "dual", IPv6: true}, "six": {Name: "six", IPv6: true, NoIPv4: true, Subnet6: netip.MustParsePrefix("fd00:6::/64")},
		"lonely6": {Name: "lonely6", IPv6: true, NoICC: true}, "alone6": {Name: "alone6", IPv6: true, NoIPv4: true, NoICC: true},
		"closed6": {Name: "closed6", IPv6: true, Internal: true}, "isolated6": {Name: "isolated6", IPv6: true, Internal: true, GatewayMode6: "isolated"},
		"routed6": {Name: "routed6", IPv6: true, GatewayMode6: "routed"},
	}
	for name, opt := range networks {
		for _, backend := range drivers {
			t.Run(name+"/"+backend, func(t *testing.T) {
				t.Parallel()
				root := t.TempDir()
				script, built := "", ""
				t.Run("mini", func(t *testing.T) {
					w := makeWorld(t, backend, "1")
					w.m.opt.Root = root
					if opt.Name != "" {
						w.create(opt)
					}
					script, built = w.previewAndBuild(w.find(name))
				})
				t.Run("script", func(t *testing.T) {
					w := makeWorld(t, backend, "1")
					w.scriptBuilds(script, built)
				})
			})
		}
	}
}

// scriptBuilds runs a script of a dry run, and compares what it built with the
// picture of what mini built.
func (w *world) scriptBuilds(script, built string) {
	w.t.Helper()
	w.runScript(script)
	host := w.picture()
	inside, err := os.Open("/run/netns/mini-web")
	w.must(err)
	defer inside.Close()
	if got := host + w.pictureIn(inside); got != built {
		w.t.Errorf("the script built:\n%s\nmini built:\n%s\nthe script:\n%s", got, built, script)
	}
}

// previewAndBuild gives the script, and a picture of what mini builds.
func (w *world) previewAndBuild(n *Network) (script, picture string) {
	w.t.Helper()
	spec := w.spec("web", "8080:80", "127.0.0.1:53:5353/udp")
	if !n.HasIPv4() {
		spec.Ports = w.ports("8080:80")
	}
	spec.Aliases = []string{"www"}
	before := w.picture()
	p, preview, err := w.m.Preview(n, spec)
	w.must(err)
	if after := w.picture(); after != before {
		w.t.Errorf("the preview changed something:\n%s\nwas:\n%s", after, before)
	}
	if eps, err := w.m.Endpoints(n); len(eps) > 0 || err != nil {
		w.t.Errorf("the preview left endpoints %v, error %v", eps, err)
	}
	var b strings.Builder
	w.must(p.Script(&b))

	ns, err := netns.New()
	w.must(err)
	defer ns.Close()
	ep, err := w.m.Reserve(n, spec)
	w.must(err)
	defer ep.Close()
	if ep.IP != preview.IP || ep.IP6 != preview.IP6 {
		w.t.Errorf("the preview promised %v, the container got %v", preview.Addresses(), ep.Addresses())
	}
	ep.HostLink = preview.HostLink // random in both
	w.must(w.m.Up(context.Background(), n, nil))
	attach, err := w.m.AttachPlan(ep, ns)
	w.must(err)
	w.must(attach.Run(context.Background(), nil))
	if n.HasNames() {
		// The port is the kernel's choice, and was only looked for in the preview.
		to := regexp.MustCompile(`dnat to ([0-9.:]+)`).FindStringSubmatch(b.String())
		if to == nil {
			w.t.Fatalf("nothing leads to the name server:\n%s", b.String())
		}
		w.must(w.m.NamesPlan(ep, ns, netip.MustParseAddrPort(to[1])).Run(context.Background(), nil))
	}
	return b.String(), w.picture() + w.pictureIn(ns)
}

// runScript runs it with the backend's programs in front of PATH.
func (w *world) runScript(script string) {
	w.t.Helper()
	dir := w.t.TempDir()
	if w.m.opt.Firewall != NFTables {
		w.must(os.Symlink("/usr/sbin/"+w.m.opt.IPTables, filepath.Join(dir, "iptables")))
		w.must(os.Symlink("/usr/sbin/"+strings.Replace(w.m.opt.IPTables, "ip", "ip6", 1), filepath.Join(dir, "ip6tables")))
	}
	w.sh("export PATH=" + dir + ":$PATH\n" + script)
}

// picture is all that a plan may change in a namespace, as text.
func (w *world) picture() string {
	w.t.Helper()
	return w.sh(`
		ip -d -j link | tr '{},' '\n\n\n' | grep -E '"(ifname|mtu|inet6_addr_gen_mode|address|master|ifalias|hairpin|isolated|info_kind|addr_assign_type)"' |
			grep -v '"ifname":"\(up\|uplink\)' || true
		# A route is marked linkdown until a carrier is seen, a moment later.
		ip -4 -o addr; ip route | sed 's/ linkdown//'; ip route show table local | sed 's/ linkdown//'
		ip -6 -o addr show scope global | sed 's/^[0-9]*: //'; ip -6 route | grep -v '^fe80' | sed 's/ linkdown//'
		cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding
		bridge fdb show | grep static || true
		for l in $(ls /sys/class/net | grep veth); do tc filter show dev $l ingress | sed 's/ installed.*//'; done
		grep . /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range /proc/sys/net/ipv4/conf/*/route_localnet /proc/sys/net/ipv4/conf/*/arp_notify /proc/sys/net/ipv4/conf/*/rp_filter /proc/sys/net/ipv6/conf/*/disable_ipv6 /proc/sys/net/ipv6/conf/*/accept_ra /proc/sys/net/ipv6/conf/*/accept_dad /proc/sys/net/ipv6/conf/*/ndisc_notify
	`) + w.ruleset()
}

// ruleset gives all rules, in their order. The table of nftables is not there
// before the first rule, nor in a container.
func (w *world) ruleset() string {
	w.t.Helper()
	if w.m.opt.Firewall == NFTables {
		return w.sh("nft -s list ruleset")
	}
	return w.sh(fmt.Sprintf("for p in %s %s; do for t in raw nat filter; do echo $p $t; $p -t $t -S; done; done", w.m.opt.IPTables, strings.Replace(w.m.opt.IPTables, "ip", "ip6", 1)))
}

func (w *world) pictureIn(ns *os.File) (text string) {
	w.t.Helper()
	w.in(ns, func() error { text = w.picture() + w.sh("nft list table ip mini 2>&1 || true"); return nil })
	return text
}

// TestPreviewOfAnUnprotectedNetwork: what keeps it and another one apart is in
// the script as it is on the host.
func TestPreviewOfAnUnprotectedNetwork(t *testing.T) {
	w := newWorld(t, "iptables-nft", "1")
	first, second := w.spec("web"), w.spec("web")
	second.ContainerID, second.Interface, second.DefaultRoute = first.ContainerID, "eth1", false
	open := w.create(CreateOptions{Name: "open", GatewayMode: "nat-unprotected"})
	p, _, err := w.m.PreviewAll([]Request{{Network: open, Spec: first}, {Network: w.find(Bridge), Spec: second}})
	w.must(err)
	var b strings.Builder
	w.must(p.Script(&b))
	w.must(w.m.Up(context.Background(), open, nil))
	w.must(w.m.Up(context.Background(), w.find(Bridge), nil))
	rule := w.sh("iptables-nft -S DOCKER-BRIDGE | grep -e '-i mini0 -o " + open.Bridge + "' | sed 's/^-A //; s/\"//g'")
	if !strings.Contains(b.String(), "iptables -t filter -I "+strings.TrimSpace(rule)+"\n") {
		t.Errorf("the script lacks %s:\n%s", rule, b.String())
	}
}

// TestPreviewOfTwoNetworks: what both share is in the script once.
func TestPreviewOfTwoNetworks(t *testing.T) {
	w := newWorld(t, "iptables-nft", "1")
	first, second := w.spec("web", "8080:80"), w.spec("web")
	second.ContainerID, second.Interface, second.DefaultRoute = first.ContainerID, "eth1", false
	p, eps, err := w.m.PreviewAll([]Request{
		{Network: w.find(Bridge), Spec: first}, {Network: w.create(CreateOptions{Name: "back"}), Spec: second},
	})
	w.must(err)
	if len(eps) != 2 {
		t.Fatalf("got %d endpoints, want 2", len(eps))
	}
	var b strings.Builder
	w.must(p.Script(&b))
	w.runScript(b.String())
	addrs := w.sh("ip -n mini-web -4 -o addr; ip -n mini-web route")
	for _, want := range []string{"eth0", "eth1", eps[0].IP.String() + "/24", eps[1].IP.String() + "/24", "default via 172.17.0.1 dev eth0"} {
		if !strings.Contains(addrs, want) {
			t.Errorf("%s is missing in\n%s", want, addrs)
		}
	}
}
