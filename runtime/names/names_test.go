package names

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestValid(t *testing.T) {
	for name, ok := range map[string]bool{
		"ab": true, "web": true, "0a": true, "A_.-z": true, "12": true, "a..": true, "a--": true,
		strings.Repeat("x", MaxLen): true, strings.Repeat("x", MaxLen+1): false,
		"": false, "a": false, "_a": false, ".a": false, "-a": false, "..": false, ".": false, "a/b": false,
		"a/../b": false, "/web": false, "a b": false, "a\nb": false, "a\x00b": false, "é1": false, "aé": false,
		"a:b": false, "a@b": false, "\xff\xff": false,
	} {
		if err := Valid(name); (err == nil) != ok {
			t.Errorf("Valid(%q) = %v", name, err)
		}
	}
}

func TestValidTexts(t *testing.T) {
	want := "Invalid container name (a/b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
	if got := Valid("a/b").Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	long := Valid(strings.Repeat("é", 100)).Error()
	if !strings.Contains(long, "at most 128") || len(long) > 140 {
		t.Errorf("for a long name: %s", long)
	}
}

func TestLists(t *testing.T) {
	word := regexp.MustCompile(`^[a-z]{2,14}$`)
	for _, tc := range []struct {
		name, list string
		atLeast    int
	}{{"adjectives", adjectives, 100}, {"surnames", surnames, 150}} {
		words := strings.Split(tc.list, " ")
		if len(words) < tc.atLeast {
			t.Errorf("%s: only %d words", tc.name, len(words))
		}
		for i, w := range words {
			if !word.MatchString(w) || slices.Index(words, w) != i {
				t.Errorf("%s: bad or repeated word %q", tc.name, w)
			}
			if got := pick(tc.list, uint32(i)); got != w {
				t.Errorf("%s: pick(%d) = %q, want %q", tc.name, i, got, w)
			}
			if got := pick(tc.list, uint32(i+len(words))); got != w {
				t.Errorf("%s: pick(%d) = %q, want %q", tc.name, i+len(words), got, w)
			}
		}
	}
}

func TestRandom(t *testing.T) {
	seen := map[string]bool{}
	for range 500 {
		n := Random()
		seen[n] = true
		if err := Valid(n); err != nil || strings.Count(n, "_") != 1 {
			t.Fatalf("%q: %v", n, err)
		}
	}
	if len(seen) < 450 {
		t.Errorf("only %d different names in 500", len(seen))
	}
}

func TestNewID(t *testing.T) {
	hex := regexp.MustCompile(`^[0-9a-f]{64}$`)
	seen := map[string]bool{}
	for range 2000 {
		id := NewID()
		if !hex.MatchString(id) || decimal(id[:12]) || seen[id] {
			t.Fatalf("bad id %q", id)
		}
		seen[id] = true
	}
}

func TestDecimal(t *testing.T) {
	for s, want := range map[string]bool{"012345678901": true, "0123456789a1": false, "f": false} {
		if decimal(s) != want {
			t.Errorf("decimal(%q) = %v", s, !want)
		}
	}
}

func FuzzValid(f *testing.F) {
	f.Add("web_1")
	f.Add("a/../b")
	rule := regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)
	f.Fuzz(func(t *testing.T, name string) {
		want := rule.MatchString(name) && len(name) <= MaxLen && !strings.HasSuffix(name, "\n")
		if got := Valid(name) == nil; got != want {
			t.Errorf("Valid(%q): %v, want %v", name, got, want)
		}
	})
}
