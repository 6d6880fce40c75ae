package ipam

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

const (
	alice Owner = 0xa11cea11cea11ce0
	bob   Owner = 0xb0bb0bb0bb0bb0bb
)

func TestFileSharesAddresses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pool")
	cfg := subnet("10.0.0.0/24")
	f, g := openFile(t, path, cfg), openFile(t, path, cfg)
	allocate(t, f, alice, "10.0.0.2")
	allocate(t, g, bob, "10.0.0.3")
	if err := f.AllocateAddr(addr("10.0.0.9"), alice); err != nil {
		t.Fatal(err)
	}
	err := g.AllocateAddr(addr("10.0.0.9"), bob)
	var ae *AddrError
	if !errors.As(err, &ae) || ae.Owner != alice || !errors.Is(err, ErrTaken) ||
		err.Error() != "address 10.0.0.9 in subnet 10.0.0.0/24 is taken by a11cea11cea11ce0" {
		t.Fatalf("got %v", err)
	}
	wantOwners(t, g, map[string]Owner{"10.0.0.2": alice, "10.0.0.3": bob, "10.0.0.9": alice})
	if used, err := f.Used(); err != nil || used != 3 {
		t.Fatalf("used %d, %v", used, err)
	}
	if free, err := f.Free(); err != nil || free != 250 {
		t.Fatalf("free %d, %v", free, err)
	}
}

func wantOwners(t *testing.T, f *File, want map[string]Owner) {
	t.Helper()
	n := 0
	for a, o := range f.Owned() {
		n++
		if want[a.String()] != o {
			t.Errorf("%s belongs to %s, want %s", a, o, want[a.String()])
		}
		if got, err := f.Owner(a); err != nil || got != o {
			t.Errorf("Owner(%s) = %s, %v, want %s", a, got, err, o)
		}
	}
	if err := f.Err(); err != nil || n != len(want) {
		t.Errorf("walked over %d addresses, want %d; %v", n, len(want), err)
	}
}

func TestFileReleaseIsForTheOwner(t *testing.T) {
	f := openFile(t, filepath.Join(t.TempDir(), "pool"), subnet("10.0.0.0/24"))
	if ok, err := f.Release(addr("10.0.0.2"), alice); ok || err != nil {
		t.Fatalf("release in a missing file: %t, %v", ok, err)
	}
	a := allocate(t, f, alice, "10.0.0.2")
	for _, test := range []struct {
		addr  netip.Addr
		owner Owner
		want  bool
	}{
		{a, bob, false}, {a, 0, false}, {a, alice, true}, {a, alice, false},
		{addr("10.0.0.1"), alice, false}, {addr("10.0.0.1"), 0, false}, {addr("10.0.0.77"), alice, false},
	} {
		if ok, err := f.Release(test.addr, test.owner); ok != test.want || err != nil {
			t.Errorf("Release(%s, %s) = %t, %v", test.addr, test.owner, ok, err)
		}
	}
	if _, err := f.Release(addr("10.0.1.2"), alice); !errors.Is(err, ErrOutOfRange) {
		t.Errorf("outside: got %v", err)
	}
	allocate(t, f, bob, "10.0.0.3")
}

func TestFileIsCreatedByTheFirstAllocationOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pool")
	f := openFile(t, path, subnet("10.0.0.0/24"))
	if a, err := f.Peek(); err != nil || a != addr("10.0.0.2") {
		t.Fatalf("Peek: %s, %v", a, err)
	}
	if free, err := f.Free(); err != nil || free != 253 {
		t.Fatalf("Free: %d, %v", free, err)
	}
	wantOwners(t, f, nil)
	if err := f.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("reading made the file: %v", err)
	}
	allocate(t, f, alice, "10.0.0.2")
	if a, err := f.Peek(); err != nil || a != addr("10.0.0.3") {
		t.Fatalf("Peek: %s, %v", a, err)
	}
	if _, err := f.Allocate(0); err == nil {
		t.Fatal("an address was given to nobody")
	}
}

func TestFileRemovedUnderOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pool")
	cfg := subnet("10.0.0.0/24")
	f, g := openFile(t, path, cfg), openFile(t, path, cfg)
	allocate(t, f, alice, "10.0.0.2")
	allocate(t, g, bob, "10.0.0.3")
	if err := f.Remove(); err != nil {
		t.Fatal(err)
	}
	wantOwners(t, g, nil)
	allocate(t, g, bob, "10.0.0.2")
	allocate(t, f, alice, "10.0.0.3")
}

func TestFileOfAnotherConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pool")
	allocate(t, openFile(t, path, subnet("10.0.0.0/24")), alice, "")
	for _, cfg := range []Config{
		subnet("10.0.1.0/24"), subnet("10.0.0.0/25"), subnet("10.0.0.0/8"),
		{Subnet: prefix("10.0.0.0/24"), Gateway: addr("10.0.0.254")},
		{Subnet: prefix("10.0.0.0/24"), Range: prefix("10.0.0.128/25")},
		{Subnet: prefix("10.0.0.0/24"), Reserved: []netip.Addr{addr("10.0.0.99")}},
	} {
		_, err := OpenFile(path, cfg)
		if !errors.Is(err, ErrMismatch) {
			t.Errorf("%s: got %v", cfg, err)
			continue
		}
		for _, part := range []string{path, "is for subnet 10.0.0.0/24 gateway 10.0.0.1 ", "not for " + cfg.String()} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q is missing in %q", part, err)
			}
		}
	}
}

func TestDamagedFiles(t *testing.T) {
	cfg := subnet("10.0.0.0/24")
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	allocate(t, openFile(t, good, cfg), alice, "")
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	unfinished := append([]byte(nil), whole...)
	clear(unfinished[:8])
	for i := range unfinished[16:] {
		unfinished[16+i] = 0xff
	}
	huge := append([]byte(nil), whole...)
	binary.NativeEndian.PutUint64(huge[8:], 1<<60)
	for name, test := range map[string]struct {
		data []byte
		want error
	}{
		"empty": {nil, nil}, "short header": {make([]byte, 9), nil}, "unfinished": {unfinished, nil},
		"cut": {whole[:len(whole)-8], ErrMismatch}, "longer": {append(whole[:len(whole):len(whole)], 0), ErrMismatch},
		"foreign": {[]byte("#!/bin/sh\nexit 0\n# and more\n"), ErrMismatch}, "impossible text": {huge, ErrMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			if err := os.WriteFile(path, test.data, 0o600); err != nil {
				t.Fatal(err)
			}
			if test.want != nil {
				if _, err := OpenFile(path, cfg); !errors.Is(err, test.want) {
					t.Fatalf("got %v", err)
				}
				return
			}
			f := openFile(t, path, cfg)
			if a, err := f.Peek(); err != nil || a != addr("10.0.0.2") {
				t.Fatalf("Peek: %s, %v", a, err)
			}
			allocate(t, f, bob, "10.0.0.2")
			wantOwners(t, f, map[string]Owner{"10.0.0.2": bob})
		})
	}
}

// A page that cannot be had is a signal. It has to become an error.
func TestFileCutUnderTheMapping(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pool")
	f := openFile(t, path, subnet("10.0.0.0/16"))
	allocate(t, f, alice, "10.0.0.2")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	_, err := f.Allocate(alice)
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Fatalf("got %v", err)
	}
	allocate(t, f, alice, "10.0.0.2") // the next call made the file anew
}

func TestFileErrors(t *testing.T) {
	if _, err := OpenFile("x", Config{}); err == nil {
		t.Error("a configuration without subnet was accepted")
	}
	missing := filepath.Join(t.TempDir(), "no", "pool")
	f := openFile(t, missing, subnet("10.0.0.0/30"))
	if _, err := f.Allocate(alice); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("missing directory: got %v", err)
	}
	if err := f.AllocateAddr(addr("10.0.0.1"), alice); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: got %v", err)
	}
	if _, err := f.Owner(addr("1.1.1.1")); !errors.Is(err, ErrOutOfRange) {
		t.Errorf("outside: got %v", err)
	}
	g := openFile(t, filepath.Join(t.TempDir(), "pool"), subnet("10.0.0.0/30"))
	allocate(t, g, alice, "10.0.0.2")
	if _, err := g.Allocate(bob); !errors.Is(err, ErrFull) {
		t.Errorf("full: got %v", err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Allocate(bob); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("closed: got %v", err)
	}
	for range g.Owned() {
		t.Error("a closed file has owners")
	}
	if err := g.Err(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("walk of a closed file: got %v", err)
	}
}

