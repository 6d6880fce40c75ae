package network

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Directory knows the containers on one network by their names and addresses.
// It reads the endpoints' records, and reads them again when one of them has
// changed. It is safe for use by several goroutines.
type Directory struct {
	m *Manager
	n *Network

	mu     sync.Mutex
	stamp  time.Time // of the directory of records, when it was read
	byName map[string][]Listing
	byAddr map[netip.Addr]Listing
}

// Listing is one container's entry in a [Directory].
type Listing struct {
	ContainerID string
	Name        string // its first name
	Addr        netip.Addr
}

// Directory gives the directory of a network.
func (m *Manager) Directory(n *Network) *Directory { return &Directory{m: m, n: n} }

// Network gives the network's name.
func (d *Directory) Network() string { return d.n.Name }

// Lookup gives the containers of that name, in lower case. There is more than
// one where they share an alias.
func (d *Directory) Lookup(name string) ([]Listing, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.refresh()
	return d.byName[name], err
}

// Reverse gives the container that has an address.
func (d *Directory) Reverse(addr netip.Addr) (Listing, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.refresh()
	l, ok := d.byAddr[addr]
	return l, ok, err
}

// settled is the age at which a directory's time of change is trusted: the
// kernel's clock for files ticks every few milliseconds, and what happens
// within one tick has one time.
const settled = 50 * time.Millisecond

// refresh reads the records unless none was added, replaced or removed since.
// Each of these changes the time of their directory.
func (d *Directory) refresh() error {
	now := time.Now()
	info, err := os.Stat(d.m.endpointDir(d.n))
	if err != nil {
		d.stamp, d.byName, d.byAddr = time.Time{}, nil, nil
		return ignoreMissing(err)
	}
	if !d.stamp.IsZero() && info.ModTime().Equal(d.stamp) {
		return nil
	}
	eps, err := d.m.Endpoints(d.n)
	if err != nil {
		return err
	}
	d.index(eps)
	d.stamp = info.ModTime()
	if now.Sub(d.stamp) < settled {
		d.stamp = time.Time{} // too young: the next change may have the same time
	}
	return nil
}

func (d *Directory) index(eps []Endpoint) {
	d.byName, d.byAddr = make(map[string][]Listing), make(map[netip.Addr]Listing)
	for i := range eps {
		ep := &eps[i]
		if !ep.IP.IsValid() {
			continue // an intent
		}
		l := Listing{ContainerID: ep.ContainerID, Name: ep.ContainerName, Addr: ep.IP}
		d.byAddr[l.Addr] = l
		for _, name := range ep.DNSNames() {
			name = strings.ToLower(name)
			if !slices.Contains(d.byName[name], l) {
				d.byName[name] = append(d.byName[name], l)
			}
		}
	}
}

// DNSNames gives the names of the container on this network, the first one
// being that which its address leads to. There are none on the default network.
func (ep *Endpoint) DNSNames() []string {
	if ep.NetworkName == Bridge {
		return nil
	}
	names := append([]string{ep.ContainerName}, ep.Aliases...)
	names = append(names, short(ep.ContainerID))
	if ep.Hostname != "" && !slices.Contains(names, ep.Hostname) {
		names = append(names, ep.Hostname)
	}
	return names
}
