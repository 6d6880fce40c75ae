package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/minirt/mini/runtime"
)

func lookupNothing(string) (string, bool) { return "", false }

func configOfLine(t *testing.T, words ...string) (runtime.Config, []string, error) {
	t.Helper()
	c := parsed(t, append([]string{"run"}, words...)...)
	return buildConfig(c.flags, c.args(), surroundings{lookupEnv: lookupNothing, cpus: 4})
}

// TestBuildConfig compares the configuration, written as JSON, with what is
// expected besides the fields that every one has.
func TestBuildConfig(t *testing.T) {
	const common = `"id":"","name":"","created":"0001-01-01T00:00:00Z",`
	for _, tc := range []struct{ line, want string }{
		{"busybox", `"image":"busybox","network_mode":"bridge","dns":{}`},
		{"-it --rm --init --read-only busybox sh -c -it",
			`"image":"busybox","cmd":["sh","-c","-it"],"tty":true,"open_stdin":true,"auto_remove":true,"init":true,"read_only":true,"network_mode":"bridge","dns":{}`},
		{"--rootfs / ls /etc", `"rootfs":"/","cmd":["ls","/etc"],"network_mode":"bridge","dns":{}`},
		{"--entrypoint /e b x", `"image":"b","entrypoint":["/e"],"cmd":["x"],"network_mode":"bridge","dns":{}`},
		{"--entrypoint= b x", `"image":"b","entrypoint":[""],"cmd":["x"],"network_mode":"bridge","dns":{}`},
		{"-e A=1,2 -e B= -e C -w /w -u 1:2 -h host b",
			`"image":"b","env":["A=1,2","B="],"working_dir":"/w","user":"1:2","hostname":"host","network_mode":"bridge","dns":{}`},
		{"-l a=b -l c --stop-signal INT --stop-timeout 0 b",
			`"image":"b","labels":{"a":"b","c":""},"stop_signal":"INT","stop_timeout":0,"network_mode":"bridge","dns":{}`},
		{"-m 64m --cpus 1.5 --pids-limit 100 b",
			`"image":"b","memory":67108864,"nano_cpus":1500000000,"pids_limit":100,"network_mode":"bridge","dns":{}`},
		{"-v /a:/b:ro -v vol:/c -v /d --tmpfs /run:size=1m b",
			`"image":"b","mounts":[{"type":"bind","source":"/a","destination":"/b","read_only":true},{"type":"volume","source":"vol","destination":"/c"},{"type":"volume","destination":"/d"},{"type":"tmpfs","destination":"/run","options":"size=1m"}],"network_mode":"bridge","dns":{}`},
		{"--net web --ip 10.0.0.5 --mac-address 02:42:0a:00:00:05 --network-alias db -p 80:81/udp b",
			`"image":"b","network_mode":"web","networks":[{"network":"web","ip":"10.0.0.5","mac":"AkIKAAAF","aliases":["db"]}],"ports":[{"host_port":80,"container_port":81,"proto":"udp"}],"dns":{}`},
		{"-P --expose 80-81 --expose 53/udp -p published=8080,target=80,host_ip=127.0.0.1 b",
			`"image":"b","network_mode":"bridge","ports":[{"host_ip":"127.0.0.1","host_port":8080,"container_port":80,"proto":"tcp"}],"exposed":[{"port":80,"proto":"tcp"},{"port":81,"proto":"tcp"},{"port":53,"proto":"udp"}],"publish_all":true,"dns":{}`},
		{"--net web --ip6 fd00:1::5 b",
			`"image":"b","network_mode":"web","networks":[{"network":"web","ip":"","ip6":"fd00:1::5"}],"dns":{}`},
		{"--net name=web,ip6=fd00:1::5,ip=10.0.0.5 b",
			`"image":"b","network_mode":"web","networks":[{"network":"web","ip":"10.0.0.5","ip6":"fd00:1::5"}],"dns":{}`},
		{"--net back --net name=web,gw-priority=10 --ip 10.0.0.5 b",
			`"image":"b","network_mode":"back","networks":[{"network":"back","ip":"10.0.0.5"},{"network":"web","ip":"","gw_priority":10}],"dns":{}`},
		{"--network name=web,alias=db,alias=sql --net name=back,gw-priority=-1,mac-address=02:42:0a:00:00:05 b",
			`"image":"b","network_mode":"web","networks":[{"network":"web","ip":"","aliases":["db","sql"]},{"network":"back","ip":"","mac":"AkIKAAAF","gw_priority":-1}],"dns":{}`},
		{"--dns 1.1.1.1 --dns-search a.b --dns-opt ndots:2 --add-host x:1.2.3.4 b",
			`"image":"b","network_mode":"bridge","dns":{"servers":["1.1.1.1"],"search":["a.b"],"options":["ndots:2"]},"extra_hosts":["x:1.2.3.4"]`},
	} {
		cfg, warnings, err := configOfLine(t, strings.Fields(tc.line)...)
		if err != nil || warnings != nil {
			t.Errorf("%s: %v, %v", tc.line, warnings, err)
			continue
		}
		got, err := json.Marshal(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if want := "{" + common + tc.want + "}"; string(got) != want {
			t.Errorf("%s:\n got %s\nwant %s", tc.line, got, want)
		}
	}
}

func TestBuildConfigErrors(t *testing.T) {
	for line, want := range map[string]string{
		"-m 1m b":                    "minimum memory limit allowed is 6MB",
		"-m lots b":                  `invalid argument "lots" for "-m, --memory" flag: invalid size: 'lots'`,
		"--cpus x b":                 `invalid argument "x" for "--cpus" flag: failed to parse x as a decimal number`,
		"--cpus 0.0000000001 b":      `invalid argument "0.0000000001" for "--cpus" flag: value is too precise`,
		"--cpus 5 b":                 "range of CPUs is from 0.01 to 4.00, as there are only 4 CPUs available",
		"--pids-limit x b":           `invalid argument "x" for "--pids-limit" flag: `,
		"-e =x b":                    `invalid environment variable: "=x" has no name`,
		"-l =x b":                    "invalid label '=x': empty name",
		"--env-file /nonexistent b":  "reading the env file: ",
		"-p x b":                     "invalid port mapping",
		"--dns x b":                  `invalid argument "x" for "--dns" flag`,
		"--ip ::1 b":                 "invalid IPv4 address: ::1",
		"--ip6 10.0.0.5 b":           "invalid IPv6 address: 10.0.0.5",
		"--ip6 fe80::1%eth0 b":       "invalid IPv6 address: fe80::1%eth0",
		"--net host --ip6 fd00::5 b": "conflicting options: ip and the network mode",
		"--net name=a,ip6=fd00::5 --ip6 fd00::6 b":     "conflicting options: cannot specify both --ip6 and per-network IPv6 address",
		"--mac-address 1 b":                            "1 is not a valid mac address",
		"--mac-address 01:00:00:00:00:01 b":            "01:00:00:00:00:01 is not a valid mac address: it is a multicast address",
		"--net container: b":                           "invalid container format container:<name|id>",
		"--net container:x -p 80 b":                    "conflicting options: port publishing and the container type network mode",
		"--net container:x -P b":                       "conflicting options: port publishing and the container type network mode",
		"--net container:x --expose 80 b":              "conflicting options: port exposing and the container type network mode",
		"--expose 80:80 b":                             `invalid exposed port "80:80"`,
		"--net container:x -h y b":                     "conflicting options: hostname and the network mode",
		"--net container:x --dns 1.1.1.1 b":            "conflicting options: dns and the network mode",
		"--net container:x --add-host a:1.1.1.1 b":     "conflicting options: custom host-to-IP mapping and the network mode",
		"--net host --ip 1.2.3.4 b":                    "conflicting options: ip and the network mode",
		"--net none --mac-address 02:00:00:00:00:01 b": "conflicting options: mac-address and the network mode",
		"--network-alias x b":                          "network-scoped alias is supported only for containers in user defined networks",
	} {
		if _, _, err := configOfLine(t, strings.Fields(line)...); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", line, err, want)
		}
	}
}

