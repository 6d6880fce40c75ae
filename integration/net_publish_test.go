package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
)

// importExposing makes an image of busybox that exposes ports.
func importExposing(t testing.TB, h *host.Host, name, ports string) {
	t.Helper()
	tarball, err := host.Busybox()
	if err != nil {
		t.Fatal(err)
	}
	must(t, h.Run("import", "-c", "EXPOSE "+ports, tarball, name))
}

// TestPublishAll: -P publishes what the image and --expose name and -p does not,
// each on a port of its own; inspect, ps and port show all of it as Docker does.
func TestPublishAll(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	importExposing(t, h, "exposing", "80 53/udp")
	run := append([]string{"run", "-d", "--name", "web", "-P", "--expose", "81-82", "-p", "8080:82", "exposing"}, httpd...)
	must(t, h.Run(run...))
	waitForWeb(t, h, initPid(t, h, "web"))
	ports := map[string]string{}
	for _, line := range strings.Split(must(t, h.Run("port", "web")), "\n") {
		private, at, _ := strings.Cut(line, " -> ")
		ports[private] = at
	}
	if len(ports) != 4 || ports["82/tcp"] != "0.0.0.0:8080" || ports["80/tcp"] == ports["81/tcp"] || ports["53/udp"] == "" {
		t.Fatalf("published are %v", ports)
	}
	wantAddr(t, h, host.Outside, "http://"+strings.Replace(ports["80/tcp"], "0.0.0.0", hostIP, 1)+addrPage, outside)
	wantOut(t, h.Run("inspect", "-f", "{{.HostConfig.PublishAllPorts}} {{json .HostConfig.PortBindings}} {{json .Config.ExposedPorts}}", "web"),
		`true {"82/tcp":[{"HostIp":"","HostPort":"8080"}]} {"53/udp":{},"80/tcp":{},"81/tcp":{},"82/tcp":{}}`)
	_, udp, _ := strings.Cut(ports["53/udp"], ":")
	for filter, want := range map[string]string{
		"publish=8080": "web", "publish=8000-8100/tcp": "web", "publish=82": "", "publish=8080/udp": "", "publish=" + udp + "/udp": "web",
		"expose=81-90": "web", "expose=53/udp": "web", "expose=8080": "",
	} {
		wantOut(t, h.Run("ps", "--filter", filter, "--format", "{{.Names}}"), want)
	}
	must(t, h.Run("restart", "-t", "0", "web"))
	if n := len(strings.Split(must(t, h.Run("port", "web")), "\n")); n != 4 {
		t.Errorf("after a restart %d ports are published", n)
	}
}

// TestExposedPortsAreShownButClosed without -P.
func TestExposedPortsAreShownButClosed(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	importExposing(t, h, "exposing", "80-81")
	must(t, h.Run("run", "-d", "--name", "web", "--expose", "53/udp", "-p", "127.0.0.1:8080:80", "exposing", "sleep", "1000"))
	wantOut(t, h.Run("ps", "--format", "{{.Ports}}"), "53/udp, 127.0.0.1:8080->80/tcp, 81/tcp")
	wantOut(t, h.Run("inspect", "-f", "{{json .NetworkSettings.Ports}}", "web"),
		`{"53/udp":null,"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"}],"81/tcp":null}`)
	wantOut(t, h.Run("port", "web"), "80/tcp -> 127.0.0.1:8080")
	wantOut(t, h.Run("ps", "--filter", "expose=81", "--format", "{{.Names}}"), "web")
	if n := publishedRules(t, h); n != 1 {
		t.Errorf("%d DNAT rules for one published port", n)
	}
	must(t, h.Run("stop", "-t", "0", "web"))
	wantOut(t, h.Run("ps", "-a", "--format", "{{.Ports}}"), "")
	wantOut(t, h.Run("ps", "-aq", "--filter", "publish=8080", "--filter", "expose=80-81"), "")
	fails(t, h.Run("run", "--expose", "80:81", "busybox", "true"), 125, `invalid exposed port "80:81"`)
}

// TestPublishLongForm is the form of Compose files and services.
func TestPublishLongForm(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	runWeb(t, h, "web", "--publish", "published=8080,target=80,protocol=tcp,host_ip=127.0.0.1,mode=host")
	wantOut(t, h.Run("port", "web"), "80/tcp -> 127.0.0.1:8080")
	wantAddr(t, h, host.Inside, "http://127.0.0.1:8080"+addrPage, gateway)
	fails(t, h.Run("run", "--rm", "-p", "target=80,mode=ingress", "busybox", "true"), 125,
		`invalid port mapping "target=80,mode=ingress"`, "mode=ingress needs a swarm")
}

// TestDefaultHostAddress: --publish-ip and MINI_PUBLISH_IP hold for new
// containers, and for them also later; -p with an address has the last word.
func TestDefaultHostAddress(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	c := h.Mini("run", "-d", "--name", "web", "-p", "8080:80", "-p", "0.0.0.0:8081:81", "-P", "--expose", "82", "busybox", "sleep", "1000")
	c.Env = append(c.Env, "MINI_PUBLISH_IP=127.0.0.1")
	must(t, h.Do(c))
	check := func(when string) {
		t.Helper()
		out := must(t, h.Run("port", "web"))
		for _, want := range []string{"80/tcp -> 127.0.0.1:8080\n", "81/tcp -> 0.0.0.0:8081\n", "82/tcp -> 127.0.0.1:"} {
			if !strings.Contains(out+"\n", want) {
				t.Errorf("%s: no %q in\n%s", when, want, out)
			}
		}
	}
	check("at first")
	must(t, h.Run("restart", "-t", "0", "web")) // without the variable
	check("after a restart")
	c = h.Mini("run", "--rm", "-p", "80", "busybox", "true")
	c.Env = append(c.Env, "MINI_PUBLISH_IP=localhost")
	fails(t, h.Do(c), 125, `invalid --publish-ip: "localhost" is not an IP address`)
	must(t, h.Run("network", "create", "-o", "com.docker.network.bridge.host_binding_ipv4=127.0.0.1", "private"))
	must(t, h.Run("run", "-d", "--name", "db", "--net", "private", "-p", "5432:5432", "busybox", "sleep", "1000"))
	wantOut(t, h.Run("port", "db"), "5432/tcp -> 127.0.0.1:5432")
}

// TestManyEphemeralPorts of one run are all different.
func TestManyEphemeralPorts(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	args := []string{"run", "-d", "--name", "web"}
	for i := range 20 {
		args = append(args, "-p", fmt.Sprint(1000+i))
	}
	must(t, h.Run(append(args, "busybox", "sleep", "1000")...))
	seen := map[string]bool{}
	for _, line := range strings.Split(must(t, h.Run("port", "web")), "\n") {
		_, at, _ := strings.Cut(line, " -> ")
		seen[at] = true
	}
	if len(seen) != 20 {
		t.Errorf("20 ports share %d host ports", len(seen))
	}
}
