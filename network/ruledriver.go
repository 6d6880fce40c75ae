package network

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/network/firewall/nft"
)

// The firewall drivers.
const (
	IPTables = "iptables" // the default
	NFTables = "nftables"
)

// ruleDriver is a firewall driver. What each method does is said at
// [firewall.Tool], which has the same ones.
type ruleDriver interface {
	chainDriver
	ruleReader
	ruleWriter
	rulePrinter
	Lend(f *os.File) (end func())
	Backend() (firewall.Backend, error)
}

type chainDriver interface {
	HasChain(c firewall.Chain) (bool, error)
	EnsureChain(c firewall.Chain) (made bool, err error)
	DeleteChain(c firewall.Chain) (gone bool, err error)
	DeleteChains(ctx context.Context, chains []firewall.Chain) (stay []firewall.Chain, err error)
}

type ruleReader interface {
	Has(r firewall.Rule) (bool, error)
	List(c firewall.Chain) ([]string, error)
	Listing(ctx context.Context, v6 bool) (*firewall.Listing, error)
	OtherListing(ctx context.Context, v6 bool) (*firewall.Listing, error)
	Gaps(ctx context.Context, rules []firewall.Rule) (drop, add []firewall.Rule, err error)
}

type ruleWriter interface {
	AddTogether(ctx context.Context, chains []firewall.Chain, rules []firewall.Rule) (made []firewall.Chain, ok bool, err error)
	Ensure(ctx context.Context, r firewall.Rule) (added bool, err error)
	EnsureAhead(ctx context.Context, r, other firewall.Rule) (added bool, err error)
	Replace(ctx context.Context, drop, add []firewall.Rule) error
	AddAll(ctx context.Context, rules []firewall.Rule) error
	Remove(ctx context.Context, r firewall.Rule) error
	RemoveAll(ctx context.Context, rules []firewall.Rule) error
}

// rulePrinter gives the shell commands of a plan.
type rulePrinter interface {
	AddCommand(r firewall.Rule) string
	DeleteCommand(r firewall.Rule) string
	AddChainCommands(chains []firewall.Chain) []string
	DeleteChainCommands(chains []firewall.Chain) []string
}

// fw gives the firewall driver, decided on first use: the one that put the
// rules of today in place, or else the one asked for.
func (m *Manager) fw() ruleDriver {
	m.driverOnce.Do(func() {
		name := m.opt.Firewall
		// An unreadable record is an error to whoever reads it next.
		if s, err := m.chainState(); err == nil && s.active() {
			name = s.Driver
		}
		if name == NFTables {
			m.driver = nft.New(ownTable(m.owner))
			return
		}
		tool := firewall.New(m.opt.IPTables)
		tool.Hold = m.opt.Hold
		m.driver = tool
	})
	return m.driver
}

// driverName is the name of the driver in use.
func (m *Manager) driverName() string {
	if _, ok := m.fw().(*nft.Driver); ok {
		return NFTables
	}
	return IPTables
}

// checkDriver compares the driver that was asked for with the one in use.
func (m *Manager) checkDriver() error {
	if want := m.opt.Firewall; want != "" && want != m.driverName() {
		return errorf(ErrInUse, "networks are up with the firewall driver %s: use it, or take them down first with mini network down", m.driverName())
	}
	return nil
}

func checkDriverName(name string) error {
	switch name {
	case "", IPTables, NFTables:
		return nil
	}
	return fmt.Errorf("invalid firewall driver %q: want %s or %s", name, IPTables, NFTables)
}

// ownTable is the name of the nftables tables of the mini that has the tag.
func ownTable(owner string) string { return "mini" + strings.TrimPrefix(owner, "host") }
