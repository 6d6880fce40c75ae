package main

import (
	"os"
	"path"
	"path/filepath"
	"testing"

	"github.com/minirt/mini/runtime"
)

func TestParseVolume(t *testing.T) {
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]runtime.Mount{
		"/data":             {Type: "volume", Destination: "/data"},
		"vol:/data":         {Type: "volume", Source: "vol", Destination: "/data"},
		"vol:/data:ro,z":    {Type: "volume", Source: "vol", Destination: "/data", ReadOnly: true},
		"/a:/b":             {Type: "bind", Source: "/a", Destination: "/b"},
		"/a/../c:/b:rw":     {Type: "bind", Source: "/c", Destination: "/b"},
		"/a:/b:ro,rslave,Z": {Type: "bind", Source: "/a", Destination: "/b", ReadOnly: true, Propagation: "rslave"},
		"./x:/b":            {Type: "bind", Source: filepath.Join(wd, "x"), Destination: "/b"},
		"..:/b:cached":      {Type: "bind", Source: filepath.Dir(wd), Destination: "/b"},
	} {
		if got, err := parseVolume(in); err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", ":", ":/b", "/a:", "a", "a:b", "/a:ro", "/a:/b:xx", "/a:/b:ro,rw", "/a:/b:shared,slave", "/a:/b:",
		"/a:/b:ro:x", "vol:/b:rshared",
	} {
		if got, err := parseVolume(in); err == nil {
			t.Errorf("%q: got %+v", in, got)
		}
	}
}

func FuzzParseVolume(f *testing.F) {
	f.Add("/a:/b:ro")
	f.Add("vol:/b")
	f.Fuzz(func(t *testing.T, in string) {
		m, err := parseVolume(in)
		if err == nil && (!path.IsAbs(m.Destination) || m.Type == runtime.MountBind && !path.IsAbs(m.Source)) {
			t.Errorf("%q: got %+v", in, m)
		}
	})
}

func TestParseMount(t *testing.T) {
	for in, want := range map[string]runtime.Mount{
		"type=bind,source=/a,target=/b,readonly":          {Type: "bind", Source: "/a", Destination: "/b", ReadOnly: true, MustExist: true},
		"type=bind,src=/a,dst=/b,bind-propagation=shared": {Type: "bind", Source: "/a", Destination: "/b", Propagation: "shared", MustExist: true},
		"source=v,destination=/b,ro=false":                {Type: "volume", Source: "v", Destination: "/b"},
		"type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700":  {Type: "tmpfs", Destination: "/t", Options: "size=1m,mode=700"},
		`type=bind,"source=/a,b",target=/c`:               {Type: "bind", Source: "/a,b", Destination: "/c", MustExist: true},
	} {
		if got, err := parseMount(in); err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "x", "type=bind,target=/b", "type=npipe,target=/b", "source=v", "dst=/b,ro=maybe", "type=tmpfs,source=x,dst=/t",
		"dst=/b,bind-propagation=", "dst=/b,bind-propagation=ro", `"dst=/b`,
	} {
		if got, err := parseMount(in); err == nil {
			t.Errorf("%q: got %+v", in, got)
		}
	}
}

func TestParseCPUs(t *testing.T) {
	for in, want := range map[string]int64{"1": 1e9, "0.5": 5e8, ".25": 25e7, "2.": 2e9, "0.000000001": 1, "0": 0} {
		if got, err := parseCPUs(in); err != nil || got != want {
			t.Errorf("%s: got %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"", ".", "-1", "+1", "1e3", "0x1", "1.1.1", "99999999999", "1_0"} {
		if got, err := parseCPUs(in); err == nil {
			t.Errorf("%q: got %d", in, got)
		}
	}
}
