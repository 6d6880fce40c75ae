package integration

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// secondMini is the command of another mini on the same host, with a root and
// a state of its own.
func secondMini(h *host.Host, args ...string) host.Result {
	c := h.Mini(args...)
	c.Args[2], c.Args[4] = filepath.Join(h.Dir, "root2"), filepath.Join(h.Dir, "state2")
	return h.Do(c)
}

// TestTwoMinisOnOneHost publish side by side, and neither disturbs the other,
// whichever goes first.
func TestTwoMinisOnOneHost(t *testing.T) {
	for _, backend := range []host.Backend{host.NFT, host.Legacy} {
		for _, leaver := range []string{"the first", "the second"} {
			t.Run(fmt.Sprintf("%s, %s leaves", backend, leaver), func(t *testing.T) {
				t.Parallel()
				twoMinis(t, busyboxHost(t, host.Iptables(backend)), leaver == "the first")
			})
		}
	}
}

func twoMinis(t *testing.T, h *host.Host, firstLeaves bool) {
	if firstLeaves {
		const reason = "who made the chain left while the other still used it, and who leaves last does not delete what it did not make"
		h.Allow(host.SecRules, "filter: chain DOCKER-USER policy -$", reason)
		h.Allow(host.SecNFT, "chain DOCKER-USER: exists$", reason)
	}
	tarball, err := host.Busybox()
	if err != nil {
		t.Fatal(err)
	}
	must(t, secondMini(h, "import", tarball, "busybox"))
	defer func() {
		secondMini(h, "rm", "-f", "web")
		must(t, secondMini(h, "network", "prune", "-f"))
	}()

	// The same name is no conflict.
	runWeb(t, h, "web", "-p", "8080:80")
	must(t, secondMini(h, append([]string{"run", "-d", "--name", "web", "-p", "8081:80"}, httpd...)...))
	answers := func(port string) {
		t.Helper()
		host.Eventually(t, patience, func() error {
			got, err := getFrom(h, host.Outside, "http://192.0.2.1:"+port+addrPage, patience)
			if err == nil && got != outside {
				err = fmt.Errorf("the container behind port %s sees %s, want %s", port, got, outside)
			}
			return err
		})
		if _, err := getFrom(h, host.Inside, "http://127.0.0.1:"+port+addrPage, patience); err != nil {
			t.Errorf("127.0.0.1:%s: %v", port, err)
		}
	}
	answers("8080")
	answers("8081")
	// A port of the one is taken for the other, and the error says by whom.
	fails(t, secondMini(h, "run", "--rm", "-p", "8080:80", "busybox", "true"), 125, "Bind for 0.0.0.0:8080 failed: port is already allocated", "pid")
	if a, b := must(t, h.Run("network", "inspect", "-f", "{{.IPAM.Config}}", "bridge")), must(t, secondMini(h, "network", "inspect", "-f", "{{.IPAM.Config}}", "bridge")); a == b {
		t.Errorf("both use %s", a)
	}

	leave, stay, port := h.Run, func(args ...string) host.Result { return secondMini(h, args...) }, "8081"
	if !firstLeaves {
		leave, stay, port = stay, leave, "8080"
	}
	must(t, leave("rm", "-f", "web"))
	must(t, leave("network", "prune", "-f"))
	answers(port)
	// The one that stays can still bring up a new network.
	must(t, stay("network", "create", "red"))
	must(t, stay("run", "--rm", "--net", "red", "-p", "8090:80", "busybox", "true"))
	must(t, stay("network", "rm", "red"))
	answers(port)
	must(t, stay("rm", "-f", "web"))
	must(t, stay("network", "prune", "-f"))
	if rules := must(t, h.Exec("iptables-save")); strings.Contains(rules, "mini:") {
		t.Errorf("rules are left:\n%s", rules)
	}
}

// foreignRules are of an administrator and of a Docker. Some look like mini's.
const foreignRules = `set -e
iptables -t nat -N DOCKER
iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables -t nat -A DOCKER -p tcp --dport 9999 -j DNAT --to-destination 198.51.100.9:1
iptables -t nat -A POSTROUTING -s 172.17.0.0/24 -o nothing0 -m comment --comment "mini:host" -j MASQUERADE
iptables -N DOCKER-USER
iptables -A DOCKER-USER -s 203.0.113.7/32 -m comment --comment "DOCKER-FORWARD MINI-FORWARD" -j DROP
iptables -A FORWARD -j DOCKER-USER
iptables -A FORWARD -i nothing0 -m comment --comment "mini:000000000000:web" -j DROP
iptables -A INPUT -p tcp --dport 9998 -m comment --comment DOCKER -j DROP
iptables -P FORWARD DROP
`

