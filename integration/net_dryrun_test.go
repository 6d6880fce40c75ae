package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// kernelSections are the parts of a host's picture that a network is made of.
var kernelSections = []string{host.SecLinks, host.SecAddrs, host.SecRoutes, host.SecPolicy, host.SecNeigh, host.SecSysctl, host.SecRules, host.SecNFT}

// TestDryRunBuildsWhatMiniBuilds runs the printed script in a second, empty
// host, and compares what it built with what mini builds in the first.
func TestDryRunBuildsWhatMiniBuilds(t *testing.T) {
	for _, c := range []struct {
		name    string
		backend host.Backend
		create  []string // a network of that name
		flags   []string
	}{
		{"bridge", host.NFT, nil, nil},
		{"bridge with ports", host.NFT, nil, []string{"-p", "8080:80", "-p", "127.0.0.1:5353:53/udp"}},
		{"bridge with ports, legacy", host.Legacy, nil, []string{"-p", "8080:80", "-p", "127.0.0.1:5353:53/udp"}},
		{"ranges of ports", host.NFT, nil, []string{"-p", "8000-8004:8000-8004", "-p", "9000-9001:8000-8001", "-p", "127.0.0.1:7000-7001:7000-7001/udp"}},
		{"ranges of ports, legacy", host.Legacy, nil, []string{"-p", "8000-8004:8000-8004/udp", "-p", "7000-7010:80"}},
		{"fixed address", host.NFT, nil, []string{"--ip", "172.17.0.99", "--mac-address", "02:00:00:00:00:99"}},
		{"user network", host.NFT, []string{"--subnet", "10.66.0.0/16", "--mtu", "1400", "red"}, []string{"--net", "red", "-p", "8080:80"}},
		{"internal network", host.Legacy, []string{"--internal", "red"}, []string{"--net", "red"}},
		{"no communication", host.NFT, []string{"-o", "icc=false", "red"}, []string{"--net", "red", "-p", "8080:80"}},
		{"no masquerading", host.Legacy, []string{"-o", "masquerade=false", "red"}, []string{"--net", "red", "-p", "8080:80"}},
		{"routed", host.NFT, []string{"-o", "gateway_mode=routed", "red"}, []string{"--net", "red", "-p", "80"}},
		{"two networks", host.NFT, []string{"--subnet", "10.66.0.0/16", "red"}, []string{"--net", "bridge", "--net", "name=red,ip=10.66.0.9,gw-priority=1", "-p", "8080:80"}},
		{"two networks, legacy", host.Legacy, []string{"--internal", "red"}, []string{"--net", "red", "--net", "bridge", "-p", "8080:80"}},
		{"bridge with ports, nftables", host.Native, nil, []string{"-p", "8080:80", "-p", "7000-7009:7000-7009", "-p", "127.0.0.1:5353:53/udp"}},
		{"internal network, nftables", host.Native, []string{"--internal", "red"}, []string{"--net", "red"}},
		{"ptp", host.NFT, []string{"-d", "ptp", "red"}, []string{"--net", "red", "-p", "8080:80", "-p", "127.0.0.1:5353:53/udp"}},
		{"internal ptp, legacy", host.Legacy, []string{"-d", "ptp", "--internal", "--mtu", "1000", "red"}, []string{"--net", "red"}},
		{"ptp and bridge, nftables", host.Native, []string{"-d", "ptp", "-o", "icc=false", "red"}, []string{"--net", "bridge", "--net", "name=red,gw-priority=1", "-p", "8080:80"}},
		{"ptp with IPv6", host.NFT, []string{"-d", "ptp", "--ipv6", "--subnet", "fd00:1::/64", "red"}, []string{"--net", "red", "-p", "8080:80"}},
		{"ptp with IPv6 only, nftables", host.Native, []string{"-d", "ptp", "--ipv6", "--ipv4=false", "--subnet", "fd00:1::/64", "red"}, []string{"--net", "red"}},
		{"none", host.NFT, nil, []string{"--net", "none"}},
		{"dual-stack", host.NFT, []string{"--ipv6", "--subnet", redSix, "red"}, []string{"--net", "red", "-p", "8080:80", "-p", "127.0.0.1:5353:53/udp"}},
		{"dual-stack, legacy", host.Legacy, []string{"--ipv6", "red"}, []string{"--net", "red", "-p", "8080:80"}},
		{"dual-stack, nftables", host.Native, []string{"--ipv6", "--subnet", redSix, "red"}, []string{"--net", "red", "--ip6", "fd00:1::5:0:0:1", "-p", "8080:80"}},
		{"IPv6 only", host.NFT, []string{"--ipv6", "--ipv4=false", "--subnet", redSix, "red"}, []string{"--net", "red", "-p", "8080:80"}},
		{"IPv6 only, nftables", host.Native, []string{"--ipv6", "--ipv4=false", "--subnet", redSix, "red"}, []string{"--net", "red", "-p", "8080:80"}},
		{"IPv4 and IPv6 by two networks", host.NFT, []string{"--ipv6", "--ipv4=false", "red"}, []string{"--net", "bridge", "--net", "red"}},
		{"no communication, dual-stack", host.NFT, []string{"--ipv6", "-o", "icc=false", "red"}, []string{"--net", "red", "-p", "8080:80"}},
		{"internal, dual-stack", host.Legacy, []string{"--ipv6", "--internal", "red"}, []string{"--net", "red"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			first := busyboxHost(t, host.Iptables(c.backend))
			if c.create != nil {
				must(t, first.Run(append([]string{"network", "create"}, c.create...)...))
			}
			args := slices.Concat([]string{"--name", "web"}, c.flags, []string{"busybox", "sleep", "1000"})
			script := must(t, first.Run(append([]string{"run", "--dry-run"}, args...)...))
			must(t, first.Run(append([]string{"run", "-d"}, args...)...))
			pid := initPid(t, first, "web")
			second := newHost(t, host.Iptables(c.backend))
			for _, section := range append(kernelSections, host.SecMounts, host.SecRun) {
				second.Allow(section, "", "a script does not clean up")
			}
			r := second.Do(host.Command{Args: []string{"sh", "-eu"}, Stdin: sameIDs(t, first, script)})
			if r.Code != 0 || r.Stderr != "" {
				t.Fatalf("%v", r)
			}
			// The kernel gives bridges an IPv6 address a moment after they are up.
			if err := host.Poll(patience, func() error {
				if diff := picture(t, first).Diff(picture(t, second)); len(diff) > 0 {
					return fmt.Errorf("mini (-) and the script (+) built:\n%s", diff)
				}
				want := insideOf(t, inNet(first, pid, "sh", "-c", insideScript))
				if got := insideOf(t, second.Exec("ip", "netns", "exec", "mini-web", "sh", "-c", insideScript)); got != want {
					return fmt.Errorf("in the container mini built:\n%s\nthe script built:\n%s", want, got)
				}
				return nil
			}); err != nil {
				t.Errorf("%v\nthe script:\n%s", err, script)
			}
		})
	}
}

