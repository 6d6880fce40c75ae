package ipam

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"testing"
)

// fills are the states a pool is measured in. Packed: the used addresses lie
// in one block from the start. Random: the free ones are scattered.
var fills = []struct {
	name   string
	used   float64
	random bool
}{
	{"empty", 0, false},
	{"50%/packed", 0.5, false},
	{"50%/random", 0.5, true},
	{"99.9%/packed", 0.999, false},
	{"99.9%/random", 0.999, true},
}

// filled returns a Bitmap in the given state.
func filled(b *testing.B, cfg Config, used float64, random bool) *Bitmap {
	b.Helper()
	m := newBitmap(b, cfg)
	n := m.tree.size
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	if random {
		rand.New(rand.NewPCG(1, 1)).Shuffle(n, func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	for _, i := range order[:int(float64(n)*used)] {
		if !m.tree.used(i) {
			if err := m.AllocateAddr(m.tree.addr(i)); err != nil {
				b.Fatal(err)
			}
		}
	}
	return m
}

// BenchmarkBitmap measures one Allocate and one Release of the oldest of 32
// addresses held, so that the fill stays and the cursor goes round.
func BenchmarkBitmap(b *testing.B) {
	for _, size := range []string{"10.0.0.0/16", "10.0.0.0/8"} {
		for _, fill := range fills {
			b.Run(fmt.Sprintf("%s/%s", size[9:], fill.name), func(b *testing.B) {
				m := filled(b, subnet(size), fill.used, fill.random)
				var held [32]netip.Addr
				for i := 0; b.Loop(); i++ {
					slot := i % len(held)
					if held[slot].IsValid() {
						m.Release(held[slot])
					}
					a, err := m.Allocate()
					if err != nil {
						b.Fatal(err)
					}
					held[slot] = a
				}
			})
		}
	}
}

// BenchmarkBitmapAllocate measures Allocate alone, from the fill to the full
// pool again and again; the refilling in between is not timed.
func BenchmarkBitmapAllocate(b *testing.B) {
	for _, size := range []string{"10.0.0.0/16", "10.0.0.0/8"} {
		for _, fill := range fills {
			b.Run(fmt.Sprintf("%s/%s", size[9:], fill.name), func(b *testing.B) {
				start := filled(b, subnet(size), fill.used, fill.random)
				m := *start
				m.tree = *start.tree.clone()
				left := m.Free()
				b.ResetTimer()
				for range b.N {
					if left == 0 {
						b.StopTimer()
						copy(m.tree.words, start.tree.words)
						left = m.Free()
						b.StartTimer()
					}
					if _, err := m.Allocate(); err != nil {
						b.Fatal(err)
					}
					left--
				}
			})
		}
	}
}

// BenchmarkBitmapFull measures the answer that nothing is free.
func BenchmarkBitmapFull(b *testing.B) {
	m := filled(b, subnet("10.0.0.0/8"), 1, false)
	for b.Loop() {
		m.tree.pick(nil)
	}
}

// BenchmarkFile measures what a process pays that allocates once: open, lock,
// map, allocate, unlock, unmap, close. Warm keeps the file open and pays for a
// release too.
func BenchmarkFile(b *testing.B) {
	for _, size := range []string{"10.0.0.0/24", "10.0.0.0/16", "10.0.0.0/8"} {
		cfg := subnet(size)
		b.Run(size[9:]+"/cold", func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "pool")
			for b.Loop() {
				if full := coldCycle(b, path, cfg); full {
					b.StopTimer()
					releaseOwned(b, path, cfg)
					b.StartTimer()
				}
			}
		})
		b.Run(size[9:]+"/warm", func(b *testing.B) {
			f := openFile(b, filepath.Join(b.TempDir(), "pool"), cfg)
			for b.Loop() {
				a := allocate(b, f, alice, "")
				if ok, err := f.Release(a, alice); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}

func coldCycle(b *testing.B, path string, cfg Config) (full bool) {
	f, err := OpenFile(path, cfg)
	if err != nil {
		b.Fatal(err)
	}
	_, err = f.Allocate(alice)
	if full = errors.Is(err, ErrFull); err != nil && !full {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return full
}

func releaseOwned(b *testing.B, path string, cfg Config) {
	f := openFile(b, path, cfg)
	for a, o := range f.Owned() {
		if ok, err := f.Release(a, o); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkNextSubnet(b *testing.B) {
	var used []Used
	for range 1000 {
		p, err := NextSubnet(DefaultPools(), used)
		if err != nil {
			b.Fatal(err)
		}
		used = append(used, Used{Prefix: p, By: "network"})
	}
	for b.Loop() {
		if _, err := NextSubnet(DefaultPools(), used); err != nil {
			b.Fatal(err)
		}
	}
}
