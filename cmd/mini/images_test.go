package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/rootfs"
)

func TestImageQuery(t *testing.T) {
	image := &rootfs.Image{
		Created: noon, RepoTags: []string{"busybox:1", "localhost:5000/web:latest"},
		Config: rootfs.ImageConfig{Labels: map[string]string{"a": "1"}},
	}
	nameless := &rootfs.Image{Created: noon}
	yes, no := true, false
	for _, tc := range []struct {
		q     imageQuery
		image *rootfs.Image
		want  string
	}{
		{imageQuery{}, image, "busybox:1 localhost:5000/web:latest"},
		{imageQuery{}, nameless, "<none>"},
		{imageQuery{repository: "busybox"}, image, "busybox:1"},
		{imageQuery{repository: "busybox:2"}, image, ""},
		{imageQuery{repository: "localhost:5000/web"}, image, "localhost:5000/web:latest"},
		{imageQuery{repository: "busybox"}, nameless, ""},
		{imageQuery{dangling: &yes}, image, ""},
		{imageQuery{dangling: &yes}, nameless, "<none>"},
		{imageQuery{dangling: &no}, image, "busybox:1 localhost:5000/web:latest"},
		{imageQuery{filters: filters{"label": {"a=1"}}}, image, "busybox:1 localhost:5000/web:latest"},
		{imageQuery{filters: filters{"label": {"b"}}}, image, ""},
		{imageQuery{filters: filters{"reference": {"busy*:*"}}}, image, "busybox:1"},
		{imageQuery{filters: filters{"reference": {"docker.io/library/busybox"}}}, image, "busybox:1"},
		{imageQuery{before: noon}, image, ""},
		{imageQuery{since: noon.Add(-time.Hour)}, image, "busybox:1 localhost:5000/web:latest"},
	} {
		tags := tc.q.tags(tc.image)
		for i := range tags {
			tags[i] = orNone(tags[i])
		}
		if got := strings.Join(tags, " "); got != tc.want {
			t.Errorf("%+v: got %q, want %q", tc.q, got, tc.want)
		}
	}
}

func TestImageRow(t *testing.T) {
	image := &rootfs.Image{ID: strings.Repeat("ab", 32), Created: noon.Add(-48 * time.Hour), Size: 1980000}
	got := imageRowOf(image, "localhost:5000/web:1", false, noon)
	if got.ID != "abababababab" || got.Repository != "localhost:5000/web" || got.Tag != "1" || got.Size != "1.98MB" || got.CreatedSince != "2 days ago" {
		t.Errorf("got %+v", got)
	}
	if got := imageRowOf(image, "", true, noon); got.ID != "sha256:"+image.ID || got.Repository != "<none>" || got.Tag != "<none>" {
		t.Errorf("got %+v", got)
	}
}

func TestNetworkOptions(t *testing.T) {
	c := parsed(t, strings.Fields("network create --subnet 10.9.0.0/24 --gateway 10.9.0.1 --ip-range 10.9.0.128/25 --internal --mtu 1400 --label a=b -o x=y net")...)
	opt, err := networkOptions(c.flags, "net")
	if err != nil || opt.Subnet.String() != "10.9.0.0/24" || opt.Gateway.String() != "10.9.0.1" || opt.IPRange.String() != "10.9.0.128/25" ||
		!opt.Internal || opt.MTU != 1400 || opt.Labels["a"] != "b" || opt.Options["x"] != "y" || opt.Driver != "bridge" {
		t.Errorf("got %+v, %v", opt, err)
	}
	for _, line := range []string{"--subnet x", "--subnet 10.0.0.0", "--gateway x", "--ip-range 1", "--mtu -1", "--mtu x", "--label =x"} {
		c := parsed(t, append(append([]string{"network", "create"}, strings.Fields(line)...), "net")...)
		if opt, err := networkOptions(c.flags, "net"); err == nil {
			t.Errorf("%s: got %+v", line, opt)
		}
	}
}

func TestNetworkFits(t *testing.T) {
	builtin := &network.Network{Name: "bridge", ID: "0123ab", Driver: "bridge"}
	custom := &network.Network{Name: "back", ID: "cd4567", Driver: "bridge", Labels: map[string]string{"a": "1"}}
	unused := func(*network.Network) ([]network.Endpoint, error) { return nil, nil }
	for text, want := range map[string]string{
		"driver=bridge": "bridge back", "driver=null": "", "id=0123": "bridge", "name=ba": "back", "label=a": "back",
		"type=custom": "back", "type=builtin": "bridge", "scope=local": "bridge back", "dangling=true": "back", "dangling=0": "bridge",
	} {
		f, err := parseFilters([]string{text}, "dangling", "driver", "id", "label", "name", "scope", "type")
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, n := range []*network.Network{builtin, custom} {
			ok, err := networkFits(f, n, unused)
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				names = append(names, n.Name)
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestNetworksAndVolumesWithoutAHost(t *testing.T) {
	root := t.TempDir()
	at := func(line string) ran { return runMini(t, append([]string{"--root", root}, strings.Fields(line)...)...) }
	if got := at("network ls --format {{.Name}}:{{.Driver}}"); got.out != "bridge:bridge\nhost:host\nnone:null\n" {
		t.Errorf("network ls: %+v", got)
	}
	if got := at("network inspect -f {{.Name}}={{.Driver}} host none"); got.out != "host=host\nnone=null\n" {
		t.Errorf("network inspect: %+v", got)
	}
	for line, code := range map[string]int{"network exists bridge": 0, "network exists nosuch": 1, "network exists ../x": 1} {
		if got := at(line); got.code != code || got.out+got.err != "" {
			t.Errorf("%s: %+v, want exit code %d and no word", line, got, code)
		}
	}
	if got := at("network ls --filter type=other"); got.code != 1 || !strings.Contains(got.err, "invalid filter 'type=other'") {
		t.Errorf("a type that is none: %+v", got)
	}
	if got := at("network ls --format json --filter name=host"); !strings.Contains(got.out, `"IPv4":"true","IPv6":"false"`) {
		t.Errorf("network ls --format json: %+v", got)
	}
	if got := at("network rm bridge"); got.code != 1 {
		t.Errorf("network rm bridge: %+v", got)
	}
	if got := at("volume create data"); got.out != "data\n" {
		t.Errorf("volume create: %+v", got)
	}
	if got := at("volume ls -q --filter dangling=true"); got.out != "data\n" {
		t.Errorf("volume ls: %+v", got)
	}
	got := at("volume inspect -f {{.Mountpoint}} data")
	if got.out != filepath.Join(root, "volumes/data/_data")+"\n" {
		t.Errorf("volume inspect: %+v", got)
	}
	if got := at("volume rm data nosuch"); got.out != "data\n" || got.code != 1 {
		t.Errorf("volume rm: %+v", got)
	}
	if _, err := os.Stat(filepath.Join(root, "volumes/data")); err == nil {
		t.Error("the volume is still there")
	}
}
