package integration

import (
	"fmt"
	"os"
	"testing"

	"github.com/minirt/mini/integration/host"
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

// testMain builds mini once, runs all tests, and then checks that none of them
// has changed the machine itself.
func testMain(m *testing.M) int {
	if os.Geteuid() != 0 {
		return m.Run() // each test says that it needs root
	}
	clean, err := host.Build()
	if clean != nil {
		defer func() {
			if err := clean(); err != nil {
				fmt.Fprintln(os.Stderr, "integration: removing the binary:", err)
			}
		}()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		return 1
	}
	before, err := host.Machine()
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration: looking at the machine:", err)
		return 1
	}
	code := m.Run()
	if !machineIsAsBefore(before) && os.Getenv("CI") == "true" {
		return 1
	}
	return code
}

// machineIsAsBefore reports changes of the machine. On a developer's machine
// somebody else may have made them; in CI they fail the run.
func machineIsAsBefore(before host.Snapshot) bool {
	after, err := host.Machine()
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration: looking at the machine:", err)
		return false
	}
	diff := before.Diff(after)
	if len(diff) == 0 {
		return true
	}
	fmt.Fprintf(os.Stderr, "integration: WARNING: the machine itself changed while the tests ran:\n%s", diff)
	return false
}

// newHost makes a private host with what every use of mini may leave behind by
// design.
func newHost(t testing.TB, opts ...host.Option) *host.Host {
	t.Helper()
	return host.New(t, append(designed(), opts...)...)
}

// designed are the differences that mini's design accepts after the last
// container and network are gone. Each needs a reason. Add none for comfort.
func designed() []host.Option {
	const forward = "mini sets ip_forward, says so, and does not know who else relies on it afterwards"
	return []host.Option{
		host.Allow(host.SecSysctl, `^net/ipv4/ip_forward = `, forward),
		host.Allow(host.SecSysctl, `^net/ipv4/conf/[^/]+/forwarding = `, forward),
		host.Allow(host.SecSysctl, `^net/ipv6/conf/[^/]+/forwarding = `, "the same for IPv6"),
		host.Allow(host.SecSysctl, `^net/ipv6/conf/uplink0/accept_ra = [12]$`, "a link that listens to router advertisements goes on, though the host is a router now"),
		host.Allow(host.SecRoutes, `^table 255 type 4 [0-9a-f:]+::/128 dev uplink0 `, "a router has the anycast address of its subnets, see RFC 4291, section 2.6.1"),
		host.Allow(host.SecSysctl, `^net/ipv4/conf/all/accept_redirects = `, "the kernel changes it along with ip_forward"),
		host.Allow(host.SecCgroups, `/mini$`, "the parent of all containers' cgroups stays, empty: removing it would race with a start"),
		host.Allow(host.SecRoot, `/root/(images|layers|blobs|rootfs)/`, "images stay until mini rmi"),
		host.Allow(host.SecState, `\.(lock|db|bitmap)$`, "locks and tables are made once and stay, empty"),
		host.Allow(host.SecState, `/state/swept$`, "says that this boot's first look for dead containers was taken"),
		host.Allow(host.SecState, `/state/republished$`, "says when rules of ports were last put back, empty"),
		host.Allow(host.SecState, `/state/firewall\.json$`, "the chain prefix, once chosen, stays"),
		host.Allow(host.SecState, `/state/networks/[0-9a-f]{64}/(addresses|lock)$`, "the default network's next address is remembered"),
		host.Allow(host.SecState, `/$`, "directories of the state stay, empty"),
		host.Allow(host.SecRoot, `\.(lock|db)$`, "locks and tables are made once and stay, empty"),
		host.Allow(host.SecRoot, `/root/[^/]+/$`, "the top directories stay"),
		host.Allow(host.SecRoot, `/root/networks/(bridge|host|none|\.lock)\.json$`, "the predefined networks keep the ids they got"),
		host.Allow(host.SecRoot, `/root/volumes/\.tmp/$`, "the place where volumes are made stays, empty"),
	}
}
