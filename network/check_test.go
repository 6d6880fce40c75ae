package network

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/minirt/mini/network/port"
)

func TestCheckCreate(t *testing.T) {
	prefix, addr := netip.MustParsePrefix, netip.MustParseAddr
	for name, c := range map[string]struct {
		opt  CreateOptions
		want string
	}{
		"empty name":          {CreateOptions{}, "the name is empty"},
		"slash":               {CreateOptions{Name: "a/b"}, `invalid name "a/b"`},
		"dots":                {CreateOptions{Name: ".."}, `invalid name ".."`},
		"too long":            {CreateOptions{Name: strings.Repeat("x", 129)}, "has 129 characters"},
		"driver":              {CreateOptions{Name: "x", Driver: "weave"}, `driver "weave" is not supported`},
		"mtu":                 {CreateOptions{Name: "x", MTU: 67}, "mtu 67 is not between 68 and 65535"},
		"mtu option":          {CreateOptions{Name: "x", Options: map[string]string{"com.docker.network.driver.mtu": "big"}}, `"big" is not a number`},
		"unknown option":      {CreateOptions{Name: "x", Options: map[string]string{"com.docker.network.bridge.nat": "false"}}, `unknown option "com.docker.network.bridge.nat": want com.docker.network.bridge.name (bridge_name), `},
		"empty option":        {CreateOptions{Name: "x", Options: map[string]string{"": "x"}}, `unknown option ""`},
		"no boolean":          {CreateOptions{Name: "x", Options: map[string]string{"masquerade": ""}}, `option masquerade: "" is neither true nor false`},
		"two minds":           {CreateOptions{Name: "x", Options: map[string]string{"mtu": "1400", "com.docker.network.driver.mtu": "1300"}}, `"1300" and "1400" contradict each other`},
		"gateway mode":        {CreateOptions{Name: "x", Options: map[string]string{"gateway_mode": "bridged"}}, `"bridged" is not a gateway mode: want nat, routed, isolated, nat-unprotected`},
		"gateway mode, too":   {CreateOptions{Name: "x", GatewayMode: "bridged"}, `"bridged" is not a gateway mode`},
		"isolated and open":   {CreateOptions{Name: "x", GatewayMode: "isolated"}, "gateway mode isolated is for internal networks: want --internal too"},
		"not isolated":        {CreateOptions{Name: "x", Options: map[string]string{"isolate": "false"}}, "always isolated"},
		"the host's driver":   {CreateOptions{Name: "x", Driver: "host"}, `only one instance of "host" network is allowed`},
		"ipam driver":         {CreateOptions{Name: "x", IPAMDriver: "dhcp"}, `ipam driver "dhcp" is not supported: want default`},
		"reserved alone":      {CreateOptions{Name: "x", Reserved: map[string]netip.Addr{"r": addr("10.0.0.2")}}, "needs a subnet"},
		"reserved elsewhere":  {CreateOptions{Name: "x", Subnet: prefix("10.0.0.0/24"), Reserved: map[string]netip.Addr{"r": addr("10.0.1.2")}}, "aux-address r=10.0.1.2 is outside subnet 10.0.0.0/24"},
		"reserved gateway":    {CreateOptions{Name: "x", Subnet: prefix("10.0.0.0/24"), Reserved: map[string]netip.Addr{"r": addr("10.0.0.1")}}, "aux-address r=10.0.0.1 is the gateway"},
		"reserved twice":      {CreateOptions{Name: "x", Subnet: prefix("10.0.0.0/24"), Reserved: map[string]netip.Addr{"r": addr("10.0.0.2"), "s": addr("10.0.0.2")}}, "aux-addresses r and s are both 10.0.0.2"},
		"no name":             {CreateOptions{Name: "x", Subnet: prefix("10.0.0.0/24"), Reserved: map[string]netip.Addr{"": addr("10.0.0.2")}}, "has no name"},
		"bridge":              {CreateOptions{Name: "x", Bridge: "0123456789abcdef"}, "invalid link name"},
		"gateway alone":       {CreateOptions{Name: "x", Gateway: addr("10.0.0.1")}, "needs a subnet"},
		"gateway elsewhere":   {CreateOptions{Name: "x", Subnet: prefix("10.0.0.0/24"), Gateway: addr("10.0.1.1")}, "gateway 10.0.1.1 is outside subnet"},
		"range elsewhere":     {CreateOptions{Name: "x", Subnet: prefix("10.0.0.0/24"), IPRange: prefix("10.0.1.0/28")}, "is not inside subnet"},
		"host bits":           {CreateOptions{Name: "x", Subnet: prefix("10.0.0.1/24")}, "did you mean 10.0.0.0/24"},
		"loopback":            {CreateOptions{Name: "x", Subnet: prefix("127.0.0.0/24")}, "127.0.0.0/8"},
		"multicast":           {CreateOptions{Name: "x", Subnet: prefix("230.0.0.0/24")}, "224.0.0.0/4"},
		"too small":           {CreateOptions{Name: "x", Subnet: prefix("10.0.0.0/31")}, "/31"},
		"fine":                {CreateOptions{Name: "x"}, ""},
		"fine with all of it": {CreateOptions{Name: "x", Subnet: prefix("10.0.0.0/24"), Gateway: addr("10.0.0.9"), IPRange: prefix("10.0.0.128/25"), MTU: 1400, Bridge: "br-x"}, ""},
	} {
		_, err := checkCreate(c.opt)
		if c.want == "" && err == nil {
			continue
		}
		if err == nil || c.want == "" || !strings.Contains(err.Error(), c.want) || !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestCreateTakesDockersOptions(t *testing.T) {
	opt, err := checkCreate(CreateOptions{Name: "x", Options: map[string]string{
		"com.docker.network.bridge.name": "mybr", "com.docker.network.driver.mtu": "1280",
	}})
	if err != nil || opt.Bridge != "mybr" || opt.MTU != 1280 {
		t.Errorf("got bridge %q, mtu %d, error %v", opt.Bridge, opt.MTU, err)
	}
}

// TestShortOptions: the stored options have Docker's names.
func TestShortOptions(t *testing.T) {
	opt, err := checkCreate(CreateOptions{Name: "x", Options: map[string]string{"mtu": "1280", "masquerade": "0", "isolate": "strict", "bridge_name": "mybr"}})
	if err != nil || opt.MTU != 1280 || !opt.NoMasquerade || opt.Bridge != "mybr" {
		t.Errorf("got %+v, error %v", opt, err)
	}
	want := map[string]string{
		"com.docker.network.driver.mtu": "1280", "com.docker.network.bridge.enable_ip_masquerade": "0",
		"isolate": "strict", "com.docker.network.bridge.name": "mybr",
	}
	if !maps.Equal(opt.Options, want) {
		t.Errorf("got options %v, want %v", opt.Options, want)
	}
}

func TestCheckSpec(t *testing.T) {
	n := &Network{Name: "web", Driver: DriverBridge, Subnet: netip.MustParsePrefix("172.20.0.0/24")}
	good := EndpointSpec{ContainerID: strings.Repeat("ab", 32), ContainerName: "c", Interface: "eth0"}
	if err := checkSpec(n, good); err != nil {
		t.Fatal(err)
	}
	tcp := func(p uint16) port.Mapping { return port.Mapping{HostPort: p, ContainerPort: 80, Proto: port.TCP} }
	for want, change := range map[string]func(*EndpointSpec){
		"invalid container id":                          func(s *EndpointSpec) { s.ContainerID = "xyz" },
		`invalid interface "lo"`:                        func(s *EndpointSpec) { s.Interface = "lo" },
		`invalid name "../x"`:                           func(s *EndpointSpec) { s.ContainerName = "../x" },
		`invalid network alias "a b"`:                   func(s *EndpointSpec) { s.Aliases = []string{"a b"} },
		"address 10.0.0.5: it is not in the subnet 172": func(s *EndpointSpec) { s.IP = netip.MustParseAddr("10.0.0.5") },
		`invalid MAC address "01:00:5e:00:00:01"`:       func(s *EndpointSpec) { s.MAC, _ = net.ParseMAC("01:00:5e:00:00:01") },
		"0.0.0.0:80/tcp is asked for twice":             func(s *EndpointSpec) { s.Ports = []port.Mapping{tcp(80), tcp(80)} },
		"invalid port mapping":                          func(s *EndpointSpec) { s.Ports = []port.Mapping{{HostPort: 80, Proto: port.TCP}} },
	} {
		spec := good
		change(&spec)
		if err := checkSpec(n, spec); err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, ErrInvalid) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if err := checkSpec(&Network{Name: Host, Driver: DriverHost}, good); !errors.Is(err, ErrInvalid) {
		t.Errorf("an endpoint on the host network: got %v", err)
	}
}

func TestBroadcast(t *testing.T) {
	for in, want := range map[string]string{
		"172.17.0.2/24": "172.17.0.255", "10.1.2.3/8": "10.255.255.255", "10.0.0.1/30": "10.0.0.3",
		"192.168.5.9/20": "192.168.15.255", "10.0.0.1/16": "10.0.255.255",
	} {
		p := netip.MustParsePrefix(in)
		if got := broadcast(p.Addr(), p.Bits()).String(); got != want {
			t.Errorf("broadcast of %s: got %s, want %s", in, got, want)
		}
	}
}

func TestVethName(t *testing.T) {
	s := EndpointSpec{ContainerID: strings.Repeat("ab", 32), Interface: "eth10"}
	a, b := vethName(s), vethName(s)
	if len(a) != 15 || !strings.HasPrefix(a, "vethabababa10") || a == b && b == vethName(s) {
		t.Errorf("got %s and %s", a, b)
	}
}

func TestOpenChecksOptions(t *testing.T) {
	for _, prefix := range []string{"docker", "A B", "-X", strings.Repeat("A", 17)} {
		if _, err := Open(Options{Root: "/r", State: "/s", ChainPrefix: prefix}); err == nil {
			t.Errorf("chain prefix %q was accepted", prefix)
		}
	}
	if _, err := Open(Options{Root: "/r"}); err == nil {
		t.Error("no state directory: no error")
	}
}

// FuzzCheckName: what is accepted is safe in a path, a rule and a link alias.
func FuzzCheckName(f *testing.F) {
	for _, s := range []string{"web", "a.b-c_d", "..", "a/b", "a b", "-x", "ä"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if checkName(name) == nil && (strings.ContainsAny(name, "/ \t\n\"'\\:\x00") || name[0] == '.' || name[0] == '-' || len(name) > maxName) {
			t.Errorf("%q was accepted", name)
		}
	})
}
