package nft

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/network/port"
)

// ruleOf makes a rule of table filter from its words.
func ruleOf(spec string) firewall.Rule {
	return firewall.Rule{Table: "filter", Chain: "TEST", Spec: strings.Fields(spec)}
}

func TestText(t *testing.T) {
	d := New("mini")
	for spec, want := range map[string]string{
		"-i mini0 ! -o mini0 -m comment --comment mini:x -j ACCEPT":             `iifname "mini0" oifname != "mini0" counter accept comment "mini:x #`,
		"-i pt12345+ ! -o pt12345+ -m comment --comment mini:x -j ACCEPT":       `iifname "pt12345*" oifname != "pt12345*" counter accept comment "mini:x #`,
		"-s 10.0.0.0/8 -d 192.0.2.1 -m comment --comment mini:x -j DROP":        `ip saddr 10.0.0.0/8 ip daddr 192.0.2.1 counter drop comment "mini:x #`,
		"-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN":                  `ct state related,established counter return comment " #`,
		"-m conntrack ! --ctstate DNAT -j OTHER":                                `ct status ! dnat counter jump filter-OTHER comment " #`,
		"-m addrtype ! --dst-type LOCAL -j MASQUERADE":                          `fib daddr type != local counter masquerade comment " #`,
		"-p tcp -m tcp --dport 70:79 -j DNAT --to-destination 10.0.0.2":         `tcp dport 70-79 counter dnat to 10.0.0.2 comment " #`,
		"-i eth0 -p udp -m udp --dport 53 -j DNAT --to-destination 10.0.0.2:54": `iifname "eth0" udp dport 53 counter dnat to 10.0.0.2:54 comment " #`,
		"-p icmp -j ACCEPT": `meta l4proto icmp counter accept comment " #`,
		"-m comment --comment mini:" + strings.Repeat("x", 200) + " -j ACCEPT": `counter accept comment "mini:` + strings.Repeat("x", 105) + ` #`,
	} {
		if got := d.AddCommand(ruleOf(spec)); !strings.HasPrefix(got, "nft add rule ip mini filter-TEST '"+want) {
			t.Errorf("%s is printed as %s, want …%s", spec, got, want)
		}
	}
}

// TestTextOfIPv6 is [TestText] for the table ip6 mini.
func TestTextOfIPv6(t *testing.T) {
	d := New("mini")
	for spec, want := range map[string]string{
		"-s fd17::/64 -d 2001:db8::1 -m comment --comment mini:x -j DROP":            `ip6 saddr fd17::/64 ip6 daddr 2001:db8::1 counter drop comment "mini:x #`,
		"! -d ::1/128 -m addrtype --dst-type LOCAL -j DOCKER":                        `ip6 daddr != ::1 fib daddr type local counter jump filter-DOCKER comment " #`,
		"-m conntrack ! --ctstate RELATED,ESTABLISHED,UNTRACKED -j DROP":             `ct state ! related,established,untracked counter drop comment " #`,
		"-p tcp -m tcp --dport 70:79 -j DNAT --to-destination fd17::2":               `tcp dport 70-79 counter dnat to fd17::2 comment " #`,
		"-i eth0 -p udp -m udp --dport 53 -j DNAT --to-destination [fd17::2]:54":     `iifname "eth0" udp dport 53 counter dnat to [fd17::2]:54 comment " #`,
		"! -i mini0 -o mini0 -p ipv6-icmp -m comment --comment mini:x:web -j ACCEPT": `iifname != "mini0" oifname "mini0" meta l4proto ipv6-icmp counter accept comment "mini:x:web #`,
	} {
		r := ruleOf(spec)
		r.V6 = true
		if got := d.AddCommand(r); !strings.HasPrefix(got, "nft add rule ip6 mini filter-TEST '"+want) {
			t.Errorf("%s is printed as %s, want …%s", spec, got, want)
		}
		if got := d.DeleteCommand(r); !strings.HasPrefix(got, "nft delete rule ip6 mini filter-TEST handle \"$(nft -a list chain ip6 mini filter-TEST | sed") {
			t.Errorf("%s is deleted by %s", spec, got)
		}
	}
}

// TestFamiliesAreNotMixed: an address of the other family is refused.
func TestFamiliesAreNotMixed(t *testing.T) {
	for _, c := range []struct {
		v6   bool
		spec string
	}{
		{true, "-s 10.0.0.0/8 -j DROP"}, {true, "-d 10.0.0.1 -j DROP"}, {true, "-j DNAT --to-destination 10.0.0.1:80"},
		{false, "-s fd17::/64 -j DROP"}, {false, "-d fd17::1 -j DROP"}, {false, "-j DNAT --to-destination [fd17::1]:80"},
	} {
		r := ruleOf(c.spec)
		if _, err := parse(r); c.v6 == (err != nil) {
			t.Errorf("%s in the family ip: %v", c.spec, err)
		}
		r.V6 = true
		if _, err := parse(r); c.v6 != (err != nil) || err != nil && !strings.Contains(err.Error(), "is not of the family ip6") {
			t.Errorf("%s in the family ip6: %v", c.spec, err)
		}
	}
}