// picture is what a host's network is made of, once its links are settled.
func picture(t testing.TB, h *host.Host) host.Snapshot {
	t.Helper()
	s, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	kernel := host.Snapshot{}
	for _, section := range kernelSections {
		kernel[section] = s[section]
	}
	// What the picture of a link leaves out.
	out := must(t, h.Exec("sh", "-c", `ip -d -o link | grep -v -e uplink0 -e ' lo:' |
		grep -o -e '^[0-9]*: [^:@]*' -e 'link/ether [0-9a-f:]*' -e 'hairpin [a-z]*' -e 'isolated [a-z]*' -e 'addrgenmode [a-z0-9]*' | sed 's/^[0-9]*: //' || true`))
	kernel["link details"] = strings.Split(strings.ReplaceAll(out, "\nlink/", " link/"), "\n")
	return kernel
}

// insideScript prints all that a plan may change in a container's namespace.
const insideScript = `ip -d -o link | sed 's/^[0-9]*: //; s/@if[0-9]*//; s/ link-netns[^ ]* [^ ]*//; s/ state [A-Z]*//; s/NO-CARRIER,//; s/,LOWER_UP//'
ip -o addr | sed 's/^[0-9]*: //'
ip route show table all | sed 's/ linkdown//'
sysctl -a 2>/dev/null | grep -E '^net.ipv[46].(conf|ip_forward)' | sort
nft list table ip mini 2>/dev/null | sed 's/127.0.0.11:[0-9]*/127.0.0.11:PORT/' || true`

