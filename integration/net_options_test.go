package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
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

// TestRoutedNetwork: a published port is the container's own, and the host's is
// free for others.
func TestRoutedNetwork(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("network", "create", "-o", "gateway_mode=routed", "--subnet", "10.77.0.0/24", "red"))
	runWeb(t, h, "web", "--net", "red", "-p", "8080:80")
	must(t, h.Outside("ip", "route", "add", "10.77.0.0/24", "via", hostIP))
	wantAddr(t, h, host.Outside, "http://10.77.0.2"+addrPage, outside)
	if _, err := getFrom(h, host.Inside, "http://127.0.0.1:8080"+addrPage, silence); !isRefused(err) {
		t.Errorf("the host's port: got %v, want a refusal", err)
	}
	wantOut(t, h.Run("ps", "--format", "{{.Ports}}"), "80/tcp")
	wantOut(t, h.Run("port", "web"), "")
	wantOut(t, h.Run("inspect", "-f", "{{json .NetworkSettings.Ports}}", "web"), `{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":""}]}`)
	// Another container can have the port on the host.
	runWeb(t, h, "other", "-p", "8080:80")
	wantAddr(t, h, host.Outside, "http://"+hostIP+":8080"+addrPage, outside)
	must(t, h.Run("rm", "-f", "web"))
	if _, err := getFrom(h, host.Outside, "http://10.77.0.2"+addrPage, silence); err == nil {
		t.Error("the container is gone, but something answers")
	}
}

// TestIPMasq: Podman's flag is Docker's option.
func TestIPMasq(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	if err := h.ServeAddr(host.Outside, "192.0.2.2:8000"); err != nil {
		t.Fatal(err)
	}
	must(t, h.Outside("ip", "route", "add", "10.78.0.0/24", "via", hostIP))
	for _, c := range []struct{ flag, seen, option string }{
		{"--ip-masq=false", "10.78.0.2", "false"}, {"--ip-masq", hostIP, "true"},
	} {
		must(t, h.Run("network", "create", c.flag, "--subnet", "10.78.0.0/24", "red"))
		if got := networkField(t, h, "red", `{{index .Options "com.docker.network.bridge.enable_ip_masquerade"}}`); got != c.option {
			t.Errorf("%s: the option is %q", c.flag, got)
		}
		wantOut(t, h.Run("run", "--rm", "--net", "red", "busybox", "wget", "-qO-", "http://192.0.2.2:8000/"), c.seen)
		must(t, h.Run("network", "rm", "red"))
	}
	fails(t, h.Run("network", "create", "--ip-masq=false", "-o", "masquerade=true", "red"), 1, "--ip-masq=false and the option masquerade=true contradict each other")
	fails(t, h.Run("network", "create", "--ip-masq=perhaps", "red"), 125, "perhaps")
	fails(t, h.Run("network", "exists", "red"), 1)
}

// TestInhibitIPv4: the bridge has no address; the gateway is another machine on it.
func TestInhibitIPv4(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("network", "create", "-o", "inhibit_ipv4=true", "-o", "bridge_name=office0", "--subnet", "10.78.0.0/24", "office"))
	r := h.Run("run", "-d", "--name", "box", "--net", "office", "-p", "8080:80", "busybox", "sleep", "1000")
	if r.Code != 0 || !strings.Contains(r.Stderr, "the host has no address on network office") {
		t.Errorf("want a notice: %v", r)
	}
	wantOut(t, h.Exec("ip", "-o", "-4", "addr", "show", "office0"), "")
	wantOut(t, h.Run("exec", "box", "ip", "route"), "default via 10.78.0.1 dev eth0 \n10.78.0.0/24 dev eth0 scope link  src 10.78.0.2")
	router := fmt.Sprint(runWeb(t, h, "router", "--net", "none"))
	must(t, h.Exec("ip", "link", "add", "r0", "master", "office0", "up", "type", "veth", "peer", "name", "r1", "netns", router))
	must(t, h.Exec("nsenter", "--net=/proc/"+router+"/ns/net", "sh", "-ec", "ip addr add 10.78.0.1/24 dev r1; ip link set r1 up; ip addr add 203.0.113.9/32 dev lo"))
	box := initPid(t, h, "box")
	for _, addr := range []string{"10.78.0.1", "203.0.113.9"} {
		if got, err := getIn(h, box, "http://"+addr+addrPage, patience); err != nil || got != "10.78.0.2" {
			t.Errorf("%s sees %q, error %v", addr, got, err)
		}
	}
	wantOut(t, h.Run("doctor"), "all is well")
	must(t, h.Run("network", "reload"))
	wantOut(t, h.Exec("ip", "-o", "-4", "addr", "show", "office0"), "")
	fails(t, h.Run("network", "create", "-o", "inhibit_ipv4=often", "red"), 1, "neither true nor false")
}

// TestDoctorKnowsNetworkOptions: what a network lacks by its options is no damage.
func TestDoctorKnowsNetworkOptions(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t, host.Iptables(host.NFT))
	for name, flags := range map[string][]string{
		"routed": {"-o", "gateway_mode=routed"}, "open": {"-o", "gateway_mode=nat-unprotected"},
		"isolated": {"-o", "gateway_mode=isolated", "--internal"}, "plain": {"-o", "masquerade=false"}, "lonely": {"-o", "icc=false"},
	} {
		must(t, h.Run(append([]string{"network", "create", name}, flags...)...))
		runIdle(t, h, "on-"+name, "--net", name, "-p", "80")
	}
	must(t, h.Run("doctor"))
	// A published port of a routed network is a rule in the table filter.
	must(t, h.Exec("sh", "-c", "iptables -F; iptables -X"))
	wantCode(t, h.Run("doctor"), 1)
	must(t, h.Run("doctor", "--fix"))
	must(t, h.Run("doctor"))
	fails(t, h.Run("port", "add", "on-routed", "81"), 1, "network routed is routed")
}