const dropForeignRules = `set -e
iptables -P FORWARD ACCEPT
for t in nat filter; do iptables -t $t -F; iptables -t $t -X; done
`

// TestForeignRulesStay: rules, chains and the policy of others are the same
// before, during and after, although some bear mini's names.
func TestForeignRulesStay(t *testing.T) {
	for _, backend := range []host.Backend{host.NFT, host.Legacy} {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			h := busyboxHost(t, host.Iptables(backend))
			must(t, h.Exec("sh", "-c", foreignRules))
			foreign := strings.Split(withoutNoise(must(t, h.Exec("iptables-save"))), "\n")
			intact := func(when string) {
				t.Helper()
				now := must(t, h.Exec("iptables-save"))
				for _, line := range foreign {
					if !strings.Contains(stripCounters(now), stripCounters(line)) {
						t.Errorf("%s, %q is gone:\n%s", when, line, now)
					}
				}
				if !strings.Contains(now, ":FORWARD DROP") {
					t.Errorf("%s, the policy of FORWARD has changed:\n%s", when, now)
				}
			}

			// The chains of a Docker are not ours: said once.
			r := h.Run("run", "-d", "--name", "web", "-p", "8080:80", "busybox", "httpd", "-f", "-p", "80", "-h", "/www")
			wantCode(t, r, 0)
			const notice = "chain DOCKER belongs to somebody else: mini's chains are named MINI"
			if strings.Count(r.Stderr, notice) != 1 {
				t.Errorf("want the notice %q: %v", notice, r)
			}
			again := h.Run("run", "-d", "--name", "idle", "-p", "8081:80", "busybox", "sleep", "1000")
			if again.Code != 0 || again.Stderr != "" {
				t.Errorf("want no second notice: %v", again)
			}
			intact("while mini runs")
			waitForWeb(t, h, initPid(t, h, "web"))
			wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
			if rules := must(t, h.Exec("iptables", "-t", "nat", "-S", "MINI")); strings.Count(rules, "-j DNAT") != 2 {
				t.Errorf("MINI has:\n%s", rules)
			}
			must(t, h.Run("rm", "-f", "web", "idle"))
			must(t, h.Run("network", "prune", "-f"))
			intact("after mini is gone")
			if rules := must(t, h.Exec("iptables-save")); strings.Contains(rules, ":MINI") {
				t.Errorf("chains are left:\n%s", rules)
			}
			// The jump to a chain with an administrator's rules has an effect, and stays.
			must(t, h.Exec("sh", "-c", dropForeignRules))
		})
	}
}

func stripCounters(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		if head, _, ok := strings.Cut(line, " ["); ok && strings.HasPrefix(line, ":") {
			line = head + "\n"
		}
		out = append(out, line)
	}
	return strings.Join(out, "")
}

// TestForwardPolicyDrop: an administrator who drops what is not allowed need
// not allow mini's traffic, and keeps the policy.
func TestForwardPolicyDrop(t *testing.T) {
	for _, backend := range []host.Backend{host.NFT, host.Legacy} {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			h := busyboxHost(t, host.Iptables(backend), host.BridgeNF(true))
			must(t, h.Exec("iptables", "-P", "FORWARD", "DROP"))
			defer func() { must(t, h.Exec("iptables", "-P", "FORWARD", "ACCEPT")) }()
			if err := h.ServeAddr(host.Outside, "192.0.2.2:8000"); err != nil {
				t.Fatal(err)
			}
			a := runWeb(t, h, "one", "-p", "8080:80")
			b := runIdle(t, h, "two")
			wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
			if got, err := getIn(h, a, "http://192.0.2.2:8000/", patience); err != nil || got != hostIP {
				t.Errorf("a to the outside: seen as %q, error %v", got, err)
			}
			if got, err := getIn(h, b, "http://172.17.0.2"+addrPage, patience); err != nil || got != "172.17.0.3" {
				t.Errorf("b to a: seen as %q, error %v", got, err)
			}
			must(t, h.Run("rm", "-f", "one", "two"))
			must(t, h.Run("network", "prune", "-f"))
			if policy := firstLine(must(t, h.Exec("iptables", "-S", "FORWARD"))); policy != "-P FORWARD DROP" {
				t.Errorf("the policy is %q", policy)
			}
		})
	}
}

