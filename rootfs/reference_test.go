package rootfs

import (
	"errors"
	"strings"
	"testing"
)

func TestParseReference(t *testing.T) {
	sum := strings.Repeat("0123456789abcdef", 4)
	for in, want := range map[string]string{
		"busybox":                            "busybox:latest",
		"busybox:1.36":                       "busybox:1.36",
		"library/busybox":                    "busybox:latest",
		"docker.io/library/busybox":          "busybox:latest",
		"index.docker.io/busybox":            "busybox:latest",
		"docker.io/me/app:V1":                "me/app:V1",
		"localhost/x":                        "localhost/x:latest",
		"localhost:5000/x":                   "localhost:5000/x:latest",
		"localhost:5000":                     "localhost:5000",
		"Host/x":                             "Host/x:latest",
		"ghcr.io/a/b/c:x_y.z-1":              "ghcr.io/a/b/c:x_y.z-1",
		"[::1]:5000/x":                       "[::1]:5000/x:latest",
		"a__b/c--d/e.f_g":                    "a__b/c--d/e.f_g:latest",
		"x@sha256:" + sum:                    "x@sha256:" + sum,
		"x:1@sha256:" + sum:                  "x:1@sha256:" + sum,
		"sha256:abc":                         "sha256:abc",
		strings.Repeat("a", 200) + ":" + sum: strings.Repeat("a", 200) + ":" + sum,
	} {
		ref, err := ParseReference(in)
		if err != nil || ref.String() != want {
			t.Errorf("%q: got %q, %v, want %q", in, ref, err, want)
		}
	}
	for _, in := range []string{
		"", ":", "a:", ":a", "a b", "Busybox", "a/B", "/a", "a/", "a//b", "../a", "a/..", "a..b", "a___b", "-a", "a-", "a._b",
		"x:" + strings.Repeat("t", 129), "x:.a", "x:-a", "a:b:c", "x@", "x@sha256:0", "x@sha256:" + strings.ToUpper(sum),
		sum, strings.Repeat("a", 250), "host:port/x", "[::1/x", "[x]:1/y", "-h.io/x", "h..io/x", "é", "a\x00", "a\n",
	} {
		if ref, err := ParseReference(in); !errors.Is(err, ErrInvalidReference) {
			t.Errorf("%q: got %q, %v", in, ref, err)
		}
	}
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"a", "a/b:c", "h:1/a@sha256:" + strings.Repeat("0", 64), "docker.io/library/a", "docker.io/library/a/b", "index.docker.io/library"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := ParseReference(s)
		if err != nil {
			return
		}
		again, err := ParseReference(ref.String())
		if err != nil || again != ref {
			t.Errorf("%q became %q, which became %+v, %v", s, ref, again, err)
		}
		name := ref.fileName()
		if len(name) > 255 || strings.ContainsAny(name, "/\x00") || strings.HasPrefix(name, ".") {
			t.Errorf("%q has the file name %q", s, name)
		}
	})
}
