package main

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func TestParseDetachKeys(t *testing.T) {
	for in, want := range map[string]string{
		"": "\x10\x11", "ctrl-p,ctrl-q": "\x10\x11", "a": "a", "ctrl-@,ctrl-_": "\x00\x1f", "CTRL-A,x": "\x01x", "ctrl-[": "\x1b",
	} {
		if got, err := parseDetachKeys(in); err != nil || string(got) != want {
			t.Errorf("%q: got %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{",", "ctrl-", "ctrl-aa", "ctrl-1", "é", "shift-a", "ctrl-é"} {
		if got, err := parseDetachKeys(in); err == nil {
			t.Errorf("%q: got %q", in, got)
		}
	}
}

func TestEscapeReader(t *testing.T) {
	for _, tc := range []struct {
		keys, in, want string
		detached       bool
	}{
		{"\x10\x11", "ls\n\x10\x11rest", "ls\n", true},
		{"\x10\x11", "a\x10b\x11", "a\x10b\x11", false},
		{"\x10\x11", "\x10\x10\x11", "\x10", true},
		{"\x10\x11", "end\x10", "end\x10", false},
		{"aab", "aaab", "a", true},
		{"abac", "ababac", "ab", true},
		{"x", "x", "", true},
	} {
		for name, in := range map[string]io.Reader{
			"whole": bytes.NewReader([]byte(tc.in)), "bytes": iotest.OneByteReader(bytes.NewReader([]byte(tc.in))),
		} {
			got, err := io.ReadAll(&escapeReader{in: in, keys: []byte(tc.keys)})
			if string(got) != tc.want || errors.Is(err, errDetached) != tc.detached {
				t.Errorf("%q in %q (%s): got %q, %v", tc.keys, tc.in, name, got, err)
			}
		}
	}
}

// FuzzEscapeReader compares with a search in the whole text.
func FuzzEscapeReader(f *testing.F) {
	f.Add("ab", "xxabyy")
	f.Add("aab", "aaaab")
	f.Fuzz(func(t *testing.T, keys, in string) {
		if keys == "" {
			return
		}
		want, _, found := bytes.Cut([]byte(in), []byte(keys))
		for _, r := range []io.Reader{bytes.NewReader([]byte(in)), iotest.HalfReader(bytes.NewReader([]byte(in)))} {
			got, err := io.ReadAll(&escapeReader{in: r, keys: []byte(keys)})
			if !bytes.Equal(got, want) || errors.Is(err, errDetached) != found {
				t.Errorf("%q in %q: got %q, %v; want %q, found %v", keys, in, got, err, want, found)
			}
		}
	})
}