func TestPortsAreElements(t *testing.T) {
	d, to := New("mini"), netip.MustParseAddr("172.17.0.2")
	for spec, want := range map[string]string{
		"8080:80":               `nft add element ip mini ports '{ tcp . 8080 comment "mini:x #`,
		"127.0.0.1:53:5353/udp": `nft add element ip mini ports-at '{ 127.0.0.1 . udp . 53 comment "mini:x #`,
		"70-79:70-79":           `nft add rule ip mini nat-DOCKER 'tcp dport 70-79 counter dnat to 172.17.0.2 comment "mini:x #`,
	} {
		ports, err := port.Parse(spec)
		if err != nil {
			t.Fatal(err)
		}
		rules := firewall.Publish("DOCKER", "x", ports, to, netip.Addr{})
		if got := d.AddCommand(rules[0]); len(rules) != 1 || !strings.HasPrefix(got, want) {
			t.Errorf("-p %s is %d rules, the first %s, want one: %s", spec, len(rules), got, want)
		}
	}
}

func TestPortsOfIPv6AreElements(t *testing.T) {
	d := New("mini")
	for host, want := range map[string]string{
		"::":          `nft add element ip6 mini ports '{ tcp . 8080 comment "mini:x #`,
		"2001:db8::1": `nft add element ip6 mini ports-at '{ 2001:db8::1 . tcp . 8080 comment "mini:x #`,
	} {
		ports := []port.Mapping{{HostIP: netip.MustParseAddr(host), HostPort: 8080, ContainerPort: 80, Proto: port.TCP}}
		rules := firewall.Publish("DOCKER", "x", ports, netip.Addr{}, netip.MustParseAddr("fd17::2"))
		got := d.AddCommand(rules[0])
		if len(rules) != 1 || !strings.HasPrefix(got, want) || !strings.HasSuffix(got, ` : fd17::2 . 80 }'`) {
			t.Errorf("a port at %s is %d rules, the first %s, want one: %s", host, len(rules), got, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for spec, want := range map[string]string{
		"":                              "no target",
		"-i mini0":                      "no target",
		"-j":                            "stands alone",
		"--log-prefix x -j DROP":        "unknown option --log-prefix",
		"-s nowhere -j DROP":            "nowhere",
		"-p 99 -j DROP":                 "unknown protocol 99",
		"--dport 99999 -j DROP":         "99999",
		"--ctstate ODD -j DROP":         "unknown state ODD",
		"--dst-type BROADCAST -j DROP":  "unknown type of address BROADCAST",
		"-j DNAT":                       "DNAT to nowhere",
		"-j DNAT --to-destination here": "here",
	} {
		if _, err := parse(ruleOf(spec)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", spec, err, want)
		}
	}
}

// FuzzParse: what is accepted can be printed and built.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"-i a ! -o b -j DROP", "-p tcp --dport 1:2 -j DNAT --to-destination 1.2.3.4", "-s ::/0 -j X", "! ! -m", "-j DNAT --to-destination [fe80::1%a]:1", "-d 1.2.3.4/33 -j A"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		for _, v6 := range []bool{false, true} {
			given := ruleOf(spec)
			given.V6 = v6
			r, err := parse(given)
			if err != nil {
				continue
			}
			if r.text() == "" || len(r.exprs()) < 2 || len(r.comment) > 127 {
				t.Errorf("%q gives %+v", spec, r)
			}
		}
	})
}

// enter moves the test's goroutine into a network namespace that ends with it.
func enter(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("this test needs root")
		}
		t.Skip("SKIPPED: this test needs root")
	}
	goruntime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
}

