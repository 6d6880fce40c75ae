package integration

import (
	"strings"
	"testing"
)

// TestNetworkOptions: options by Docker's names and by short ones, and what
// inspect shows of them.
func TestNetworkOptions(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("network", "create", "--attachable", "--ipam-driver", "default", "--subnet", "10.77.0.0/29",
		"--aux-address", "router=10.77.0.2", "--aux-address", "nas=10.77.0.4", "-o", "masquerade=false", "-o", "mtu=1300", "red"))
	for format, want := range map[string]string{
		`{{index .Options "com.docker.network.bridge.enable_ip_masquerade"}}`: "false",
		`{{index .Options "com.docker.network.driver.mtu"}}`:                  "1300",
		`{{json (index .IPAM.Config 0).AuxiliaryAddresses}}`:                  `{"nas":"10.77.0.4","router":"10.77.0.2"}`,
	} {
		if got := networkField(t, h, "red", format); got != want {
			t.Errorf("%s: got %s, want %s", format, got, want)
		}
	}
	// .1 is the gateway, .2 and .4 are kept back.
	for _, want := range []string{"10.77.0.3", "10.77.0.5", "10.77.0.6"} {
		name := "c" + want[len(want)-1:]
		runIdle(t, h, name, "--net", "red")
		wantOut(t, h.Run("inspect", "-f", `{{.NetworkSettings.Networks.red.IPAddress}}`, name), want)
	}
	fails(t, h.Run("run", "--rm", "--net", "red", "busybox", "true"), 125, "subnet 10.77.0.0/29: no free address")
	fails(t, h.Run("run", "--rm", "--net", "red", "--ip", "10.77.0.2", "busybox", "true"), 125, "address 10.77.0.2 is reserved")
	if rules := must(t, h.Exec("iptables-save", "-t", "nat")); strings.Contains(rules, "10.77.0.0/29 ! -o") {
		t.Errorf("it is masqueraded:\n%s", rules)
	}
}
