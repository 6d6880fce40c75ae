package main

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/minirt/mini/network/port"
	"github.com/minirt/mini/runtime"
)

// noon is the time of the tests.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestStatusText(t *testing.T) {
	for _, tc := range []struct {
		state runtime.State
		want  string
	}{
		{runtime.State{Status: runtime.Created}, "Created"},
		{runtime.State{Status: runtime.Running, StartedAt: noon}, "Up Less than a second"},
		{runtime.State{Status: runtime.Running, StartedAt: noon.Add(-3 * time.Second)}, "Up 3 seconds"},
		{runtime.State{Status: runtime.Running, StartedAt: noon.Add(-90 * time.Second)}, "Up About a minute"},
		{runtime.State{Status: runtime.Exited, FinishedAt: noon.Add(-2 * time.Minute)}, "Exited (0) 2 minutes ago"},
		{runtime.State{Status: runtime.Exited, ExitCode: 137, FinishedAt: noon.Add(-72 * time.Hour)}, "Exited (137) 3 days ago"},
		{runtime.State{Status: runtime.Dead}, "Dead"},
	} {
		if got := statusText(tc.state, noon); got != tc.want {
			t.Errorf("%+v: got %q, want %q", tc.state, got, tc.want)
		}
	}
}

func mappings(t *testing.T, specs ...string) []port.Mapping {
	t.Helper()
	var all []port.Mapping
	for _, s := range specs {
		m, err := port.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		for i := range m {
			if m[i].HostPort != 0 && !m[i].HostIP.IsValid() {
				m[i].HostIP = netip.IPv4Unspecified() // as it is once it is published
			}
		}
		all = append(all, m...)
	}
	return all
}

func TestPortsText(t *testing.T) {
	for _, tc := range []struct{ specs, want string }{
		{"", ""},
		{"8080:80", "0.0.0.0:8080->80/tcp"},
		{"9000-9002:90-92 8080:80", "0.0.0.0:8080->80/tcp, 0.0.0.0:9000-9002->90-92/tcp"},
		{"80:80 81:81/udp", "0.0.0.0:80->80/tcp, 0.0.0.0:81->81/udp"},
		{"80:80 82:81", "0.0.0.0:80->80/tcp, 0.0.0.0:82->81/tcp"},
		{"80 81 53/udp 8082:82", "53/udp, 80-81/tcp, 0.0.0.0:8082->82/tcp"}, // exposed only
		{"[::]:8080:80 8080:80", "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"},
		{"7000-7001:7000-7001 [::]:7000-7001:7000-7001", "0.0.0.0:7000-7001->7000-7001/tcp, [::]:7000-7001->7000-7001/tcp"},
		{"[::1]:7000-7002:7000-7002", "[::1]:7000-7002->7000-7002/tcp"},
		{"127.0.0.1:53:53/udp 53:53/tcp 54:54/tcp", "0.0.0.0:53-54->53-54/tcp, 127.0.0.1:53->53/udp"},
	} {
		if got := portsText(mappings(t, strings.Fields(tc.specs)...)); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.specs, got, tc.want)
		}
	}
}

func testContainer() *runtime.Container {
	return &runtime.Container{
		Config: runtime.Config{
			ID: strings.Repeat("0123456789abcdef", 4), Name: "web", Created: noon.Add(-time.Hour), Image: "busybox",
			ImageID: strings.Repeat("ab", 32), Entrypoint: []string{"/bin/entry"}, Cmd: []string{"--with", "many words"},
			Labels: map[string]string{"b": "2", "a": "1"}, NetworkMode: "bridge",
			Networks: []runtime.NetworkAttachment{{Network: "bridge"}, {Network: "back"}},
			Mounts: []runtime.Mount{
				{Type: runtime.MountBind, Source: "/srv/a/long/path/to/data", Destination: "/data", ReadOnly: true},
				{Type: runtime.MountVolume, Source: "vol", Path: "/v/_data", Destination: "/vol"},
				{Type: runtime.MountTmpfs, Destination: "/run", Options: "size=1m"},
			},
			Ports: []port.Mapping{{HostIP: netip.IPv4Unspecified(), HostPort: 8080, ContainerPort: 80, Proto: port.TCP}},
		},
		State: runtime.State{Status: runtime.Running, Pid: 42, StartedAt: noon.Add(-time.Minute)},
	}
}

