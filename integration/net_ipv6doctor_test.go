package integration

import (
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// damages6 are things that go wrong with the rules of IPv6, on a host with the
// container web on the network red, and shut on the internal network closed.
var damages6 = []damage{
	{"ip6tables -t nat -F DOCKER", "container web: 1 of the 2 rules of its published ports are gone"},
	{"ip6tables -t nat -F", "chain DOCKER-OUT of table nat of IPv6: 2 of mini's 2 rules are gone"},
	{"ip6tables -F FORWARD", "chain FORWARD of table filter of IPv6: 2 of mini's 2 rules are gone"},
	{"ip6tables -F INPUT", "chain INPUT of table filter of IPv6: 1 of mini's 1 rules are gone"},
	{"ip6tables -P FORWARD DROP; ip6tables -F", "and FORWARD drops by default"},
	{"ip6tables -t raw -D DOCKER-RAW 2", "chain DOCKER-RAW of table raw of IPv6: 1 of mini's 3 rules are gone"},
	{"for t in raw nat filter; do ip6tables -t $t -F; ip6tables -t $t -X; done", "chain DOCKER-RAW of table raw of IPv6: the chain is gone"},
	{"ip6tables -D DOCKER-BRIDGE 1; ip6tables -A DOCKER-BRIDGE -o $BR -m conntrack --ctstate DNAT -m comment --comment mini:$RED -j ACCEPT",
		"chain DOCKER-BRIDGE of table filter of IPv6: mini's rules are out of order"},
	{"ip6tables -I FORWARD -i uplink0 -j DROP", "chain FORWARD of table filter of IPv6: mini's rules stand below somebody's: -A FORWARD -i uplink0 -j DROP"},
	{"ip6tables -I FORWARD -j ACCEPT", "what mini must drop is let through before its rules see it"},
	{"ip6tables -t nat -A DOCKER -p tcp --dport 7 -m comment --comment mini:$RED -j DNAT --to-destination [fd17:1::2]:7",
		"chain DOCKER of table nat of IPv6: a rule of mini's is not on record"},
	{"for ipt in iptables ip6tables; do $ipt -A DOCKER-CT -m comment --comment mini:$RED -j RETURN; done",
		"chain DOCKER-CT of table filter of IPv6: a rule of mini's is not on record"},
}

// others6 are rules of others that hurt IPv6, with what takes them away.
var others6 = []struct{ script, says, undo string }{
	{"@-legacy -P FORWARD DROP", "FORWARD of @-legacy drops by default, and no rule there accepts packets of containers", "@-legacy -F; @-legacy -P FORWARD ACCEPT"},
	{"@-legacy -A FORWARD -j REJECT", "a rule of @-legacy drops packets of containers: -A FORWARD -j REJECT", "@-legacy -F"},
	{"nft 'add table ip6 mine; add chain ip6 mine pass { type filter hook forward priority 10; policy drop; }'",
		"the chain pass of the nftables table ip6 mine drops packets of containers", "nft delete table ip6 mine"},
	{"@ -t nat -I PREROUTING -p tcp --dport 8080 -j REDIRECT --to-ports 1", "container web: somebody's rule takes its port 8080/tcp", "@ -t nat -D PREROUTING 1"},
}

type doctorHost6 struct {
	*host.Host
	t    testing.TB
	vars *strings.Replacer
}

func newDoctorHost6(t testing.TB, b host.Backend) *doctorHost6 {
	h := &doctorHost6{Host: busyboxHost(t, host.IPv6(), host.Iptables(b), host.BridgeNF(true)), t: t}
	if err := h.ServeAddr(host.Outside, "["+outside6+"]:8000"); err != nil {
		t.Fatal(err)
	}
	create6(t, h.Host, "red", 1)
	create6(t, h.Host, "closed", 2, "--internal")
	runWeb(t, h.Host, "web", "--net", "red", "-p", "8080:80")
	runIdle(t, h.Host, "shut", "--net", "closed")
	id := networkField(t, h.Host, "red", "{{.Id}}")[:12]
	h.vars = strings.NewReplacer("$BR", "br-"+id, "$RED", id+":red")
	return h
}

// works checks the traffic that the damages break, and what must not get through.
func (h *doctorHost6) works(when string) {
	h.t.Helper()
	if r := h.Run("doctor"); r.Code != 0 || r.Out() != "all is well" {
		h.t.Errorf("%s: %v", when, r)
	}
	pid, shut := initPid(h.t, h.Host, "web"), initPid(h.t, h.Host, "shut")
	reaches(h.t, when+": outside to the published port", from(h.Host, host.Outside, page6(host6, 8080)), outside6)
	reaches(h.t, when+": host to the published port", from(h.Host, host.Inside, page6(host6, 8080)), host6)
	reaches(h.t, when+": web to the world", from(h.Host, pid, page6(outside6, 8000)), host6)
	if got, err := getIn(h.Host, shut, page6("fd17:2::1", 8080), silence/2); !unanswered(err) {
		h.t.Errorf("%s: the internal network reaches the host: %q, %v", when, got, err)
	}
}

// TestDoctorOnIPv6 breaks one thing after the other. Doctor names it, repairs it by
// itself or by the script it prints, and is content; traffic flows again.
func TestDoctorOnIPv6(t *testing.T) {
	t.Parallel()
	for _, b := range []host.Backend{host.NFT, host.Legacy} {
		t.Run(string(b), func(t *testing.T) {
			t.Parallel()
			h := newDoctorHost6(t, b)
			h.works("at first")
			for i, d := range damages6 {
				script, says := h.vars.Replace(d.script), h.vars.Replace(d.says)
				must(t, h.Exec("sh", "-ec", script))
				if r := h.Run("doctor"); r.Code != 1 || !strings.Contains(r.Stdout, says) {
					t.Errorf("after %s: want %q\n%v", script, says, r)
				}
				if byHand := i%2 == 0 == (b == host.NFT); byHand {
					must(t, h.Exec("sh", "-c", must(t, h.Run("doctor", "--fix", "--dry-run"))))
				} else {
					must(t, h.Run("doctor", "--fix"))
				}
				h.works("repaired after " + script)
				must(t, h.Exec("sh", "-c", "exec 2>&-\n"+strings.ReplaceAll(undoForeign, "iptables", "ip6tables")))
				if t.Failed() {
					t.FailNow()
				}
			}
		})
	}
}

// TestDoctorOnOthersOfIPv6: what other programs do to IPv6 is named, with what would
// help, and stays as it is.
func TestDoctorOnOthersOfIPv6(t *testing.T) {
	t.Parallel()
	h := newDoctorHost6(t, host.NFT)
	for _, d := range others6 {
		program := strings.NewReplacer("@", "ip6tables")
		script, says, undo := program.Replace(d.script), program.Replace(d.says), program.Replace(d.undo)
		must(t, h.Exec("sh", "-ec", script))
		r := h.Run("doctor")
		if r.Code != 1 || !strings.Contains(r.Stdout, says) || !strings.Contains(r.Stdout, "Not mini's to repair") {
			t.Errorf("after %s: want %q\n%v", script, says, r)
		}
		if r := h.Run("doctor", "--fix"); r.Code != 1 {
			t.Errorf("after %s: --fix says all is well: %v", script, r)
		}
		must(t, h.Exec("sh", "-ec", undo))
		h.works("after " + undo)
	}
	// The commands that it prints help.
	must(t, h.Exec("ip6tables-legacy", "-P", "FORWARD", "DROP"))
	must(t, h.Exec("sh", "-ec", h.Run("doctor", "--format", "{{range .Repair}}{{println .}}{{end}}").Out()))
	reaches(t, "outside, after the commands", from(h.Host, host.Outside, page6(host6, 8080)), outside6)
	must(t, h.Exec("sh", "-ec", "ip6tables-legacy -F; ip6tables-legacy -P FORWARD ACCEPT"))
}
