package runtime

import (
	"os"
	"strings"
	"testing"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/network/port"
)

// TestGatewayOf: the highest priority, else the first; never an internal one.
func TestGatewayOf(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("this test needs root")
		}
		t.Skip("SKIPPED: looking at the host's routes needs root")
	}
	r := testRuntime(t)
	for _, name := range []string{"red", "blue", "shut"} {
		if _, err := r.Networks.Create(network.CreateOptions{Name: name, Internal: name == "shut"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ list, want, why string }{
		{"", "", ""},
		{"red=0", "red", ""},
		{"shut=0", "", ""},
		{"shut=9", "", ""},
		{"red=0 blue=0", "red", "red is the first with the highest gw-priority, 0."},
		{"red=0 blue=1", "blue", "blue has the highest gw-priority, 1."},
		{"red=-1 blue=-2", "red", "red has the highest gw-priority, -1."},
		{"red=-1 blue=-1", "red", "red is the first with the highest gw-priority, -1."},
		{"red=0 blue=3 bridge=3", "blue", "blue is the first with the highest gw-priority, 3."},
		{"red=0 bridge=0 blue=3", "blue", "blue has the highest gw-priority, 3."},
		{"shut=9 red=-5", "red", "red is the one that is not internal."},
	} {
		var list []NetworkAttachment
		for _, word := range strings.Fields(c.list) {
			name, priority, _ := strings.Cut(word, "=")
			n := int(priority[len(priority)-1] - '0')
			if priority[0] == '-' {
				n = -n
			}
			list = append(list, NetworkAttachment{Network: name, GwPriority: n})
		}
		got, err := r.gatewayOf(list)
		if err != nil || got.v4.name != c.want || !strings.HasSuffix(got.v4.why, c.why) || (c.why == "") != (got.v4.why == "") {
			t.Errorf("%s: got %+v, %v, want %s: %s", c.list, got, err, c.want, c.why)
		}
	}
	if _, err := r.gatewayOf([]NetworkAttachment{{Network: "nowhere"}}); err == nil {
		t.Error("a network that does not exist is the gateway")
	}
}

// TestPublished adds exposed ports that are not published with -P only.
func TestPublished(t *testing.T) {
	cfg := &Config{Exposed: []port.Exposed{{Port: 53, Proto: port.TCP}, {Port: 53, Proto: port.UDP}, {Port: 80, Proto: port.TCP}, {Port: 81, Proto: port.TCP}}}
	for _, spec := range []string{"8080:80", "53/udp"} {
		ports, err := port.Parse(spec)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Ports = append(cfg.Ports, ports...)
	}
	for all, want := range map[bool]string{false: "8080:80/tcp 53/udp", true: "8080:80/tcp 53/udp 53/tcp 81/tcp"} {
		cfg.PublishAll = all
		var words []string
		for _, p := range cfg.Published() {
			words = append(words, p.Spec())
		}
		if got := strings.Join(words, " "); got != want {
			t.Errorf("-P %v: %s, want %s", all, got, want)
		}
	}
}