func TestContainerListing(t *testing.T) {
	ctr := testContainer()
	row := containerRowOf(ctr, ctr.Config.Ports, false, noon)
	full := containerRowOf(ctr, ctr.Config.Ports, true, noon)
	for _, tc := range []struct {
		format string
		quiet  bool
		rows   []containerRow
		want   string
	}{
		{"", false, []containerRow{row},
			"CONTAINER ID   IMAGE     COMMAND                  CREATED             STATUS              PORTS                  NAMES\n" +
				"0123456789ab   busybox   \"/bin/entry --with '…\"   About an hour ago   Up About a minute   0.0.0.0:8080->80/tcp   web\n"},
		{"", true, []containerRow{row, row}, "0123456789ab\n0123456789ab\n"},
		{"", true, []containerRow{full}, ctr.Config.ID + "\n"},
		{`table {{.Names}}\t{{.Label "com.x.my-label"}}`, false, []containerRow{row}, "NAMES     my label\nweb       \n"},
		{"{{.Command}} {{.Mounts}} {{.LocalVolumes}}", false, []containerRow{full},
			"\"/bin/entry --with 'many words'\" /srv/a/long/path/to/data,vol 1\n"},
		{`{{.Labels}} {{.Label "b"}} {{.Networks}} {{.Mounts}}`, false, []containerRow{row}, "a=1,b=2 2 bridge,back /srv/a/long/pa…,vol\n"},
		{`{{upper .Names}} {{truncate .ID 4}} {{join (split .Labels ",") "|"}} {{title "x"}}{{pad "y" 1 2}}.{{println .State}}`, false,
			[]containerRow{row}, "WEB 0123 a=1|b=2 X y  .running\n\n"},
		{"{{json .Names}}", false, []containerRow{row}, "\"web\"\n"},
		{"{{.Size}}", false, []containerRow{row}, "0B\n"},
	} {
		var b bytes.Buffer
		if err := containerListing(false).print(&b, tc.format, tc.quiet, tc.rows); err != nil || b.String() != tc.want {
			t.Errorf("%q: %v, got\n%q, want\n%q", tc.format, err, b.String(), tc.want)
		}
	}
	var b bytes.Buffer
	if err := containerListing(false).print(&b, "{{.Foo}}", false, []containerRow{row}); err == nil {
		t.Errorf("an unknown field gives %q", b.String())
	}
}

func TestContainerFilters(t *testing.T) {
	web, old := testContainer(), testContainer()
	old.Config.ID, old.Config.Name, old.Config.Created = strings.Repeat("f", 64), "old", noon.Add(-2*time.Hour)
	old.Config.Labels, old.Config.Mounts, old.Config.Ports = nil, nil, nil
	old.Config.NetworkMode, old.Config.Networks = "host", nil
	old.State = runtime.State{Status: runtime.Exited, ExitCode: 3}
	rt, err := runtime.Open(runtime.Options{Root: t.TempDir(), State: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	for _, tc := range []struct {
		filters string
		all     bool
		last    int
		want    string
	}{
		{"", false, 0, "web"}, {"", true, 0, "web old"}, {"", false, 1, "web"}, {"", false, 5, "web old"},
		{"id=0123", true, 0, "web"}, {"id=0123 id=fff", true, 0, "web old"}, {"id=123456", true, 0, "web"},
		{"name=we", true, 0, "web"}, {"name=^/old$", true, 0, "old"}, {"name=o(", true, 0, ""},
		{"label=a", true, 0, "web"}, {"label=a=1 label=b=2", true, 0, "web"}, {"label=a=1 label=b=3", true, 0, ""},
		{"status=exited", false, 0, "old"}, {"status=exited status=running", false, 0, "web old"},
		{"exited=3", false, 0, "old"}, {"exited=0", false, 0, ""},
		{"ancestor=busybox:latest", true, 0, "web old"}, {"ancestor=debian", true, 0, ""},
		{"network=back", true, 0, "web"}, {"network=host", true, 0, "old"},
		{"volume=vol", true, 0, "web"}, {"volume=/data/", true, 0, "web"}, {"volume=/x", true, 0, ""},
		{"publish=8080", true, 0, "web"}, {"publish=80", true, 0, ""}, {"publish=8080/udp", true, 0, ""}, {"publish=8000-9000/tcp", true, 0, "web"},
		{"expose=70-90/tcp", true, 0, "web"}, {"expose=8080", true, 0, ""}, {"expose=80/udp", true, 0, ""},
		{"publish=1 expose=80", true, 0, "web"}, {"publish=8080 expose=1", true, 0, "web"},
	} {
		f, err := parseFilters(strings.Fields(tc.filters), containerFilterKeys()...)
		if err != nil {
			t.Fatal(err)
		}
		q := containerQuery{filters: f, all: tc.all, last: tc.last, rt: rt, list: []*runtime.Container{web, old}}
		q.ports = func(c *runtime.Container) ([]port.Mapping, error) { return c.Config.Ports, nil }
		found, err := q.run()
		if err != nil {
			t.Errorf("%s: %v", tc.filters, err)
		}
		var names []string
		for _, c := range found {
			names = append(names, c.Config.Name)
		}
		if got := strings.Join(names, " "); got != tc.want {
			t.Errorf("%s (all %v, last %d): got %q, want %q", tc.filters, tc.all, tc.last, got, tc.want)
		}
	}
}

func TestFilterErrors(t *testing.T) {
	for _, text := range []string{"color=red", "status=happy", "exited=x", "publish=x", "before=nosuch", "since=nosuch"} {
		got := runMini(t, "ps", "--filter", text)
		if got.code != 1 || got.out != "" || !strings.HasPrefix(got.err, "Error: ") {
			t.Errorf("%s: %+v", text, got)
		}
	}
}
