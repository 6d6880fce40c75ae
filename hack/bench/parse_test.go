package main

import (
	"encoding/json"
	"math"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestParsePSS(t *testing.T) {
	const text = "00400000-7fff5000 ---p 00000000 00:00 0    [rollup]\nRss:    2000 kB\nPss:    1234 kB\nPss_Anon:   1000 kB\n"
	got, err := parsePSS([]byte(text))
	if err != nil || got != 1234*1024 {
		t.Errorf("got %v, %v; want %v", got, err, 1234*1024)
	}
	for _, bad := range []string{"", "Rss: 1 kB\n", "Pss: many kB\n"} {
		if _, err := parsePSS([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestParseBenchmarks(t *testing.T) {
	const out = `goos: linux
BenchmarkBitmapAllocate/16/empty-2         	 1685302	        15.56 ns/op
BenchmarkBitmapAllocate/16/99.9%/random-2  	 1000000	        24.96 ns/op	       0 B/op
BenchmarkBitmapAllocate/8/empty            	 1752736	        13.80 ns/op
BenchmarkFile/24/cold-2                    	     984	     23150 ns/op
BenchmarkBroken-2                          	     x
PASS
`
	results := parseBenchmarks(out)
	for _, c := range []struct {
		prefix, suffix string
		want           float64
		found          bool
	}{
		{"BitmapAllocate/16/", "", 24.96e-9, true},
		{"BitmapAllocate/8/", "", 13.80e-9, true},
		{"File/24/", "/cold", 23150e-9, true},
		{"File/24/", "/warm", 0, false},
	} {
		got, found := slowest(results, c.prefix, c.suffix)
		if found != c.found || math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s…%s: %v, %v; want %v, %v", c.prefix, c.suffix, got, found, c.want, c.found)
		}
	}
}

func TestParseIperf(t *testing.T) {
	got, err := parseIperf([]byte(`{"end":{"sum_sent":{"bits_per_second":2e10},"sum_received":{"bits_per_second":1.5e10}}}`))
	if err != nil || got != 1.5e10 {
		t.Errorf("got %v, %v; want 1.5e10", got, err)
	}
	for _, bad := range []string{
		"", "{}", `{"end":{},"error":"unable to connect to server: Connection refused"}`,
	} {
		if _, err := parseIperf([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestMountOptions(t *testing.T) {
	for in, want := range map[string]string{
		"rw,cpu,cpuacct":                 "cpu,cpuacct",
		"rw,xattr,name=systemd":          "none,name=systemd",
		"rw,xattr,release_agent=/x,pids": "pids",
		"rw,clone_children,cpuset":       "cpuset",
	} {
		if got := mountOptions(in); got != want {
			t.Errorf("mountOptions(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestAdjust(t *testing.T) {
	const config = `{"ociVersion":"1.0.2","process":{"terminal":true,"args":["sh"],"cwd":"/"},
		"linux":{"resources":{"devices":[{"allow":false,"access":"rwm"}]}}}`
	for _, without := range []bool{false, true} {
		out, err := adjust([]byte(config), without, "true")
		if err != nil {
			t.Fatal(err)
		}
		var s specs.Spec
		if err := json.Unmarshal(out, &s); err != nil {
			t.Fatal(err)
		}
		if s.Process.Terminal || len(s.Process.Args) != 1 || s.Process.Args[0] != "true" {
			t.Errorf("the process became %+v", s.Process)
		}
		if rules := len(s.Linux.Resources.Devices); rules == 0 != without {
			t.Errorf("without device rules %v: there are %d", without, rules)
		}
	}
	for _, bad := range []string{"", "{}"} {
		if _, err := adjust([]byte(bad), false, "true"); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestParseFlags(t *testing.T) {
	o, err := parseFlags([]string{"-quick", "-only", "run|exec"})
	if err != nil || o.runs != 3 || o.many != 10 || !o.only.MatchString("exec") || o.only.MatchString("memory") {
		t.Errorf("got %+v, %v", o, err)
	}
	for _, bad := range [][]string{{"-runs", "0"}, {"-many", "-1"}, {"-only", "("}, {"word"}} {
		if _, err := parseFlags(bad); err == nil {
			t.Errorf("%v: no error", bad)
		}
	}
}

func TestKeysOfMeasuresAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range measures() {
		if seen[m.key] || m.key == "" {
			t.Errorf("key %q is there twice or empty", m.key)
		}
		seen[m.key] = true
	}
}
