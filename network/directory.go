package network

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Directory knows the containers on one network by their names and addresses.
// It reads the endpoints' records, and reads them again when one of them has
// changed. It is safe for use by several goroutines.
type Directory struct {
	m *Manager
	n *Network

	mu      sync.Mutex
	stamp   time.Time // of the directory of records, when it was read
	records map[string]record
	byName  map[string][]Listing
	byAddr  map[netip.Addr]Listing
}

// record is what was read of an endpoint. A record is replaced by another file,
// or written once: one that has the same stamp is the same, unless it was young.
type record struct {
	stamp fileStamp
	young bool
	Listing
	names []string // in lower case
}

type fileStamp struct {
	inode uint64
	size  int64
	mtime unix.Timespec
}

// Listing is one container's entry in a [Directory].
type Listing struct {
	ContainerID string
	Name        string       // its first name
	Addrs       []netip.Addr // IPv4 first
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
		d.stamp, d.records, d.byName, d.byAddr = time.Time{}, nil, nil, nil
		return ignoreMissing(err)
	}
	if !d.stamp.IsZero() && info.ModTime().Equal(d.stamp) {
		return nil
	}
	if err := d.read(now); err != nil {
		return err
	}
	d.index()
	d.stamp = info.ModTime()
	if now.Sub(d.stamp) < settled {
		d.stamp = time.Time{} // too young: the next change may have the same time
	}
	return nil
}

// read reads the records that it has not read before.
func (d *Directory) read(now time.Time) error {
	dir, err := os.Open(d.m.endpointDir(d.n))
	if err != nil {
		return ignoreMissing(err)
	}
	defer dir.Close()
	files, err := dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("reading the records of network %s: %w", d.n.Name, err)
	}
	records := make(map[string]record, len(files))
	for _, file := range files {
		id, ok := strings.CutSuffix(file, ".json")
		if !ok || strings.HasPrefix(id, ".") {
			continue
		}
		var st unix.Stat_t
		if err := unix.Fstatat(int(dir.Fd()), file, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			continue // released since the directory was read
		}
		r := record{stamp: fileStamp{st.Ino, st.Size, st.Mtim}, young: now.Sub(time.Unix(st.Mtim.Unix())) < settled}
		if old, ok := d.records[id]; ok && old.stamp == r.stamp && !old.young {
			records[id] = old
			continue
		}
		// What cannot be read is only being made, or was cut short by a crash.
		if ep, err := d.m.Endpoint(d.n, id); err == nil {
			r.fill(ep)
			records[id] = r
		}
	}
	d.records = records
	return nil
}

func (r *record) fill(ep *Endpoint) {
	r.Listing = Listing{ContainerID: ep.ContainerID, Name: ep.ContainerName, Addrs: ep.Addresses()}
	for _, name := range ep.DNSNames() {
		name = strings.ToLower(name)
		if !slices.Contains(r.names, name) {
			r.names = append(r.names, name)
		}
	}
}

// index makes the maps of what was read.
func (d *Directory) index() {
	d.byName, d.byAddr = make(map[string][]Listing), make(map[netip.Addr]Listing)
	for _, id := range slices.Sorted(maps.Keys(d.records)) {
		r := d.records[id]
		if len(r.Addrs) == 0 {
			continue // an intent
		}
		for _, addr := range r.Addrs {
			d.byAddr[addr] = r.Listing
		}
		for _, name := range r.names {
			d.byName[name] = append(d.byName[name], r.Listing)
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
