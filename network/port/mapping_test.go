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
		{"80", "0.0.0.0->80/tcp"},
		{"8080:80", "0.0.0.0:8080->80/tcp"},
		{"8080:80/udp", "0.0.0.0:8080->80/udp"},
		{"8080:80/SCTP", "0.0.0.0:8080->80/sctp"},
		{"127.0.0.1:8080:80", "127.0.0.1:8080->80/tcp"},
		{"127.0.0.1::80", "127.0.0.1->80/tcp"},
		{":80", "0.0.0.0->80/tcp"},
		{"0:80", "0.0.0.0->80/tcp"},
		{":8080:80", "0.0.0.0:8080->80/tcp"},
		{"8000-8010:80", "0.0.0.0:8000-8010->80/tcp"},
		{"8000-8001:80-81", "0.0.0.0:8000->80/tcp 0.0.0.0:8001->81/tcp"},
		{"80-81", "0.0.0.0->80/tcp 0.0.0.0->81/tcp"},
		{"80-80:90-90", "0.0.0.0:80->90/tcp"},
		{"65535:65535", "0.0.0.0:65535->65535/tcp"},
		{"[::1]:8080:80", "[::1]:8080->80/tcp"},
		{"[::]::80/udp", "[::]->80/udp"},
		{"[2001:DB8:0::1]:8000-8001:80-81", "[2001:db8::1]:8000->80/tcp [2001:db8::1]:8001->81/tcp"},
		{"[fd00::1]:8000-8010:80", "[fd00::1]:8000-8010->80/tcp"},
		{"::1:8080:80", "[::1]:8080->80/tcp"},
		{"fd00::1::80", "[fd00::1]->80/tcp"},
		{"target=80", "0.0.0.0->80/tcp"},
		{"target=80,host_ip=::1,published=8080", "[::1]:8080->80/tcp"},
		{"target=80,host_ip=[fd00::1]", "[fd00::1]->80/tcp"},
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
		"":                         "no container port",
		"127.0.0.1:80":             `host port "127.0.0.1" is not a number`,
		"0-1:80":                   "host port 0 is not between 1 and 65535",
		"80:":                      "no container port",
		"a:80":                     `host port "a" is not a number`,
		"80:65536":                 "container port 65536 is not between 1 and 65535",
		"80:99999999999999":        `container port "99999999999999" is not a number`,
		"80:-1":                    `container port "-1" is neither a port nor a range such as 8000-8010`,
		"-1:80":                    `host port "-1" is neither a port nor a range`,
		"80-:80":                   `host port "80-" is neither a port nor a range`,
		"80:+1":                    `container port "+1" is not a number`,
		"80:80/icmp":               `unknown protocol "icmp"`,
		"80:80/tcp/udp":            `unknown protocol "tcp/udp"`,
		"80/":                      `unknown protocol ""`,
		"9-8:80":                   "ends before it begins",
		"1-3:1-2":                  "the host range has 3 ports and the container range 2",
		"1:2:3:4":                  "too many colons",
		"1.2.3:80:80":              `"1.2.3" is not an IP address`,
		"1.2.3.256:80:80":          "is not an IP address",
		"[1.2.3.4]:80:80":          `"[1.2.3.4]" is not an IP address`,
		"[::1]:80":                 "an IPv6 address stands in brackets, as in [::1]:8080:80",
		"[::1]":                    "stands in brackets",
		"[::1:80:80":               "stands in brackets",
		"::1]:80:80":               "stands in brackets",
		"[]:80:80":                 "is not an IP address",
		"[::g]:80:80":              `"[::g]" is not an IP address`,
		"[fe80::1%eth0]:80:80":     "is a link-local address, which is another one on each link: ports are not published there",
		"[fe80::1]:80:80":          "is a link-local address",
		"[2001:db8::1%eth0]:80:80": "names a link: want an address without a zone",
		"[::ffff:1.2.3.4]:80:80":   "in the form of IPv6: want 1.2.3.4",
		"[ff02::1]:80:80":          "is a multicast address",
		"224.0.0.1:80:80":          "is a multicast address",
		"1-65535:1-65535":          "longer than 8192",
		" 80:80":                   `host port " 80" is not a number`,

		"published=80":                        "no target: want target=PORT",
		"target=80,target=81":                 "target is given twice",
		"target=80,mode=ingress":              "mode=ingress needs a swarm",
		"target=80,mode=x":                    `unknown mode "x": want host`,
		"target=80,name=web":                  `"name" is not known: want published, target, protocol, host_ip or mode`,
		"target=80,udp":                       `want name=value, not "udp"`,
		"target=80,=1":                        `want name=value, not "=1"`,
		"target=":                             "target has no value",
		"target=80,protocol=icmp":             `unknown protocol "icmp"`,
		"target=80,host_ip=::1%lo":            "without a zone",
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
	for _, s := range []string{"80", "8080:80", "1.2.3.4:1-2:3-4/udp", "127.0.0.1::80/sctp", "[::1]:1:2", "[fe80::1%a]:1:2", "[::ffff:1.2.3.4]:1:2", "::1:8080:80", "[::]::1-9/udp", "1-9:5", "::", "target=1,host_ip=[fd00::1]", "published=80,target=80,host_ip=1.2.3.4"} {
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
			if m.HostIP.Zone() != "" || m.HostIP.Is4In6() || m.ContainerPort == 0 || (m.HostPortEnd != 0 && m.HostPortEnd <= m.HostPort) {
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

func TestDual(t *testing.T) {
	m := Mapping{HostIP: netip.IPv4Unspecified(), Dual: true, HostPort: 8080, ContainerPort: 80, Proto: TCP}
	if got := m.String(); got != "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp" {
		t.Errorf("String gives %s", got)
	}
	if got := m.Spec(); got != "8080:80/tcp" {
		t.Errorf("Spec gives %s", got)
	}
	if got := fmt.Sprint(Split([]Mapping{m, {ContainerPort: 81, Proto: UDP}})); got != "[0.0.0.0:8080->80/tcp [::]:8080->80/tcp 0.0.0.0->81/udp]" {
		t.Errorf("Split gives %s", got)
	}
}

func TestOverlaps(t *testing.T) {
	at := func(ip string) Mapping {
		m := Mapping{Proto: TCP}
		switch ip {
		case "dual":
			m.HostIP, m.Dual = netip.IPv4Unspecified(), true
		case "none":
		default:
			m.HostIP = netip.MustParseAddr(ip)
		}
		return m
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"0.0.0.0", "127.0.0.1", true}, {"none", "1.2.3.4", true}, {"1.2.3.4", "1.2.3.5", false},
		{"0.0.0.0", "::", false}, {"127.0.0.1", "::1", false}, {"::", "fd00::1", true}, {"fd00::1", "fd00::2", false},
		{"dual", "::1", true}, {"dual", "1.2.3.4", true}, {"dual", "dual", true}, {"dual", "::", true}, {"none", "::", false},
	} {
		if a, b := at(c.a), at(c.b); a.Overlaps(b) != c.want || b.Overlaps(a) != c.want {
			t.Errorf("%s and %s: %v, want %v", c.a, c.b, a.Overlaps(b), c.want)
		}
	}
	udp := at("dual")
	udp.Proto = UDP
	if udp.Overlaps(at("dual")) {
		t.Error("UDP and TCP are in each other's way")
	}
}

func TestReach(t *testing.T) {
	for spec, want := range map[string]string{
		"80": "everybody who reaches this host", "[::]:1:80": "everybody who reaches this host", "[::1]:1:80": "this host only",
		"127.0.0.1:1:80": "this host only", "[fd00::1]:1:80": "everybody who reaches [fd00::1]",
	} {
		if m, err := Parse(spec); err != nil || m[0].Reach() != want {
			t.Errorf("%s: %s, %v, want %s", spec, m[0].Reach(), err, want)
		}
	}
}