func TestPublishWithoutBridge(t *testing.T) {
	_, warnings, err := configOfLine(t, "--net", "host", "-p", "80:80", "b")
	if err != nil || !slices.Equal(warnings, []string{"Published ports are discarded when using host network mode"}) {
		t.Errorf("host: %v, %v", warnings, err)
	}
	if _, warnings, err = configOfLine(t, "--net", "none", "-p", "80:80", "b"); err != nil || warnings != nil {
		t.Errorf("none: %v, %v", warnings, err)
	}
}

func TestEnvFile(t *testing.T) {
	lookup := func(name string) (string, bool) { return "value of " + name, name == "HAVE" }
	got, err := parseEnvFile([]byte("\ufeff# note\n\nA=1\n  B= two words # no comment \r\nHAVE\nMISSING\nQ=\"x\"\n"), lookup)
	want := []string{"A=1", "B= two words # no comment ", "HAVE=value of HAVE", `Q="x"`}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	for _, in := range []string{"=x", "A B=1", "A B", "A=\x00", "\xff=1"} {
		if got, err := parseEnvFile([]byte(in), lookup); err == nil {
			t.Errorf("%q: got %q", in, got)
		}
	}
}

func TestEnvFileComesFirst(t *testing.T) {
	file := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(file, []byte("A=file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := parseEnv([]string{file}, []string{"A=flag"}, lookupNothing)
	if err != nil || !slices.Equal(got, []string{"A=file", "A=flag"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func FuzzEnvFile(f *testing.F) {
	f.Add([]byte("A=1\nB\n#c\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		env, err := parseEnvFile(text, lookupNothing)
		if err != nil {
			return
		}
		for _, kv := range env {
			name, _, ok := strings.Cut(kv, "=")
			if !ok || name == "" || strings.ContainsAny(kv, "\n\x00") || strings.ContainsAny(name, " \t") {
				t.Errorf("%q gives %q", text, kv)
			}
		}
	})
}