func insideOf(t testing.TB, r host.Result) string {
	t.Helper()
	if strings.Contains(r.Stderr, "not found") {
		t.Fatalf("%v", r)
	}
	return must(t, r)
}

// cableNames are those of cables on a bridge, and of cables of ptp networks.
var cableNames = []*regexp.Regexp{regexp.MustCompile(`veth[0-9a-f]{9,11}`), regexp.MustCompile(`\bpt[0-9a-f]{13}`)}

// sameIDs puts the running container's identity in the place of the one that
// the dry run made up.
func sameIDs(t testing.TB, h *host.Host, script string) string {
	t.Helper()
	id := must(t, h.Run("inspect", "-f", "{{.Id}}", "web"))
	script = regexp.MustCompile(`mini:[0-9a-f]{12}:web\b`).ReplaceAllString(script, "mini:"+id[:12]+":web")
	// Both sides number their cables.
	links := must(t, h.Exec("ip", "-br", "link"))
	for _, name := range cableNames {
		real := distinct(name.FindAllString(links, -1))
		slices.Sort(real)
		for i, made := range distinct(name.FindAllString(script, -1)) {
			script = strings.ReplaceAll(script, made, real[i])
		}
	}
	return script
}

// distinct gives each word once, in the order in which they first come.
func distinct(words []string) (out []string) {
	for _, w := range words {
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

// TestDryRunTouchesNothing: no container, no address, no file, no change of the
// host, not even where mini was never used.
func TestDryRunTouchesNothing(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	for _, flags := range [][]string{{}, {"-p", "8080:80", "-p", "80"}, {"--net", "host"}, {"--net", "none"}, {"--name", "xx", "-v", "vol:/data", "-v", h.Dir + "/new:/new"}} {
		dryRun(t, h, flags...)
	}
	if _, err := os.Stat(filepath.Join(h.Dir, "new")); err == nil {
		t.Error("the dry run made the source of a bind mount")
	}
	must(t, h.Run("network", "create", "red"))
	dryRun(t, h, "--net", "red")
	dryRun(t, h, "--net", "bridge", "--net", "red")
	wantOut(t, h.Run("ps", "-a", "-q"), "")
	wantOut(t, h.Run("volume", "ls", "-q"), "")
	// The addresses that were shown are free.
	wantOut(t, h.Run("run", "--rm", "busybox", "hostname", "-i"), firstIP)
}

// dryRun checks that a dry run prints a script, and changes nothing.
func dryRun(t *testing.T, h *host.Host, flags ...string) {
	t.Helper()
	before, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	script := must(t, h.Run(slices.Concat([]string{"run", "--dry-run"}, flags, []string{"busybox", "true"})...))
	after, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if diff := before.Diff(after); len(diff) > 0 {
		t.Errorf("the dry run with %q changed something:\n%s", flags, diff)
	}
	if !strings.HasPrefix(script, "#!/bin/sh\n") {
		t.Errorf("not a script:\n%s", script)
	}
	wantCode(t, h.Do(host.Command{Args: []string{"sh", "-n"}, Stdin: script}), 0)
}

// TestDryRunChecksItsInput as a real run does.
func TestDryRunChecksItsInput(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	runIdle(t, h, "one", "--ip", "172.17.0.9")
	fails(t, h.Run("run", "--dry-run", "--net", "nowhere", "busybox", "true"), 125, "network nowhere not found")
	fails(t, h.Run("run", "--dry-run", "-p", "x:80", "busybox", "true"), 125, "invalid port mapping")
	fails(t, h.Run("run", "--dry-run", "nothing-like-that", "true"), 125, "nothing-like-that")
	fails(t, h.Run("run", "--dry-run", "--ip", "172.17.0.9", "busybox", "true"), 125, "in use by container one")
}

// TestExplainShowsEachStep of run and of networks: its number and name, why,
// the command, the time.
func TestExplainShowsEachStep(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.Iptables(host.NFT))
	args := []string{"--name", "web", "-p", "8080:80", "busybox", "sleep", "1000"}
	script := must(t, h.Run(append([]string{"run", "--dry-run"}, args...)...))
	r := h.Run(append([]string{"run", "-d", "--explain"}, args...)...)
	wantCode(t, r, 0)
	if len(strings.TrimSpace(r.Stdout)) != 64 {
		t.Errorf("standard output is for the id alone: %v", r)
	}
	explained(t, r.Stderr, "bring network bridge up", "attach web to network bridge")
	for _, want := range []string{
		"$ sysctl -q -w net.ipv4.ip_forward=1", "$ ip link add name mini0 ", "$ iptables -t nat -N DOCKER",
		"$ ip -n mini-web address add 172.17.0.2/24", "$ ip -n mini-web route add default via 172.17.0.1",
		"--dport 8080", "--to-destination 172.17.0.2:80",
	} {
		if !strings.Contains(r.Stderr, want) {
			t.Errorf("%q is not in the explanation:\n%s", want, r.Stderr)
		}
	}
	// The commands are those of the dry run, but for what is different each time.
	same := regexp.MustCompile(`veth[0-9a-f]+|mini:[0-9a-f]{12}:web|02:[0-9a-f:]+`)
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line == "set -eu" {
			continue
		}
		if !strings.Contains(same.ReplaceAllString(r.Stderr, "X"), "$ "+same.ReplaceAllString(line, "X")+"\n") {
			t.Errorf("the dry run has a command that was not explained: %s", line)
		}
	}

	// A network that is up needs no steps.
	second := h.Run("run", "-d", "--explain", "--name", "second", "busybox", "sleep", "1000")
	explained(t, second.Stderr, "attach second to network bridge")
	if strings.Contains(second.Stderr, "create bridge") {
		t.Errorf("explained what was not done:\n%s", second.Stderr)
	}

	must(t, h.Run("network", "create", "red"))
	up := h.Run("--log-level", "debug", "network", "up", "red")
	wantCode(t, up, 0)
	explained(t, up.Stdout+up.Stderr, "bring network red up")
	down := h.Run("network", "down", "--explain", "red")
	wantCode(t, down, 0)
	explained(t, down.Stdout+down.Stderr, "take network red down")
}

