package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/network/port"
	"github.com/minirt/mini/rootfs"
	"github.com/minirt/mini/runtime"
)

func testEndpoints() []network.Endpoint {
	ctr := testContainer()
	return []network.Endpoint{
		{
			ID: "e1", NetworkID: "n1", NetworkName: "bridge", Interface: "eth0", HostLink: "veth0", PrefixLen: 16,
			IP: netip.MustParseAddr("172.17.0.2"), Gateway: netip.MustParseAddr("172.17.0.1"),
			MAC: network.MAC{2, 0x42, 172, 17, 0, 2}, Ports: ctr.Config.Ports,
		},
		{ID: "e2", NetworkName: "back"}, // reserved, not connected yet
	}
}

// TestInspectTemplates checks the paths that people's scripts use.
func TestInspectTemplates(t *testing.T) {
	image := &rootfs.Image{Layers: []string{"/l/2/fs", "/l/1/fs"}, Config: rootfs.ImageConfig{}}
	ctr := testContainer()
	ctr.Config.Networks = []runtime.NetworkAttachment{{
		Network: "bridge", IP: netip.MustParseAddr("172.17.0.2"), IP6: netip.MustParseAddr("fd00::9"), MAC: net.HardwareAddr{2, 0x42, 172, 17, 0, 9},
	}, {Network: "back"}}
	ctr.Config.Exposed = []port.Exposed{{Port: 70, Proto: port.TCP}}
	o := containerJSONOf(ctr, containerFacts{dir: "/c", log: "/c/log", endpoints: testEndpoints(), image: image})
	for format, want := range map[string]string{
		"{{.ID}}":           strings.Repeat("0123456789abcdef", 4),
		"{{.Id}} {{.Name}}": strings.Repeat("0123456789abcdef", 4) + " /web",
		"{{.State.Running}} {{.State.Pid}} {{.State.Status}}":                                         "true 42 running",
		"{{.NetworkSettings.IPAddress}} {{.NetworkSettings.Gateway}} {{.NetworkSettings.MacAddress}}": "172.17.0.2 172.17.0.1 02:42:ac:11:00:02",
		"{{range $n, $e := .NetworkSettings.Networks}}{{$n}}={{$e.IPAddress}};{{end}}":                "back=;bridge=172.17.0.2;",
		`{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}`:                              "8080",
		`{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostIp}}`:                                "0.0.0.0",
		"{{.NetworkSettings.SandboxKey}}":                                                             "/proc/42/ns/net",
		"{{.NetworkSettings.SandboxID}}{{.NetworkSettings.Bridge}}":                                   strings.Repeat("0123456789abcdef", 4),
		"{{.NetworkSettings.GlobalIPv6Address}}{{.NetworkSettings.IPv6Gateway}}":                      "",
		"{{.Config.MacAddress}}": "02:42:ac:11:00:09",
		"{{json .NetworkSettings.Networks.bridge.IPAMConfig}} {{json .NetworkSettings.Networks.back.IPAMConfig}}": `{"IPv4Address":"172.17.0.2","IPv6Address":"fd00::9"} null`,
		"{{with .NetworkSettings.Networks.bridge}}{{json .Links}} {{json .DriverOpts}} {{json .DNSNames}}{{end}}": "null null null",
		"{{.Path}} {{join .Args \" \"}}":                                  "/bin/entry --with many words",
		"{{json .HostConfig.Binds}}":                                      `["/srv/a/long/path/to/data:/data:ro","vol:/vol"]`,
		"{{json .HostConfig.Tmpfs}}":                                      `{"/run":"size=1m"}`,
		"{{json .HostConfig.PortBindings}}":                               `{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"}]}`,
		"{{json .NetworkSettings.Ports}} {{.HostConfig.PublishAllPorts}}": `{"70/tcp":null,"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"}]} false`,
		"{{range .Mounts}}{{.Type}}:{{.Source}} {{end}}":                  "bind:/srv/a/long/path/to/data volume:/v/_data ",
		"{{json .Config.ExposedPorts}} {{.Config.Labels.a}}":              `{"70/tcp":{},"80/tcp":{}} 1`,
		"{{.GraphDriver.Data.LowerDir}}":                                  "/l/2/fs:/l/1/fs",
		"{{.Image}}":                                                      "sha256:" + strings.Repeat("ab", 32),
	} {
		if got, err := formatObject(format, o); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", format, got, err, want)
		}
	}
	for _, format := range []string{"{{.Nope}}", "{{.State.Nope}}", "{{.Id"} {
		if got, err := formatObject(format, o); err == nil {
			t.Errorf("%s: got %q", format, got)
		}
	}
}

// TestInspectShape checks the names of the top level, in Docker's order.
func TestInspectShape(t *testing.T) {
	var b bytes.Buffer
	if err := printObjects(&b, "", []any{containerJSONOf(testContainer(), containerFacts{})}); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(b.String(), "[\n    {\n        \"Id\": \"0123") {
		t.Errorf("got %.60s", b.String())
	}
	var back []map[string]any
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	for _, key := range strings.Fields("Id Created Path Args State Image Name HostConfig GraphDriver Mounts Config NetworkSettings LogPath") {
		if _, ok := back[0][key]; !ok {
			t.Errorf("no %s", key)
		}
	}
	b.Reset()
	if err := printObjects(&b, "", []any{}); err != nil || b.String() != "[]\n" {
		t.Errorf("nothing: %q, %v", b.String(), err)
	}
}