func sh(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.Command("sh", "-ec", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eachFamily runs a test in a network namespace of its own for each family.
func eachFamily(t *testing.T, test func(t *testing.T, f family)) {
	for _, f := range []family{false, true} {
		t.Run(f.String(), func(t *testing.T) { enter(t); test(t, f) })
	}
}

// base gives the shared chains and rules of a family.
func base(f family) (chains []firewall.Chain, rules []firewall.Rule) {
	set := firewall.Base("DOCKER", "host", bool(f))
	for _, c := range set.Chains {
		chains = append(chains, c.Chain)
	}
	for _, r := range set.Rules {
		rules = append(rules, r.Rule)
	}
	return chains, rules
}

// TestForeignRuleKeepsItsChain, and with it the table.
func TestForeignRuleKeepsItsChain(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		ctx, d := context.Background(), New("mini")
		chains, rules := base(f)
		made, ok, err := d.AddTogether(ctx, chains, rules)
		if err != nil || !ok || !slices.Equal(made, chains) {
			t.Fatalf("made %v, ok %v, error %v", made, ok, err)
		}
		if tables := sh(t, "nft list tables"); tables != "table "+f.String()+" mini\n" {
			t.Errorf("there are the tables %q", tables)
		}
		if _, ok, err := d.AddTogether(ctx, chains, rules[:1]); ok || err != nil {
			t.Errorf("adding what is there: ok %v, error %v", ok, err)
		}
		table := f.String() + " mini "
		sh(t, "nft add rule "+table+"filter-DOCKER-CT iifname foreign0 drop; nft add rule "+table+"nat-DOCKER tcp dport 1 return comment '\"x\"'")
		must(t, d.RemoveAll(ctx, rules))
		must(t, d.RemoveAll(ctx, rules))
		stay, err := d.DeleteChains(ctx, chains)
		if want := []firewall.Chain{{Table: "nat", Name: "DOCKER", V6: bool(f)}, {Table: "filter", Name: "DOCKER-CT", V6: bool(f)}}; err != nil || !slices.Equal(stay, want) {
			t.Errorf("%v stay, error %v, want %v", stay, err, want)
		}
		if left := sh(t, "nft list ruleset"); !strings.Contains(left, `iifname "foreign0" drop`) || strings.Contains(left, "DOCKER-USER") {
			t.Errorf("left:\n%s", left)
		}
		sh(t, "nft flush chain "+table+"filter-DOCKER-CT; nft flush chain "+table+"nat-DOCKER")
		if stay, err := d.DeleteChains(ctx, chains); len(stay) > 0 || err != nil {
			t.Errorf("%v stay, error %v", stay, err)
		}
		if left := sh(t, "nft list ruleset"); left != "" {
			t.Errorf("left:\n%s", left)
		}
	})
}

// TestBothTables: one operation changes both tables or none, and what is of one
// family does not count for the other.
func TestBothTables(t *testing.T) {
	enter(t)
	ctx, d := context.Background(), New("mini")
	chains4, rules4 := base(false)
	chains6, rules6 := base(true)
	_, ok, err := d.AddTogether(ctx, chains4, rules4)
	if must(t, err); !ok {
		t.Fatal("the rules of IPv4 are said to be there")
	}
	// The owner has rules of IPv4, but the network that comes has none of either.
	web := []firewall.Rule{ruleOf("-i a -m comment --comment mini:web -j DROP"), ruleOf("-i a -m comment --comment mini:web -j DROP")}
	web[0].Chain, web[1].Chain, web[1].V6 = "DOCKER-CT", "DOCKER-CT", true
	made, ok, err := d.AddTogether(ctx, chains6, slices.Concat(rules6, web))
	if must(t, err); !ok || !slices.Equal(made, chains6) {
		t.Errorf("made %v, ok %v, want the chains of IPv6", made, ok)
	}
	whole := sh(t, "nft -s list ruleset")
	bad := slices.Concat(web, []firewall.Rule{{V6: true, Table: "filter", Chain: "NOWHERE", Spec: web[0].Spec}})
	if err := d.AddAll(ctx, bad); !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "table ip mini and table ip6 mini") {
		t.Errorf("error %v, want ENOENT that names both tables", err)
	}
	if now := sh(t, "nft -s list ruleset"); now != whole {
		t.Errorf("a failure in one table changed:\n%s", now)
	}
	all := slices.Concat(rules4, rules6, web)
	sh(t, "nft flush chain ip6 mini filter-FORWARD")
	if ok, err := d.JumpsStand(rules4); !ok || err != nil {
		t.Errorf("the jumps of IPv4 stand: %v, %v", ok, err)
	}
	if ok, err := d.JumpsStand(all); ok || err != nil {
		t.Errorf("the flushed jumps of IPv6 stand: %v, %v", ok, err)
	}
	drop, add, err := d.Gaps(ctx, all)
	must(t, err)
	for _, r := range slices.Concat(drop, add) {
		if !r.V6 || r.Chain != "FORWARD" {
			t.Errorf("%s is to be put back, though it was not flushed", r.AddCommand())
		}
	}
	must(t, d.Replace(ctx, drop, add))
	if now := sh(t, "nft -s list ruleset"); now != whole {
		t.Errorf("repaired:\n%s\nwant:\n%s", now, whole)
	}
	l, err := d.Listing(ctx, true)
	must(t, err)
	d.Recognise(l, all)
	for _, r := range all {
		if l.Find(r) < 0 {
			t.Errorf("the listing lacks %s", r.AddCommand())
		}
	}
	must(t, d.RemoveAll(ctx, all))
	stay, err := d.DeleteChains(ctx, slices.Concat(chains4, chains6))
	if left := sh(t, "nft list ruleset"); err != nil || len(stay) > 0 || left != "" {
		t.Errorf("%v stay, error %v, left:\n%s", stay, err, left)
	}
}

