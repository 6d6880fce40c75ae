package integration

import (
	"testing"

	"github.com/minirt/mini/integration/host"
)

// TestConnectAndDisconnect of a container that runs: links come and go, and so
// do the ways they open.
func TestConnectAndDisconnect(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("network", "create", "--subnet", "10.1.0.0/24", "red"))
	must(t, h.Run("network", "create", "--subnet", "10.2.0.0/24", "blue"))
	runWeb(t, h, "web", "--net", "red", "-p", "8080:80")
	b := runIdle(t, h, "two", "--net", "blue")
	page := "http://10.2.0.77" + addrPage
	if _, err := getIn(h, b, page, silence); err == nil {
		t.Fatal("it answers before it is connected")
	}

	wantOut(t, h.Run("network", "connect", "--ip", "10.2.0.77", "--alias", "www", "blue", "web"), "")
	if got, err := getIn(h, b, page, patience); err != nil || got != "10.2.0.2" {
		t.Errorf("connected: sees %q, error %v", got, err)
	}
	wantOut(t, h.Run("exec", "web", "sh", "-c", "ls /sys/class/net; ip route | grep default"), "eth0\neth1\nlo\ndefault via 10.1.0.1 dev eth0")
	wantOut(t, h.Run("inspect", "-f", "{{range $n, $e := .NetworkSettings.Networks}}{{$n}} {{$e.IPAddress}} {{end}}", "web"), "blue 10.2.0.77 red 10.1.0.2")
	wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)

	fails(t, h.Run("network", "connect", "blue", "web"), 1, "endpoint with name web already exists in network blue")
	fails(t, h.Run("network", "rm", "blue"), 1, "network blue has active endpoints", "web")

	wantOut(t, h.Run("network", "disconnect", "blue", "web"), "")
	if _, err := getIn(h, b, page, silence); err == nil {
		t.Error("it answers after it was disconnected")
	}
	wantOut(t, h.Run("exec", "web", "ls", "/sys/class/net"), "eth0\nlo")
	wantAddr(t, h, host.Outside, "http://192.0.2.1:8080"+addrPage, outside)
	fails(t, h.Run("network", "disconnect", "blue", "web"), 1, "is not connected to the network blue")

	// Without its first network, the port is free.
	wantOut(t, h.Run("network", "disconnect", "red", "web"), "")
	if _, err := getFrom(h, host.Inside, "http://192.0.2.1:8080/", patience); !isRefused(err) {
		t.Errorf("the port is still held: %v", err)
	}
	wantOut(t, h.Run("exec", "web", "ls", "/sys/class/net"), "lo")
	must(t, h.Run("network", "connect", "blue", "web"))
	wantOut(t, h.Run("exec", "web", "sh", "-c", "ip route | grep default"), "default via 10.2.0.1 dev eth0")
}

// TestConnectedNetworksComeBackWithARestart, those of a stopped container too.
func TestConnectedNetworksComeBackWithARestart(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("network", "create", "red"))
	must(t, h.Run("network", "create", "blue"))
	runIdle(t, h, "one")
	must(t, h.Run("network", "connect", "red", "one"))
	must(t, h.Run("restart", "-t", "0", "one"))
	wantOut(t, h.Run("exec", "one", "ls", "/sys/class/net"), "eth0\neth1\nlo")
	must(t, h.Run("stop", "-t", "0", "one"))
	must(t, h.Run("network", "connect", "blue", "one"))
	must(t, h.Run("network", "disconnect", "red", "one"))
	must(t, h.Run("start", "one"))
	wantOut(t, h.Run("exec", "one", "ls", "/sys/class/net"), "eth0\neth1\nlo")
	wantOut(t, h.Run("inspect", "-f", "{{range $n, $e := .NetworkSettings.Networks}}{{$n}} {{end}}", "one"), "blue bridge")
}

// TestConnectIsRefused where there is nothing to connect to.
func TestConnectIsRefused(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("network", "create", "--subnet", "10.1.0.0/24", "red"))
	runIdle(t, h, "plain")
	runIdle(t, h, "hosted", "--net", "host")
	runIdle(t, h, "lonely", "--net", "none")
	runIdle(t, h, "joined", "--net", "container:plain")
	const shared = "container sharing network namespace with another container or host cannot be connected to any other network"
	fails(t, h.Run("network", "connect", "red", "hosted"), 1, shared)
	fails(t, h.Run("network", "connect", "red", "joined"), 1, shared)
	fails(t, h.Run("network", "connect", "red", "lonely"), 1, "private (none) mode")
	fails(t, h.Run("network", "connect", "host", "plain"), 1, "container cannot be disconnected from host network or connected to host network")
	fails(t, h.Run("network", "connect", "none", "plain"), 1, "private (none) mode")
	fails(t, h.Run("network", "connect", "--ip", "10.3.0.1", "red", "plain"), 1, "10.3.0.1", "10.1.0.0/24")
	fails(t, h.Run("network", "connect", "red", "nobody"), 1, "No such container: nobody")
	fails(t, h.Run("network", "connect", "nowhere", "plain"), 1, "network nowhere not found")
	fails(t, h.Run("network", "disconnect", "nowhere", "plain"), 1, "network nowhere not found")
	wantOut(t, h.Run("exec", "plain", "ls", "/sys/class/net"), "eth0\nlo")
}
