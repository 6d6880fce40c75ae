package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/minirt/mini/integration/host"
)

// TestAddressChangesHands: a peer and the host, which both have the former owner
// of an address in their neighbour caches, reach the new one within 100 ms.
func TestAddressChangesHands(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("network", "create", "--subnet", "10.61.0.0/24", "red"))
	peer := runIdle(t, h, "peer", "--net", "red")
	ask := func() error {
		// A closed port refuses: the address is reached. A try at a former owner is
		// lost, so each is short.
		_, err := getIn(h, peer, "http://10.61.0.9:9/", 10*time.Millisecond)
		if !isRefused(err) {
			return fmt.Errorf("the peer: %w", err)
		}
		if _, err = getFrom(h, host.Inside, "http://10.61.0.9:9/", 10*time.Millisecond); !isRefused(err) {
			return fmt.Errorf("the host: %w", err)
		}
		return nil
	}
	for i := range 6 {
		name := fmt.Sprint("owner", i)
		runIdle(t, h, name, "--net", "red", "--ip", "10.61.0.9", "--mac-address", fmt.Sprintf("02:00:00:00:00:%02x", i))
		begin := time.Now()
		host.Eventually(t, patience, ask)
		if took := time.Since(begin); took > 100*time.Millisecond {
			t.Errorf("owner %d was reached after %v", i, took)
		}
		for _, neigh := range []host.Result{inNet(h, peer, "ip", "neigh", "show", "10.61.0.9"), h.Exec("ip", "neigh", "show", "10.61.0.9")} {
			if want := fmt.Sprintf("lladdr 02:00:00:00:00:%02x", i); !strings.Contains(must(t, neigh), want) {
				t.Errorf("the entry is %q, want %s", neigh.Out(), want)
			}
		}
		must(t, h.Run("rm", "-f", name))
	}
}
