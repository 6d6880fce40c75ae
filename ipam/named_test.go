package ipam

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// big is a subnet most of which has no bits.
var big = Config{Subnet: prefix("fd00:1::/64"), Reserved: []netip.Addr{addr("fd00:1::ffff:1")}}

func TestAllocateOfIPv6(t *testing.T) {
	f := openFile(t, filepath.Join(t.TempDir(), "pool"), big)
	allocate(t, f, alice, "fd00:1::2")
	allocate(t, f, bob, "fd00:1::3")
	if free, err := f.Free(); free != 1<<16-4 || err != nil {
		t.Errorf("%d are free, %v", free, err)
	}
	for range 1<<16 - 4 {
		allocate(t, f, alice, "")
	}
	want := "the first 65536 addresses of subnet fd00:1::/64: no free address"
	if _, err := f.Allocate(alice); !errors.Is(err, ErrFull) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := f.Release(addr("fd00:1::8000"), alice); err != nil {
		t.Error(err)
	}
	allocate(t, f, bob, "fd00:1::8000")
}

// TestNamedAddresses: an address without a bit has one owner, is listed, counted, and
// comes back.
func TestNamedAddresses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pool")
	f := openFile(t, path, big)
	far, farther := addr("fd00:1::1:0"), addr("fd00:1::ffff:ffff:ffff:ffff")
	for _, a := range []netip.Addr{farther, far} {
		if err := f.Check(a); err != nil {
			t.Error(err)
		}
		if err := f.AllocateAddr(a, alice); err != nil {
			t.Fatal(err)
		}
		var taken *AddrError
		if err := f.AllocateAddr(a, bob); !errors.Is(err, ErrTaken) || !errors.As(err, &taken) || taken.Owner != alice {
			t.Errorf("%s is given twice: %v", a, err)
		}
		if err := f.Check(a); !errors.Is(err, ErrTaken) {
			t.Errorf("Check(%s): %v", a, err)
		}
	}
	near := allocate(t, f, bob, "fd00:1::2")
	var owned []netip.Addr
	for a, o := range openFile(t, path, big).Owned() { // as another process sees it
		if want, err := f.Owner(a); o != want || err != nil {
			t.Errorf("%s belongs to %s and %s, %v", a, o, want, err)
		}
		owned = append(owned, a)
	}
	if want := []netip.Addr{near, far, farther}; !slices.Equal(owned, want) || f.Err() != nil {
		t.Errorf("owned are %v, %v, want %v", owned, f.Err(), want)
	}
	if used, err := f.Used(); used != 3 || err != nil {
		t.Errorf("%d are used, %v", used, err)
	}
	for owner, want := range map[Owner]bool{bob: false, 0: false, alice: true} {
		if owner == alice {
			continue // last: the others change nothing
		}
		if ok, err := f.Release(far, owner); ok != want || err != nil {
			t.Errorf("%s releases it: %t, %v", owner, ok, err)
		}
	}
	for _, want := range []bool{true, false} {
		if ok, err := f.Release(far, alice); ok != want || err != nil {
			t.Errorf("released: %t, %v, want %t", ok, err, want)
		}
	}
	if err := f.AllocateAddr(far, bob); err != nil {
		t.Error(err)
	}
	if err := f.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path + NamedSuffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the names stay: %v", err)
	}
}

func TestNamedAddressErrors(t *testing.T) {
	f := openFile(t, filepath.Join(t.TempDir(), "pool"), Config{
		Subnet: prefix("fd00:1::/64"), Gateway: addr("fd00:1::ffff:ffff"), Range: prefix("fd00:1::1:0/112"), Reserved: []netip.Addr{addr("fd00:1::7")},
	})
	for _, test := range []struct {
		addr string
		kind error
		text string
	}{
		{"fd00:2::1", ErrOutOfRange, "address fd00:2::1 is outside subnet fd00:1::/64"},
		{"10.0.0.1", ErrOutOfRange, "address 10.0.0.1 is outside subnet fd00:1::/64"},
		{"fd00:1::5%eth0", ErrOutOfRange, "address fd00:1::5%eth0 is outside subnet fd00:1::/64"},
		{"fd00:1::", ErrReserved, "address fd00:1:: is reserved in subnet fd00:1::/64: it is the subnet-router anycast address"},
		{"fd00:1::ffff:ffff", ErrReserved, "address fd00:1::ffff:ffff is reserved in subnet fd00:1::/64: it is the gateway"},
		{"fd00:1::7", ErrReserved, "address fd00:1::7 is reserved in subnet fd00:1::/64: it is kept back by the network's configuration"},
	} {
		for what, err := range map[string]error{"AllocateAddr": f.AllocateAddr(addr(test.addr), alice), "Check": f.Check(addr(test.addr))} {
			if !errors.Is(err, test.kind) || err.Error() != test.text {
				t.Errorf("%s(%s): got %v, want %s", what, test.addr, err, test.text)
			}
		}
		if ok, err := f.Release(addr(test.addr), alice); ok || (err != nil) != (test.kind == ErrOutOfRange) {
			t.Errorf("%s was released: %t, %v", test.addr, ok, err)
		}
	}
}

// TestNamedInTheBitmap: what is in memory does the same.
func TestNamedInTheBitmap(t *testing.T) {
	b := newBitmap(t, big)
	far := addr("fd00:1::1:0")
	if err := errors.Join(b.AllocateAddr(far), b.AllocateAddr(addr("fd00:1::9"))); err != nil {
		t.Fatal(err)
	}
	if err := b.AllocateAddr(far); !errors.Is(err, ErrTaken) || !b.Taken(far) || b.Used() != 2 {
		t.Errorf("got %v, taken %t, %d used", err, b.Taken(far), b.Used())
	}
	if err := b.AllocateAddr(addr("fd00:1::ffff:1")); !errors.Is(err, ErrReserved) {
		t.Errorf("got %v", err)
	}
	if got, want := slices.Collect(b.All()), []netip.Addr{addr("fd00:1::9"), far}; !slices.Equal(got, want) {
		t.Errorf("All gives %v, want %v", got, want)
	}
	if !b.Release(far) || b.Release(far) || b.Taken(far) {
		t.Error("want one release, not two")
	}
}

// TestNamedAddressIsTakenOnce by one of many, each with an open file of its own.
func TestNamedAddressIsTakenOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pool")
	for round := range 20 {
		var wg sync.WaitGroup
		won := make([]bool, 8)
		for i := range won {
			f := openFile(t, path, big)
			wg.Go(func() {
				err := f.AllocateAddr(addr("fd00:1::dead:beef:0:1"), Owner(i+1))
				if won[i] = err == nil; err != nil && !errors.Is(err, ErrTaken) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		winner := slices.Index(won, true)
		if winner < 0 || slices.Contains(won[winner+1:], true) {
			t.Fatalf("round %d: won: %v", round, won)
		}
		if ok, err := openFile(t, path, big).Release(addr("fd00:1::dead:beef:0:1"), Owner(winner+1)); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
}