var (
	stepLine = regexp.MustCompile(`^\[(\d+)/(\d+)\] \S.*  \(\d+\.\d\d ms\)$`)
	timed    = regexp.MustCompile(`^\[\d+/\d+\]`)
)

// explained checks an explanation's form: the titles, and below each all steps
// in order, each with its time, a reason and a command.
func explained(t *testing.T, text string, titles ...string) {
	t.Helper()
	var got []string
	next, total := 1, 0
	step, reason, command := "", false, false
	finish := func() {
		if step != "" && (!reason || !command) {
			t.Errorf("step %q has no reason or no command:\n%s", step, text)
		}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "== "):
			finish()
			if next <= total {
				t.Errorf("the steps end before step %d of %d:\n%s", next, total, text)
			}
			got, next, total, step = append(got, strings.TrimPrefix(line, "== ")), 1, 0, ""
		case timed.MatchString(line):
			finish()
			m := stepLine.FindStringSubmatch(line)
			if m == nil || m[1] != fmt.Sprint(next) {
				t.Errorf("want step %d with its time, got %q:\n%s", next, line, text)
				return
			}
			if _, err := fmt.Sscan(m[2], &total); err != nil {
				t.Fatal(err)
			}
			next, step, reason, command = next+1, line, false, false
		case strings.HasPrefix(line, "      $ "):
			command = true
		case strings.HasPrefix(line, "      "):
			reason = true
		}
	}
	finish()
	if next <= total {
		t.Errorf("the steps end before step %d of %d:\n%s", next, total, text)
	}
	if !slices.Equal(got, titles) {
		t.Errorf("explained %q, want %q:\n%s", got, titles, text)
	}
}
