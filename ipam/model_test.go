package ipam

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// model is a pool done slowly and plainly: one slot an address.
type model struct {
	s      *space
	owner  []Owner // by offset; 0 is free
	cursor int
}

func newModel(s *space) *model { return &model{s: s, owner: make([]Owner, s.size)} }

func (m *model) freeAt(i int) bool { return m.owner[i] == 0 && !m.s.isReserved(i) }

// peek walks once around the range from the cursor on.
func (m *model) peek() (int, bool) {
	n := m.s.hi - m.s.lo + 1
	from := 0
	if m.cursor >= m.s.lo && m.cursor <= m.s.hi {
		from = m.cursor - m.s.lo
	}
	for k := range n {
		if i := m.s.lo + (from+k)%n; m.freeAt(i) {
			return i, true
		}
	}
	return 0, false
}

func (m *model) allocate(o Owner) (int, bool) {
	i, ok := m.peek()
	if ok {
		m.owner[i] = o
		m.cursor = i + 1
	}
	return i, ok
}

func (m *model) release(i int) {
	if next, ok := m.peek(); ok {
		m.cursor = next
	}
	m.owner[i] = 0
}

func (m *model) counts() (used, free int) {
	for i, o := range m.owner {
		if o != 0 {
			used++
		}
		if m.freeAt(i) && i >= m.s.lo && i <= m.s.hi {
			free++
		}
	}
	return used, free
}

// modelConfigs have one, two, three and four levels, and ranges that begin and
// end inside a word.
var modelConfigs = []Config{
	subnet("10.0.0.0/30"),
	subnet("10.0.0.0/29"),
	subnet("10.0.0.0/26"),
	subnet("10.0.0.0/25"),
	subnet("10.0.0.0/24"),
	subnet("255.255.240.0/20"),
	subnet("10.0.0.0/19"),
	{Subnet: prefix("10.0.0.0/24"), Range: prefix("10.0.0.32/28")},
	{Subnet: prefix("10.0.0.0/20"), Range: prefix("10.0.4.0/22"), Gateway: addr("10.0.4.0")},
	{Subnet: prefix("10.0.0.0/22"), Range: prefix("10.0.3.0/24"), Gateway: addr("10.0.2.7"), Reserved: []netip.Addr{addr("10.0.3.64"), addr("10.0.3.63")}},
	{Subnet: prefix("10.0.0.0/13"), Range: prefix("10.4.0.0/25")},
	subnet("fd00:1::/64"),
	subnet("fd00:1::/126"),
	subnet("2001:db8::ffff:0/112"),
	{Subnet: prefix("fd00:1::/64"), Range: prefix("fd00:1::8000:0:0:0/65"), Gateway: addr("fd00:1::8000:0:0:7")},
	{Subnet: prefix("fd00:1::/48"), Range: prefix("fd00:1:0:ffff:ffff:ffff:ffff:ff00/120"), Reserved: []netip.Addr{addr("fd00:1:0:ffff:ffff:ffff:ffff:ffff"), addr("fd00:1::9")}},
}

func TestBitmapAgainstModel(t *testing.T) {
	for seed, cfg := range modelConfigs {
		t.Run(cfg.String(), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 1))
			b, m := newBitmap(t, cfg), newModel(newSpace(cfg))
			for step := range 4000 {
				// Phases of filling and of emptying, so that both ends are met.
				filling := step/(m.s.hi-m.s.lo+10)%2 == 0
				bitmapStep(t, r, b, m, filling)
				if step%97 == 0 {
					compare(t, b, m)
				}
			}
			compare(t, b, m)
		})
	}
}

