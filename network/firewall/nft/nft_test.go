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
	for _, s := range []string{"-i a ! -o b -j DROP", "-p tcp --dport 1:2 -j DNAT --to-destination 1.2.3.4", "-s ::/0 -j X", "! ! -m", "-d 1.2.3.4/33 -j A"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		r, err := parse(ruleOf(spec))
		if err != nil {
			return
		}
		if r.text() == "" || len(r.exprs()) < 2 || len(r.comment) > 127 {
			t.Errorf("%q gives %+v", spec, r)
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

// TestForeignRuleKeepsItsChain, and with it the table.
func TestForeignRuleKeepsItsChain(t *testing.T) {
	enter(t)
	ctx, d := context.Background(), New("mini")
	set := firewall.Base("DOCKER", "host", false)
	var chains []firewall.Chain
	var rules []firewall.Rule
	for _, c := range set.Chains {
		chains = append(chains, c.Chain)
	}
	for _, r := range set.Rules {
		rules = append(rules, r.Rule)
	}
	made, ok, err := d.AddTogether(ctx, chains, rules)
	if err != nil || !ok || !slices.Equal(made, chains) {
		t.Fatalf("made %v, ok %v, error %v", made, ok, err)
	}
	if _, ok, err := d.AddTogether(ctx, chains, rules[:1]); ok || err != nil {
		t.Errorf("adding what is there: ok %v, error %v", ok, err)
	}
	sh(t, "nft add rule ip mini filter-DOCKER-CT ip saddr 203.0.113.9 drop; nft add rule ip mini nat-DOCKER tcp dport 1 return comment '\"x\"'")
	must(t, d.RemoveAll(ctx, rules))
	must(t, d.RemoveAll(ctx, rules))
	stay, err := d.DeleteChains(ctx, chains)
	if want := []firewall.Chain{{Table: "nat", Name: "DOCKER"}, {Table: "filter", Name: "DOCKER-CT"}}; err != nil || !slices.Equal(stay, want) {
		t.Errorf("%v stay, error %v, want %v", stay, err, want)
	}
	if left := sh(t, "nft list ruleset"); !strings.Contains(left, "ip saddr 203.0.113.9 drop") || strings.Contains(left, "DOCKER-USER") {
		t.Errorf("left:\n%s", left)
	}
	sh(t, "nft flush chain ip mini filter-DOCKER-CT; nft flush chain ip mini nat-DOCKER")
	if stay, err := d.DeleteChains(ctx, chains); len(stay) > 0 || err != nil {
		t.Errorf("%v stay, error %v", stay, err)
	}
	if left := sh(t, "nft list ruleset"); left != "" {
		t.Errorf("left:\n%s", left)
	}
}

// TestWildcard: one rule is for all links whose names begin alike, as nft has it.
func TestWildcard(t *testing.T) {
	enter(t)
	d := New("mini")
	_, err := d.EnsureChain(firewall.Chain{Table: "filter", Name: "TEST"})
	must(t, err)
	r := ruleOf("-i pt12345+ ! -o pt12345+ -j DROP")
	must(t, d.AddAll(context.Background(), []firewall.Rule{r}))
	mini := sh(t, "nft list chain ip mini filter-TEST")
	if want := `iifname "pt12345*" oifname != "pt12345*"`; !strings.Contains(mini, want) {
		t.Errorf("in the kernel:\n%swant %s", mini, want)
	}
	must(t, d.RemoveAll(context.Background(), []firewall.Rule{r}))
	if out := sh(t, d.AddCommand(r)+"; nft list chain ip mini filter-TEST"); out != mini {
		t.Errorf("by hand:\n%swant\n%s", out, mini)
	}
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
	enter(t)
	ctx, d := context.Background(), New("mini")
	_, err := d.EnsureChain(firewall.Chain{Table: "nat", Name: "DOCKER"})
	must(t, err)
	ports, err := port.Parse("9000-9999:8000-8999")
	must(t, err)
	rules := firewall.Publish("DOCKER", "x", ports, netip.MustParseAddr("172.17.0.2"), netip.Addr{})
	must(t, d.AddAll(ctx, rules))
	if n := strings.Count(sh(t, "nft list map ip mini ports"), `comment "mini:x #`); n != 1000 {
		t.Errorf("%d elements, want 1000", n)
	}
	must(t, d.RemoveAll(ctx, rules[:500]))
	must(t, d.RemoveAll(ctx, rules))
	if n := strings.Count(sh(t, "nft list map ip mini ports"), "comment"); n != 0 {
		t.Errorf("%d elements are left", n)
	}
}
