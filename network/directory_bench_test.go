package network

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// BenchmarkDirectory: a lookup on a network of 500 containers, when nothing has
// changed, and just after a change.
func BenchmarkDirectory(b *testing.B)        { benchDirectory(b, false) }
func BenchmarkDirectoryChanged(b *testing.B) { benchDirectory(b, true) }

func benchDirectory(b *testing.B, changed bool) {
	w := makeWorld(b, "iptables-nft", "1")
	n := &Network{ID: fmt.Sprintf("%064x", 7), Name: "red", Driver: DriverBridge}
	for i := range 500 {
		w.must(w.m.createRecord(n, &Endpoint{
			NetworkID: n.ID, NetworkName: n.Name, ContainerID: fmt.Sprintf("%064x", i), ContainerName: fmt.Sprint("n", i),
			IP: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}),
		}))
	}
	time.Sleep(2 * settled)
	d := w.m.Directory(n)
	for b.Loop() {
		if changed {
			d.stamp = time.Time{}
		}
		if l, err := d.Lookup("n77"); err != nil || len(l) != 1 {
			b.Fatal(l, err)
		}
	}
}