// bitmapStep does one random operation on both and wants the same outcome.
func bitmapStep(t *testing.T, r *rand.Rand, b *Bitmap, m *model, filling bool) {
	t.Helper()
	i := r.IntN(m.s.size)
	if r.IntN(2) == 0 { // more often where the dynamic addresses are
		i = m.s.lo + r.IntN(m.s.hi-m.s.lo+1)
	}
	a := m.s.addr(i)
	switch op := r.IntN(10); {
	case op < 2:
		err := b.AllocateAddr(a)
		if (err == nil) != m.freeAt(i) {
			t.Fatalf("AllocateAddr(%s): %v, free in the model: %t", a, err, m.freeAt(i))
		}
		if err == nil {
			m.owner[i] = 1
		}
	case op < 4 || !filling:
		if got, want := b.Release(a), m.owner[i] != 0; got != want {
			t.Fatalf("Release(%s) = %t, want %t", a, got, want)
		} else if got {
			m.release(i)
		}
	default:
		bitmapAllocate(t, b, m)
	}
}

func bitmapAllocate(t *testing.T, b *Bitmap, m *model) {
	t.Helper()
	peeked, peekErr := b.Peek()
	a, err := b.Allocate()
	i, ok := m.allocate(1)
	if (err == nil) != ok || ok && a != m.s.addr(i) {
		t.Fatalf("Allocate: %s, %v; the model: %s, %t", a, err, m.s.addr(i), ok)
	}
	if peeked != a || (peekErr == nil) != ok {
		t.Fatalf("Peek: %s, %v; then Allocate: %s, %v", peeked, peekErr, a, err)
	}
	if !ok && !errors.Is(err, ErrFull) {
		t.Fatalf("full: got %v", err)
	}
}

func compare(t *testing.T, b *Bitmap, m *model) {
	t.Helper()
	used, free := m.counts()
	if b.Used() != used || b.Free() != free {
		t.Fatalf("used %d, free %d; the model: %d, %d", b.Used(), b.Free(), used, free)
	}
	seen := 0
	for a := range b.All() {
		if i, err := m.s.offset(a); err != nil || m.owner[i] == 0 || !b.Taken(a) {
			t.Fatalf("All lists %s, which is free", a)
		}
		seen++
	}
	if seen != used {
		t.Fatalf("All lists %d addresses, want %d", seen, used)
	}
	if err := sound(&b.tree); err != nil {
		t.Fatal(err)
	}
}

// sound checks what must hold after any stop: a full bit means a full word
// below, and a word with a used bit has its some bit.
func sound(t *tree) error {
	for k := 1; k < t.levels; k++ {
		for j := range t.count[k] {
			bit := uint64(1) << (j & low)
			full := t.words[t.full[k]+j>>shift]&bit != 0
			if full && t.words[t.full[k-1]+j] != ^uint64(0) {
				return fmt.Errorf("level %d: full bit %d is set but the word below is %#x", k, j, t.words[t.full[k-1]+j])
			}
			some := t.words[t.some[k]+j>>shift]&bit != 0
			if !some && t.words[t.some[k-1]+j] != 0 {
				return fmt.Errorf("level %d: some bit %d is clear but the word below is %#x", k, j, t.words[t.some[k-1]+j])
			}
		}
	}
	return nil
}

func FuzzBitmap(f *testing.F) {
	f.Add(uint8(30), []byte{0, 0, 0, 1, 2, 3})
	f.Add(uint8(25), []byte("allocate and release"))
	f.Add(uint8(200), []byte("allocate and release"))
	f.Fuzz(func(t *testing.T, bits uint8, ops []byte) {
		cfg := Config{Subnet: netip.PrefixFrom(addr("10.0.0.0"), 20+int(bits)%11)}
		if bits >= 128 {
			cfg.Subnet = netip.PrefixFrom(addr("fd00::"), 116+int(bits)%11)
		}
		b, m := newBitmap(t, cfg), newModel(newSpace(cfg))
		for _, op := range ops {
			i := int(op>>1) * m.s.size / 128
			switch {
			case op&1 == 0:
				bitmapAllocate(t, b, m)
			case b.Release(m.s.addr(i)):
				m.release(i)
			case m.owner[i] != 0:
				t.Fatalf("%s was not released", m.s.addr(i))
			}
		}
		compare(t, b, m)
	})
}
