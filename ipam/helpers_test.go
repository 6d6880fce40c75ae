package ipam

import (
	"net/netip"
	"testing"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func subnet(s string) Config { return Config{Subnet: prefix(s)} }

func newBitmap(t testing.TB, cfg Config) *Bitmap {
	t.Helper()
	b, err := NewBitmap(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func openFile(t testing.TB, path string, cfg Config) *File {
	t.Helper()
	f, err := OpenFile(path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Errorf("closing %s: %v", path, err)
		}
	})
	return f
}

// allocate takes the next address and wants it to be want; "" accepts any.
func allocate(t testing.TB, f *File, o Owner, want string) netip.Addr {
	t.Helper()
	a, err := f.Allocate(o)
	if err != nil {
		t.Fatal(err)
	}
	if want != "" && a != addr(want) {
		t.Fatalf("allocated %s, want %s", a, want)
	}
	return a
}
