package nft

import (
	"slices"

	"github.com/google/nftables"

	"github.com/minirt/mini/network/firewall"
)

// Backend is "": the driver uses no iptables.
func (d *Driver) Backend() (firewall.Backend, error) { return "", nil }

// JumpsStand tells whether the jumps among rules are in the chains that packets
// enter by themselves, with no other rule above those that go to the head. It
// reads these chains alone: see [firewall.JumpsStand].
func (d *Driver) JumpsStand(rules []firewall.Rule) (bool, error) {
	b, end, err := d.open()
	if err != nil {
		return false, err
	}
	defer end()
	for _, f := range familiesOf(nil, rules) {
		for _, base := range baseChains {
			if ok, err := b.stands(f, base, rules); !ok || err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// stands judges the jumps among rules that belong into one base chain.
func (b *batch) stands(f family, base baseChain, rules []firewall.Rule) (bool, error) {
	var wanted []rule
	for _, r := range rules {
		if r.Table != base.table || r.Chain != base.chain || r.V6 != bool(f) {
			continue
		}
		p, err := parse(r)
		if err != nil {
			return false, err
		}
		wanted = append(wanted, p)
	}
	if len(wanted) == 0 {
		return true, nil
	}
	there, err := b.conn.GetRules(b.table(f), &nftables.Chain{Name: base.name()})
	return err == nil && stand(there, wanted), err
}

// stand judges one chain. What goes to the head comes to stand above what went
// there before.
func stand(there []*nftables.Rule, wanted []rule) bool {
	top := 0
	for _, r := range slices.Backward(wanted) {
		at := slices.IndexFunc(there, func(n *nftables.Rule) bool { return comment(n) == r.comment })
		if at < 0 || r.first && at != top {
			return false
		}
		if r.first {
			top++
		}
	}
	return true
}