// Recovery releases what it walks over.
func TestReleaseWhileWalking(t *testing.T) {
	f := openFile(t, filepath.Join(t.TempDir(), "pool"), subnet("10.0.0.0/20"))
	for i := range 1000 {
		o := alice
		if i%3 == 0 {
			o = bob
		}
		allocate(t, f, o, "")
	}
	for a, o := range f.Owned() {
		if o == alice {
			if ok, err := f.Release(a, o); !ok || err != nil {
				t.Fatalf("Release(%s) = %t, %v", a, ok, err)
			}
		}
	}
	if used, err := f.Used(); err != nil || used != 334 {
		t.Fatalf("used %d, %v", used, err)
	}
}

func TestFileStaysSparse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pool")
	f := openFile(t, path, subnet("10.0.0.0/8"))
	for range 100 {
		allocate(t, f, alice, "")
	}
	for range f.Owned() {
		continue
	}
	if _, err := f.Used(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal("no stat data")
	}
	if occupied := st.Blocks * 512; occupied > 256<<10 {
		t.Errorf("100 addresses of a /8 occupy %d bytes of %d", occupied, st.Size)
	}
}

func TestFileAgainstModel(t *testing.T) {
	cfg := Config{Subnet: prefix("10.0.0.0/24"), Range: prefix("10.0.0.128/26")}
	r := rand.New(rand.NewPCG(5, 6))
	path := filepath.Join(t.TempDir(), "pool")
	f := openFile(t, path, cfg)
	m := newModel(newSpace(cfg))
	for range 3000 {
		if r.IntN(20) == 0 {
			f = openFile(t, path, cfg)
		}
		i, o := r.IntN(m.s.size), Owner(1+r.IntN(3))
		a := m.s.addr(i)
		switch r.IntN(3) {
		case 0:
			if err := f.AllocateAddr(a, o); (err == nil) != m.freeAt(i) {
				t.Fatalf("AllocateAddr(%s): %v", a, err)
			} else if err == nil {
				m.owner[i] = o
			}
		case 1:
			ok, err := f.Release(a, o)
			if err != nil || ok != (m.owner[i] == o) {
				t.Fatalf("Release(%s): %t, %v", a, ok, err)
			} else if ok {
				m.release(i)
			}
		default:
			got, err := f.Allocate(o)
			if want, ok := m.allocate(o); (err == nil) != ok || ok && got != m.s.addr(want) {
				t.Fatalf("Allocate: %s, %v; want %s, %t", got, err, m.s.addr(want), ok)
			}
		}
	}
	want := map[string]Owner{}
	for i, o := range m.owner {
		if o != 0 {
			want[m.s.addr(i).String()] = o
		}
	}
	wantOwners(t, f, want)
}

func TestParallelHandlesGetDifferentAddresses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pool")
	const workers, each = 8, 100
	taken := make([][]netip.Addr, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range each {
				f, err := OpenFile(path, subnet("10.0.0.0/20"))
				if err != nil {
					t.Error(err)
					return
				}
				a, err := f.Allocate(Owner(w + 1))
				if err := errors.Join(err, f.Close()); err != nil {
					t.Error(err)
				}
				taken[w] = append(taken[w], a)
			}
		})
	}
	wg.Wait()
	f := openFile(t, path, subnet("10.0.0.0/20"))
	want := map[string]Owner{}
	for w, addrs := range taken {
		for _, a := range addrs {
			want[a.String()] = Owner(w + 1)
		}
	}
	if len(want) != workers*each {
		t.Fatalf("%d different addresses, want %d", len(want), workers*each)
	}
	wantOwners(t, f, want)
}
