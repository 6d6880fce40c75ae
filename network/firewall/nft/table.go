package nft

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/firewall"
)

// Driver changes the rules of two nftables tables, which are mini's alone: that
// of the family ip6 is there as long as there are rules of IPv6. It is safe for use by several goroutines and processes. What it does happens in the
// network namespace of the calling thread.
type Driver struct{ table string }

// New gives the driver for the tables of that name of the families ip and ip6.
// Nothing is done until the first use.
func New(table string) *Driver { return &Driver{table: table} }

// The maps from a host port to a container's: for all host addresses, and for one.
const (
	mapAny = "ports"
	mapAt  = "ports-at"
)

// baseChain is a chain that packets enter by themselves, see nft(8), "CHAINS".
type baseChain struct {
	table, chain string // of iptables
	kind         nftables.ChainType
	hookName     string
	hook         *nftables.ChainHook
	priority     nftables.ChainPriority
}

// baseChains stand at the hooks and priorities of the iptables chains.
var baseChains = []baseChain{
	{"raw", "PREROUTING", nftables.ChainTypeFilter, "prerouting", nftables.ChainHookPrerouting, *nftables.ChainPriorityRaw},
	{"nat", "PREROUTING", nftables.ChainTypeNAT, "prerouting", nftables.ChainHookPrerouting, *nftables.ChainPriorityNATDest},
	{"nat", "OUTPUT", nftables.ChainTypeNAT, "output", nftables.ChainHookOutput, *nftables.ChainPriorityNATDest},
	{"nat", "POSTROUTING", nftables.ChainTypeNAT, "postrouting", nftables.ChainHookPostrouting, *nftables.ChainPriorityNATSource},
	{"filter", "INPUT", nftables.ChainTypeFilter, "input", nftables.ChainHookInput, *nftables.ChainPriorityFilter},
	{"filter", "FORWARD", nftables.ChainTypeFilter, "forward", nftables.ChainHookForward, *nftables.ChainPriorityFilter},
}

func (b baseChain) name() string { return chainName(b.table, b.chain) }

// batch collects changes that the kernel makes all at once.
type batch struct {
	conn *nftables.Conn
	name string // of the tables
}

func (b *batch) table(f family) *nftables.Table {
	return &nftables.Table{Name: b.name, Family: f.table()}
}

// open gives a connection, and what ends it. Whoever closes its socket waits
// until deleted rules are out of use on every CPU, some 10 ms: nobody needs to
// wait for that.
func (d *Driver) open() (b *batch, end func(), err error) {
	conn, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return nil, nil, fmt.Errorf("opening nftables: %w", err)
	}
	end = func() { go func() { _ = conn.CloseLasting() }() }
	return &batch{conn: conn, name: d.table}, end, nil
}

// change fills a batch for the tables of some families, and has the kernel take it.
func (d *Driver) change(fs []family, fill func(b *batch) error) error {
	b, end, err := d.open()
	if err != nil {
		return err
	}
	defer end()
	if err := fill(b); err != nil {
		return err
	}
	if err := b.conn.Flush(); err != nil {
		var names []string
		for _, f := range fs {
			names = append(names, fmt.Sprintf("table %s %s", f, d.table))
		}
		return fmt.Errorf("changing the nftables %s: %w", strings.Join(names, " and "), err)
	}
	return nil
}

// ground makes what every table has. What is there stays as it is.
func (b *batch) ground(f family) {
	table := b.table(f)
	b.conn.AddTable(table)
	for _, c := range baseChains {
		priority := c.priority
		b.conn.AddChain(&nftables.Chain{Name: c.name(), Table: table, Type: c.kind, Hooknum: c.hook, Priority: &priority})
	}
}

// addChain makes a chain that is not there. The one for published ports looks
// packets up in the maps of ports.
func (b *batch) addChain(c firewall.Chain) error {
	f := family(c.V6)
	table := b.table(f)
	chain := b.conn.AddChain(&nftables.Chain{Name: chainName(c.Table, c.Name), Table: table})
	if !c.HoldsPorts() {
		return nil
	}
	for i, name := range []string{mapAny, mapAt} {
		set := b.portMap(f, name)
		set.ID = uint32(i+1) + 2*f.words() // else the library counts, in a variable that all goroutines share
		if err := b.conn.AddSet(set, nil); err != nil {
			return fmt.Errorf("making map %s: %w", name, err)
		}
	}
	for _, exprs := range f.mapRules() {
		b.conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
	}
	return nil
}

func (b *batch) deleteChain(c firewall.Chain) {
	chain := &nftables.Chain{Name: chainName(c.Table, c.Name), Table: b.table(family(c.V6))}
	b.conn.FlushChain(chain)
	b.conn.DelChain(chain)
}

func (b *batch) portMap(f family, name string) *nftables.Set {
	key := []nftables.SetDatatype{nftables.TypeInetProto, nftables.TypeInetService}
	if name == mapAt {
		key = append([]nftables.SetDatatype{f.address()}, key...)
	}
	return &nftables.Set{
		Table: b.table(f), Name: name, IsMap: true, Concatenation: true, KeyByteOrder: binaryutil.BigEndian,
		KeyType: nftables.MustConcatSetType(key...), DataType: nftables.MustConcatSetType(f.address(), nftables.TypeInetService),
	}
}

// which names one of the maps.
type which struct {
	family
	name string
}

// add adds rules in their order.
func (b *batch) add(rules []rule) error {
	elements := make(map[which][]nftables.SetElement)
	for _, r := range rules {
		if e, ok := r.element(); ok {
			at := which{r.family, e.mapName()}
			elements[at] = append(elements[at], e.setElement())
			continue
		}
		table := b.table(r.family)
		n := &nftables.Rule{
			Table: table, Chain: &nftables.Chain{Name: r.chain, Table: table}, Exprs: r.exprs(),
			UserData: userdata.AppendString(nil, userdata.TypeComment, r.comment),
		}
		if r.first {
			b.conn.InsertRule(n)
		} else {
			b.conn.AddRule(n)
		}
	}
	return b.eachChunk(elements, b.conn.SetAddElements)
}

// deleteElements deletes the map elements among the rules, and gives the others.
func (b *batch) deleteElements(rules []rule) (others []rule, err error) {
	elements := make(map[which][]nftables.SetElement)
	for _, r := range rules {
		if e, ok := r.element(); ok {
			at := which{r.family, e.mapName()}
			elements[at] = append(elements[at], e.setElement())
		} else {
			others = append(others, r)
		}
	}
	return others, b.eachChunk(elements, b.conn.SetDeleteElements)
}

// eachChunk hands elements on in parts: a netlink attribute holds 64 KiB at most.
func (b *batch) eachChunk(elements map[which][]nftables.SetElement, do func(*nftables.Set, []nftables.SetElement) error) error {
	const most = 200
	for at, all := range elements {
		for len(all) > 0 {
			n := min(most, len(all))
			if err := do(b.portMap(at.family, at.name), all[:n]); err != nil {
				return fmt.Errorf("changing map %s: %w", at.name, err)
			}
			all = all[n:]
		}
	}
	return nil
}

// isGone says that err means: no such table, chain, rule or element.
func isGone(err error) bool { return errors.Is(err, unix.ENOENT) }