// TestAdministratorsChainDecides: a rule in DOCKER-USER comes before mini's,
// and outlives them.
func TestAdministratorsChainDecides(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.Iptables(host.NFT))
	runWeb(t, h, "web", "-p", "8080:80")
	wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
	must(t, h.Exec("iptables", "-A", "DOCKER-USER", "-s", outside, "-j", "DROP"))
	if _, err := getFrom(h, host.Outside, "http://192.0.2.1:8080"+addrPage, silence); !unanswered(err) {
		t.Errorf("the administrator's rule has no effect: %v", err)
	}
	must(t, h.Run("rm", "-f", "web"))
	must(t, h.Run("network", "prune", "-f"))
	if rules := must(t, h.Exec("iptables", "-S", "DOCKER-USER")); !strings.Contains(rules, "-s 192.0.2.2/32 -j DROP") {
		t.Errorf("the rule is gone:\n%s", rules)
	}
	// Without it, the chain goes when the next network goes.
	must(t, h.Exec("iptables", "-F", "DOCKER-USER"))
	must(t, h.Run("run", "--rm", "busybox", "true"))
	must(t, h.Run("network", "prune", "-f"))
}

// TestAdministratorsNFTChainDecides is the same for mini's own table.
func TestAdministratorsNFTChainDecides(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.Iptables(host.Native))
	runWeb(t, h, "web", "-p", "8080:80")
	wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
	tableName := strings.Fields(must(t, h.Exec("nft", "list", "tables")))[2]
	chain := func(verb string, rest ...string) []string {
		return append([]string{"nft", verb, "ip", tableName, "filter-DOCKER-USER"}, rest...)
	}
	must(t, h.Exec(chain("add rule", "ip", "saddr", outside, "drop")...))
	if _, err := getFrom(h, host.Outside, "http://192.0.2.1:8080"+addrPage, silence); !unanswered(err) {
		t.Errorf("the administrator's rule has no effect: %v", err)
	}
	must(t, h.Run("rm", "-f", "web"))
	must(t, h.Run("network", "prune", "-f"))
	if rules := must(t, h.Exec(chain("list chain")...)); !strings.Contains(rules, "ip saddr 192.0.2.2 drop") {
		t.Errorf("the rule is gone:\n%s", rules)
	}
	// Without it, the table goes when the next network goes.
	must(t, h.Exec(chain("flush chain")...))
	must(t, h.Run("run", "--rm", "busybox", "true"))
	must(t, h.Run("network", "prune", "-f"))
	wantOut(t, h.Exec("nft", "list", "ruleset"), "")
}

// TestChainPrefix is decided by hand.
func TestChainPrefix(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.Iptables(host.NFT), host.GlobalFlags("--chain-prefix", "LAB"))
	runWeb(t, h, "web", "-p", "8080:80")
	wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
	rules := must(t, h.Exec("iptables-save"))
	if !strings.Contains(rules, ":LAB ") || strings.Contains(rules, ":DOCKER ") || strings.Contains(rules, ":DOCKER-FORWARD") {
		t.Errorf("want chains LAB…:\n%s", rules)
	}
	fails(t, h.Run("--chain-prefix", "no good", "network", "ls"), 1, `invalid chain prefix "no good"`)
}

// TestForeignLinksStay: a link named mini0 that is somebody else's is left
// alone.
func TestForeignLinksStay(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Exec("ip", "link", "add", "mini0", "type", "bridge"))
	runWeb(t, h, "web", "-p", "8080:80")
	wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
	if r := h.Exec("ip", "-o", "-4", "addr", "show", "mini1"); !strings.Contains(r.Stdout, gateway+"/24") {
		t.Errorf("%v", r)
	}
	must(t, h.Run("rm", "-f", "web"))
	must(t, h.Run("network", "prune", "-f"))
	must(t, h.Exec("ip", "link", "show", "mini0"))
	must(t, h.Exec("ip", "link", "delete", "mini0"))
}
