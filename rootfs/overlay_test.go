package rootfs

import (
	"errors"
	"strings"
	"testing"
)

func TestOverlayOptions(t *testing.T) {
	for name, tc := range map[string]struct {
		lower       []string
		upper, work string
		want        string
	}{
		"one layer":  {[]string{"/l"}, "/u", "/w", "lowerdir=/l,upperdir=/u,workdir=/w"},
		"read-only":  {[]string{"/a", "/b"}, "", "", "lowerdir=/a:/b"},
		"separators": {[]string{`/a:b`, `/c,d`}, `/e\f`, "/w", `lowerdir=/a\:b:/c\,d,upperdir=/e\\f,workdir=/w`},
	} {
		got, err := OverlayOptions(tc.lower, tc.upper, tc.work)
		if err != nil || got != tc.want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, tc.want)
		}
	}
	for name, tc := range map[string]struct {
		lower       []string
		upper, work string
	}{
		"no layer":            {nil, "/u", "/w"},
		"one layer read-only": {[]string{"/l"}, "", ""},
		"no work":             {[]string{"/l"}, "/u", ""},
		"nul":                 {[]string{"/l\x00"}, "/u", "/w"},
	} {
		if got, err := OverlayOptions(tc.lower, tc.upper, tc.work); err == nil {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestOverlayOptionsFitOnePage(t *testing.T) {
	fixed := len("lowerdir=,upperdir=/u,workdir=/w")
	fits := strings.Repeat("x", 4095-fixed)
	if data, err := OverlayOptions([]string{fits}, "/u", "/w"); err != nil || len(data) != 4095 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if _, err := OverlayOptions([]string{fits + "x"}, "/u", "/w"); !errors.Is(err, ErrOverlayTooLong) {
		t.Errorf("got %v", err)
	}
}
