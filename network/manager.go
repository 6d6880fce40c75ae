package network

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// DefaultState is the usual directory for what must not survive a reboot.
const DefaultState = "/run/mini"

// Options says where a Manager keeps its records.
type Options struct {
	// Root holds the networks' definitions. It survives a reboot.
	Root string
	// State holds leases, endpoints, locks and marks. It is on a tmpfs, because
	// what it describes does not survive a reboot either.
	State string
	// ChainPrefix names the firewall chains. Empty means DOCKER, or MINI when
	// a Docker has chains of that name.
	ChainPrefix string
	// IPTables is the iptables program, empty for the one in PATH.
	IPTables string
	// Firewall is the firewall driver to use, [IPTables] or [NFTables]. Empty
	// means iptables, or what the networks that are up use.
	Firewall string
	// Hold gives open files that the iptables programs inherit while they add
	// rules: the lock by which others see that this process lives. A process
	// that is killed then seems to live until its last rule is in place, and
	// whoever clears up finds it. Nil means none.
	Hold func() []*os.File
	// DryRun is for who only looks: the definitions of predefined networks that are
	// not on record are made up, and not stored.
	DryRun bool
	// Notice is told, once each, what the user should know but need not act on.
	Notice func(text string)
}

// Manager creates networks and connects containers to them. It is safe for use
// by several goroutines and by several processes at once.
type Manager struct {
	opt   Options
	owner string // tag of what all networks share

	driverOnce sync.Once
	driver     ruleDriver

	bootOnce sync.Once
	boot     string
	bootErr  error

	once sync.Once
	nl   *netlink.Handle
	nerr error
}

// Open gives a Manager. It touches neither the kernel nor the disk.
func Open(opt Options) (*Manager, error) {
	if opt.Root == "" || opt.State == "" {
		return nil, errors.New("opening networks: both a root and a state directory are needed")
	}
	if opt.ChainPrefix != "" && !isPrefix(opt.ChainPrefix) {
		return nil, fmt.Errorf("invalid chain prefix %q: want up to 16 of A-Z, 0-9 and -, beginning with a letter", opt.ChainPrefix)
	}
	if err := checkDriverName(opt.Firewall); err != nil {
		return nil, err
	}
	if opt.IPTables == "" {
		opt.IPTables = "iptables"
	}
	if opt.Notice == nil {
		opt.Notice = func(string) {}
	}
	for _, dir := range []*string{&opt.Root, &opt.State} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return nil, fmt.Errorf("opening networks in %s: %w", *dir, err)
		}
		*dir = abs
	}
	m := &Manager{opt: opt, owner: "host"}
	if opt.State != DefaultState {
		// Another state directory is another mini: its tags must differ.
		sum := sha256.Sum256([]byte(opt.State))
		m.owner = "host-" + hex.EncodeToString(sum[:4])
	}
	return m, nil
}

// FirewallDriver names the firewall driver in use: [IPTables] or [NFTables].
func (m *Manager) FirewallDriver() string { return m.driverName() }

// Close frees the netlink socket.
func (m *Manager) Close() {
	if m.nl != nil {
		m.nl.Close()
	}
}

// host gives the netlink handle for the host's namespace, opened on first use.
func (m *Manager) host() (*netlink.Handle, error) {
	m.once.Do(func() {
		if m.nl, m.nerr = netlink.NewHandle(unix.NETLINK_ROUTE); m.nerr != nil {
			m.nerr = fmt.Errorf("opening a netlink socket: %w", m.nerr)
		}
	})
	return m.nl, m.nerr
}

func (m *Manager) defDir() string             { return filepath.Join(m.opt.Root, "networks") }
func (m *Manager) defPath(name string) string { return filepath.Join(m.defDir(), name+".json") }
func (m *Manager) statePath(parts ...string) string {
	return filepath.Join(append([]string{m.opt.State}, parts...)...)
}
func (m *Manager) netDir(n *Network) string   { return m.statePath("networks", n.ID) }
func (m *Manager) markPath(n *Network) string { return filepath.Join(m.netDir(n), "up.json") }
func (m *Manager) leasePath(n *Network, v6 bool) string {
	name := "addresses"
	if v6 {
		name = "addresses6"
	}
	return filepath.Join(m.netDir(n), name)
}
func (m *Manager) endpointDir(n *Network) string { return filepath.Join(m.netDir(n), "endpoints") }
func (m *Manager) endpointPath(n *Network, container string) string {
	return filepath.Join(m.endpointDir(n), container+".json")
}
