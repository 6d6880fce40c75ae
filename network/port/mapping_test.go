package port

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"80", "0.0.0.0:0->80/tcp"},
		{"8080:80", "0.0.0.0:8080->80/tcp"},
		{"8080:80/udp", "0.0.0.0:8080->80/udp"},
		{"8080:80/SCTP", "0.0.0.0:8080->80/sctp"},
		{"127.0.0.1:8080:80", "127.0.0.1:8080->80/tcp"},
		{"127.0.0.1::80", "127.0.0.1:0->80/tcp"},
		{":80", "0.0.0.0:0->80/tcp"},
		{"0:80", "0.0.0.0:0->80/tcp"},
		{":8080:80", "0.0.0.0:8080->80/tcp"},
		{"8000-8010:80", "0.0.0.0:8000-8010->80/tcp"},
		{"8000-8001:80-81", "0.0.0.0:8000->80/tcp 0.0.0.0:8001->81/tcp"},
		{"80-81", "0.0.0.0:0->80/tcp 0.0.0.0:0->81/tcp"},
		{"80-80:90-90", "0.0.0.0:80->90/tcp"},
		{"65535:65535", "0.0.0.0:65535->65535/tcp"},
		{"target=80", "0.0.0.0:0->80/tcp"},
		{"published=8080,target=80", "0.0.0.0:8080->80/tcp"},
		{"Target=53, protocol=UDP,host_ip=127.0.0.1,published=5353,mode=host", "127.0.0.1:5353->53/udp"},
		{"published=8000-8001,target=80-81", "0.0.0.0:8000->80/tcp 0.0.0.0:8001->81/tcp"},
		{"published=8000-8010,target=80", "0.0.0.0:8000-8010->80/tcp"},
	} {
		got, err := Parse(c.in)
		var words []string
		for _, m := range got {
			words = append(words, m.String())
		}
		if text := strings.Join(words, " "); err != nil || text != c.want {
			t.Errorf("Parse(%q) = %q, %v, want %q", c.in, text, err, c.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                  "no container port",
		"127.0.0.1:80":      `host port "127.0.0.1" is not a number`,
		"0-1:80":            "host port 0 is not between 1 and 65535",
		"80:":               "no container port",
		"a:80":              `host port "a" is not a number`,
		"80:65536":          "container port 65536 is not between 1 and 65535",
		"80:99999999999999": `container port "99999999999999" is not a number`,
		"80:-1":             "no container port",
		"80:+1":             `container port "+1" is not a number`,
		"80:80/icmp":        `unknown protocol "icmp"`,
		"80:80/tcp/udp":     `unknown protocol "tcp/udp"`,
		"80/":               `unknown protocol ""`,
		"9-8:80":            "ends before it begins",
		"1-3:1-2":           "the host range has 3 ports and the container range 2",
		"1:2:3:4":           "too many colons",
		"1.2.3:80:80":       `"1.2.3" is not an IPv4 address`,
		"1.2.3.256:80:80":   "is not an IPv4 address",
		"[::1]:80:80":       "IPv6 host addresses are not supported",
		"1-65535:1-65535":   "longer than 8192",
		" 80:80":            `host port " 80" is not a number`,

		"published=80":                        "no target: want target=PORT",
		"target=80,target=81":                 "target is given twice",
		"target=80,mode=ingress":              "mode=ingress needs a swarm",
		"target=80,mode=x":                    `unknown mode "x": want host`,
		"target=80,name=web":                  `"name" is not known: want published, target, protocol, host_ip or mode`,
		"target=80,udp":                       `want name=value, not "udp"`,
		"target=80,=1":                        `want name=value, not "=1"`,
		"target=":                             "target has no value",
		"target=80,protocol=icmp":             `unknown protocol "icmp"`,
		"target=80,host_ip=::1":               `"::1" is not an IPv4 address`,
		"target=80,published=1.2.3.4:80":      `host port "1.2.3.4:80" is not a number`,
		"target=80-81,published=8000-8002":    "the host range has 3 ports and the container range 2",
		"target=80,published=8080,mode=host,": `want name=value, not ""`,
	} {
		if got, err := Parse(in); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), fmt.Sprintf("%q", in)) {
			t.Errorf("Parse(%q) = %v, %v, want an error with the input and %q", in, got, err, want)
		}
	}
}

// FuzzParse checks that whatever is accepted makes sense and reads back.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"80", "8080:80", "1.2.3.4:1-2:3-4/udp", "127.0.0.1::80/sctp", "[::1]:1:2", "1-9:5", "::", "published=80,target=80,host_ip=1.2.3.4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		got, err := Parse(spec)
		if err != nil {
			return
		}
		if len(got) == 0 || len(got) > maxRange {
			t.Fatalf("%q gives %d mappings", spec, len(got))
		}
		for _, m := range got {
			if (m.HostIP.IsValid() && !m.HostIP.Is4()) || m.ContainerPort == 0 || (m.HostPortEnd != 0 && m.HostPortEnd <= m.HostPort) {
				t.Errorf("%q gives %+v", spec, m)
			}
			again, err := Parse(m.Spec())
			if err != nil || !slices.Equal(again, []Mapping{m}) {
				t.Errorf("%+v reads back as %+v, %v", m, again, err)
			}
		}
	})
}

var loopback = netip.MustParseAddr("127.0.0.1")

func TestParseExposed(t *testing.T) {
	for in, want := range map[string]string{"80": "[80/tcp]", "53-54/UDP": "[53/udp 54/udp]", "1/sctp": "[1/sctp]"} {
		if got, err := ParseExposed(in); err != nil || fmt.Sprint(got) != want {
			t.Errorf("ParseExposed(%q) = %v, %v, want %s", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"": "no port", "0": "port 0 is not between 1 and 65535", "80:80": `port "80:80" is not a number`,
		"80/x": `unknown protocol "x"`, "9-8": "ends before it begins",
	} {
		if got, err := ParseExposed(in); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), fmt.Sprintf("%q", in)) {
			t.Errorf("ParseExposed(%q) = %v, %v, want an error with the input and %q", in, got, err, want)
		}
	}
	list := []Exposed{{81, TCP}, {80, UDP}, {80, TCP}, {81, TCP}}
	if got := fmt.Sprint(SortExposed(list)); got != "[80/tcp 80/udp 81/tcp]" {
		t.Errorf("sorted: %s", got)
	}
}
