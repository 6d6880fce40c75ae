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
	for _, base := range baseChains {
		var wanted []rule
		for _, r := range rules {
			if r.Table != base.table || r.Chain != base.chain {
				continue
			}
			p, err := parse(r)
			if err != nil {
				return false, err
			}
			wanted = append(wanted, p)
		}
		if len(wanted) == 0 {
			continue
		}
		there, err := b.conn.GetRules(b.table, &nftables.Chain{Name: base.name()})
		if err != nil {
			return false, err
		}
		if !stand(there, wanted) {
			return false, nil
		}
	}
	return true, nil
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
