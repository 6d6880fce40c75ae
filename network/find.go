package network

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// Find gives the network with that name or id, or the only one whose id begins
// with ref.
func (m *Manager) Find(ref string) (*Network, error) {
	if checkName(ref) == nil {
		n, err := m.load(ref)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return n, err
		}
	}
	if !isHex(ref) {
		return nil, errorf(ErrNotFound, "network %s not found", ref)
	}
	all, err := m.List()
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(n *Network) bool { return !strings.HasPrefix(n.ID, ref) })
	switch len(all) {
	case 0:
		return nil, errorf(ErrNotFound, "network %s not found", ref)
	case 1:
		return all[0], nil
	}
	return nil, errorf(ErrAmbiguous, "network %s is ambiguous (%d matches found on ID prefix)", ref, len(all))
}

// current reads the definition of n again. It may be gone, or one of the same
// name may have taken its place.
func (m *Manager) current(n *Network) (*Network, error) {
	now, err := m.load(n.Name)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && now.ID != n.ID) {
		return nil, errorf(ErrNotFound, "network %s not found", n.Name)
	}
	return now, err
}

// load reads one definition; the predefined ones are made when they are missing,
// and stored unless this is a dry run.
func (m *Manager) load(name string) (*Network, error) {
	n := new(Network)
	err := readJSON(m.defPath(name), n)
	if err == nil {
		return n, nil
	}
	if !errors.Is(err, fs.ErrNotExist) || !predefined(name) {
		return nil, err
	}
	opt := CreateOptions{Name: name, Driver: DriverBridge}
	switch name {
	case Host:
		opt.Driver = DriverHost
	case None:
		opt.Driver = DriverNull
	default:
		opt.Bridge = "mini0"
	}
	if m.opt.DryRun {
		return m.define(opt)
	}
	n, err = m.create(opt)
	if errors.Is(err, ErrExists) {
		return m.load(name) // another process was faster
	}
	return n, err
}

// List gives all networks, sorted by name. It always includes bridge, host and
// none.
func (m *Manager) List() ([]*Network, error) {
	for _, name := range []string{Bridge, Host, None} {
		if _, err := m.load(name); err != nil {
			return nil, err
		}
	}
	return m.stored()
}

// Defined gives the networks that are on record. Unlike [Manager.List] it makes
// none.
func (m *Manager) Defined() ([]*Network, error) { return m.stored() }

// stored reads the definitions that exist.
func (m *Manager) stored() ([]*Network, error) {
	entries, err := os.ReadDir(m.defDir())
	if err != nil {
		return nil, ignoreMissing(err)
	}
	var all []*Network
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || checkName(name) != nil {
			continue
		}
		n := new(Network)
		if err := readJSON(m.defPath(name), n); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed since the directory was read
			}
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}
