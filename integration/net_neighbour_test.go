package integration

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/minirt/mini/integration/host"
)

// within is what may pass until an address that changed hands is reached, beside
// what an exchange with a well known address takes at the same time.
const within = 100 * time.Millisecond

// timeToReach says how long it takes until the process and the host reach an
// address. A closed port refuses: then it is reached. A try at a former owner is
// lost, so each is short.
func timeToReach(t *testing.T, h *host.Host, pid int, addr string) time.Duration {
	t.Helper()
	url, begin := "http://"+net.JoinHostPort(addr, "9")+"/", time.Now()
	host.Eventually(t, patience, func() error {
		_, err := getIn(h, pid, url, 10*time.Millisecond)
		if !isRefused(err) {
			return fmt.Errorf("the peer: %w", err)
		}
		if _, err = getFrom(h, host.Inside, url, 10*time.Millisecond); !isRefused(err) {
			return fmt.Errorf("the host: %w", err)
		}
		return nil
	})
	return time.Since(begin)
}

// TestAddressChangesHands: a peer and the host, which both have the former owner
// of an address in their neighbour caches, reach the new one within 100 ms.
func TestAddressChangesHands(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("network", "create", "--subnet", "10.61.0.0/24", "red"))
	peer := runIdle(t, h, "peer", "--net", "red")
	for i := range 6 {
		name := fmt.Sprint("owner", i)
		runIdle(t, h, name, "--net", "red", "--ip", "10.61.0.9", "--mac-address", fmt.Sprintf("02:00:00:00:00:%02x", i))
		took, usual := timeToReach(t, h, peer, "10.61.0.9"), timeToReach(t, h, peer, "10.61.0.1")
		if took > within+usual {
			t.Errorf("owner %d was reached after %v; exchanges take %v", i, took, usual)
		}
		for _, neigh := range []host.Result{inNet(h, peer, "ip", "neigh", "show", "10.61.0.9"), h.Exec("ip", "neigh", "show", "10.61.0.9")} {
			if want := fmt.Sprintf("lladdr 02:00:00:00:00:%02x", i); !strings.Contains(must(t, neigh), want) {
				t.Errorf("the entry is %q, want %s", neigh.Out(), want)
			}
		}
		must(t, h.Run("rm", "-f", name))
	}
}
