package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// TestNetworkInspect: addresses used and free as Docker counts them, and each
// container's cable as the kernel has it.
func TestNetworkInspect(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	must(t, h.Run("network", "create", "--subnet", "10.60.0.0/24", "--ip-range", "10.60.0.128/29", "--aux-address", "nas=10.60.0.130", "red"))
	usage := func() string {
		return networkField(t, h, "red", `{{with index .Status.IPAM.Subnets "10.60.0.0/24"}}{{.IPsInUse}} {{.DynamicIPsAvailable}}{{end}}`)
	}
	if got := usage(); got != "4 7" { // network, broadcast, gateway, nas
		t.Errorf("unused: got %s, want 4 in use and 7 free", got)
	}
	runIdle(t, h, "web", "--net", "red")
	runIdle(t, h, "fixed", "--net", "red", "--ip", "10.60.0.9")
	if got := usage(); got != "6 6" {
		t.Errorf("with two containers: got %s, want 6 in use and 6 free", got)
	}
	id := must(t, h.Run("inspect", "-f", "{{.Id}}", "web"))
	got := networkField(t, h, "red", fmt.Sprintf(`{{with index .Containers %q}}{{.Name}} {{.Interface}} {{.HostLink}} {{.HostLinkIndex}} {{.MacAddress}} {{.IPv4Address}}{{end}}`, id))
	link := table(must(t, h.Exec("sh", "-c", "ip -o link show type veth | grep :web:eth0")))[0]
	name, _, _ := strings.Cut(link[1], "@")
	if want := fmt.Sprintf("web eth0 %s %s 02:42:0a:3c:00:80 10.60.0.128/24", name, strings.TrimSuffix(link[0], ":")); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	must(t, h.Run("network", "exists", "red"))
	wantCode(t, h.Run("network", "exists", "blue"), 1)
	must(t, h.Run("network", "create", "--label", "keep", "blue"))
	must(t, h.Run("network", "prune", "-f", "--filter", "label!=keep"))
	must(t, h.Run("network", "exists", "blue"))
	must(t, h.Run("network", "prune", "-f"))
	wantCode(t, h.Run("network", "exists", "blue"), 1)
}

// TestBridgeDeleted: mini network reload makes a bridge again that somebody
// deleted, and a container that runs is back on it.
func TestBridgeDeleted(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	runWeb(t, h, "web", "-p", "8080:80")
	must(t, h.Exec("ip", "link", "delete", "mini0"))
	if _, err := getFrom(h, host.Outside, "http://"+hostIP+":8080"+addrPage, silence); err == nil {
		t.Error("it answers without a bridge")
	}
	r := h.Run("network", "reload", "--explain", "bridge")
	if r.Code != 0 || !strings.Contains(r.Stderr, "plug veth") {
		t.Errorf("%v", r)
	}
	wantAddr(t, h, host.Outside, "http://"+hostIP+":8080"+addrPage, outside)
	must(t, h.Run("doctor"))
	// The next container does the same.
	must(t, h.Exec("ip", "link", "delete", "mini0"))
	runIdle(t, h, "next")
	wantAddr(t, h, host.Outside, "http://"+hostIP+":8080"+addrPage, outside)
	must(t, h.Run("doctor"))
}
