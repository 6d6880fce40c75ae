package ipam

import (
	"errors"
	"net/netip"
	"testing"
)

func TestAllocateGoesRound(t *testing.T) {
	b := newBitmap(t, subnet("10.0.0.0/29"))
	for _, want := range []string{"10.0.0.2", "10.0.0.3", "10.0.0.4"} {
		if a, err := b.Allocate(); err != nil || a != addr(want) {
			t.Fatalf("got %s, %v; want %s", a, err, want)
		}
	}
	if !b.Release(addr("10.0.0.3")) || b.Release(addr("10.0.0.3")) {
		t.Fatal("want one release, not two")
	}
	for _, want := range []string{"10.0.0.5", "10.0.0.6", "10.0.0.3"} {
		if a, err := b.Allocate(); err != nil || a != addr(want) {
			t.Fatalf("got %s, %v; want %s", a, err, want)
		}
	}
	_, err := b.Allocate()
	if !errors.Is(err, ErrFull) || err.Error() != "subnet 10.0.0.0/29: no free address" {
		t.Fatalf("got %v", err)
	}
}

// An address that was asked for by name and released may lie right at the
// cursor. It is not next all the same.
func TestReleasedFixedAddressIsNotNext(t *testing.T) {
	b := newBitmap(t, subnet("10.0.0.0/24"))
	next, err := b.Peek()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.AllocateAddr(next); err != nil {
		t.Fatal(err)
	}
	if !b.Release(next) {
		t.Fatal("not released")
	}
	if a, err := b.Allocate(); err != nil || a == next {
		t.Fatalf("got %s, %v at once", a, err)
	}
}

func TestTheOnlyFreeAddressComesBack(t *testing.T) {
	b := newBitmap(t, subnet("10.0.0.0/30"))
	for range 3 {
		a, err := b.Allocate()
		if err != nil || a != addr("10.0.0.2") {
			t.Fatalf("got %s, %v", a, err)
		}
		if !b.Release(a) {
			t.Fatal("not released")
		}
	}
}

func TestAllocateAddrErrors(t *testing.T) {
	b := newBitmap(t, Config{
		Subnet: prefix("10.0.0.0/24"), Gateway: addr("10.0.0.254"),
		Range: prefix("10.0.0.64/26"), Reserved: []netip.Addr{addr("10.0.0.66")},
	})
	if err := b.AllocateAddr(addr("10.0.0.9")); err != nil {
		t.Fatalf("outside the range but inside the subnet: %v", err)
	}
	tests := []struct {
		addr string
		kind error
		text string
	}{
		{"10.0.0.9", ErrTaken, "address 10.0.0.9 in subnet 10.0.0.0/24 is taken"},
		{"::ffff:10.0.0.9", ErrTaken, "address 10.0.0.9 in subnet 10.0.0.0/24 is taken"},
		{"10.0.1.0", ErrOutOfRange, "address 10.0.1.0 is outside subnet 10.0.0.0/24"},
		{"9.255.255.255", ErrOutOfRange, "address 9.255.255.255 is outside subnet 10.0.0.0/24"},
		{"fd00::1", ErrOutOfRange, "address fd00::1 is outside subnet 10.0.0.0/24"},
		{"10.0.0.0", ErrReserved, "address 10.0.0.0 is reserved in subnet 10.0.0.0/24: it is the network address"},
		{"10.0.0.255", ErrReserved, "address 10.0.0.255 is reserved in subnet 10.0.0.0/24: it is the broadcast address"},
		{"10.0.0.254", ErrReserved, "address 10.0.0.254 is reserved in subnet 10.0.0.0/24: it is the gateway"},
		{"10.0.0.66", ErrReserved, "address 10.0.0.66 is reserved in subnet 10.0.0.0/24: it is kept back by the network's configuration"},
	}
	for _, test := range tests {
		err := b.AllocateAddr(addr(test.addr))
		if !errors.Is(err, test.kind) || err.Error() != test.text {
			t.Errorf("%s: got %v, want %s", test.addr, err, test.text)
		}
		if test.kind != ErrTaken && b.Release(addr(test.addr)) {
			t.Errorf("%s was released", test.addr)
		}
	}
	if err := b.AllocateAddr(netip.Addr{}); !errors.Is(err, ErrOutOfRange) {
		t.Errorf("zero address: got %v", err)
	}
}

func TestFullRangeNamesTheRange(t *testing.T) {
	b := newBitmap(t, Config{Subnet: prefix("10.0.0.0/24"), Range: prefix("10.0.0.8/31")})
	for _, want := range []string{"10.0.0.8", "10.0.0.9"} {
		if a, err := b.Allocate(); err != nil || a != addr(want) {
			t.Fatalf("got %s, %v; want %s", a, err, want)
		}
	}
	_, err := b.Allocate()
	if !errors.Is(err, ErrFull) || err.Error() != "range 10.0.0.8/31 of subnet 10.0.0.0/24: no free address" {
		t.Fatalf("got %v", err)
	}
	if b.Used() != 2 || b.Free() != 0 {
		t.Fatalf("used %d, free %d", b.Used(), b.Free())
	}
}

// A /12 has as many levels as a /8 and fills in a sixteenth of the time.
func TestFourLevelsFillCompletely(t *testing.T) {
	b := newBitmap(t, subnet("10.192.0.0/12"))
	const want = 1<<20 - 3
	for n := range want {
		if _, err := b.Allocate(); err != nil {
			t.Fatalf("after %d: %v", n, err)
		}
	}
	if _, err := b.Allocate(); !errors.Is(err, ErrFull) || b.Used() != want || b.Free() != 0 {
		t.Fatalf("got %v, used %d, free %d", err, b.Used(), b.Free())
	}
	hole := addr("10.200.3.4")
	if !b.Release(hole) {
		t.Fatal("not released")
	}
	if a, err := b.Allocate(); err != nil || a != hole {
		t.Fatalf("got %s, %v; want the only hole, %s", a, err, hole)
	}
}