// TestPrintedCommands: what is printed for a table does what the driver does.
func TestPrintedCommands(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		ctx, d := context.Background(), New("mini")
		chains, rules := base(f)
		host := map[family]string{false: "0.0.0.0 192.0.2.1", true: ":: 2001:db8::1"}[f]
		for i, h := range strings.Fields(host) {
			ports := []port.Mapping{{HostIP: netip.MustParseAddr(h), HostPort: 8080, ContainerPort: 80, Proto: port.TCP}}
			for n := range uint16(2) { // a range, too
				ports = append(ports, port.Mapping{HostIP: ports[0].HostIP, HostPort: 90 + n, ContainerPort: 90 + n, Proto: port.UDP})
			}
			owner := []string{"a", "b"}[i]
			rules = append(rules, firewall.Publish("DOCKER", owner, ports, netip.MustParseAddr("172.17.0.2"), netip.MustParseAddr("fd17::2"))...)
		}
		_, _, err := d.AddTogether(ctx, chains, rules)
		must(t, err)
		want := sh(t, "nft -s list ruleset")
		must(t, d.RemoveAll(ctx, rules))
		_, err = d.DeleteChains(ctx, chains)
		must(t, err)
		script := strings.Join(d.AddChainCommands(chains), "\n")
		for _, r := range rules {
			script += "\n" + d.AddCommand(r)
		}
		sh(t, script)
		if got := sh(t, "nft -s list ruleset"); got != want {
			t.Errorf("the commands\n%s\nmake\n%s\nwant\n%s", script, got, want)
		}
		script = ""
		for _, r := range rules {
			script += d.DeleteCommand(r) + "\n"
		}
		slices.Reverse(chains)
		sh(t, script+strings.Join(d.DeleteChainCommands(chains), "\n"))
		if left := sh(t, "nft list ruleset"); left != "" {
			t.Errorf("the commands\n%s\nleave\n%s", script, left)
		}
	})
}

// TestAllOrNothing: one rule that cannot be added keeps out all of its batch.
func TestAllOrNothing(t *testing.T) {
	enter(t)
	ctx, d := context.Background(), New("mini")
	_, err := d.EnsureChain(firewall.Chain{Table: "filter", Name: "TEST"})
	must(t, err)
	before := sh(t, "nft list ruleset")
	err = d.AddAll(ctx, []firewall.Rule{ruleOf("-i a -j DROP"), ruleOf("-i b -j NOWHERE")})
	if !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "table ip mini") {
		t.Errorf("error %v, want ENOENT that names the table", err)
	}
	if after := sh(t, "nft list ruleset"); after != before {
		t.Errorf("changed:\n%s", after)
	}
}

// TestThousandPorts do not fit into one netlink attribute.
func TestThousandPorts(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		ctx, d := context.Background(), New("mini")
		_, err := d.EnsureChain(firewall.Chain{Table: "nat", Name: "DOCKER", V6: bool(f)})
		must(t, err)
		ports, err := port.Parse("9000-9999:8000-8999")
		must(t, err)
		for i := range ports {
			ports[i].HostIP = map[family]netip.Addr{false: netip.MustParseAddr("192.0.2.1"), true: netip.MustParseAddr("2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff")}[f]
		}
		owner := "0123456789ab:" + strings.Repeat("x", 63)
		rules := firewall.Publish("DOCKER", owner, ports, netip.MustParseAddr("172.17.0.2"), netip.MustParseAddr("fd17::2"))
		must(t, d.AddAll(ctx, rules))
		count := func() int {
			return strings.Count(sh(t, "nft list map "+f.String()+" mini ports-at"), `comment "mini:`+owner+" #")
		}
		if n := count(); n != 1000 {
			t.Errorf("%d elements, want 1000", n)
		}
		must(t, d.RemoveAll(ctx, rules[:500]))
		must(t, d.RemoveAll(ctx, rules))
		if n := count(); n != 0 {
			t.Errorf("%d elements are left", n)
		}
	})
}
