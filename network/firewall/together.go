package firewall

import "context"

// AddTogether makes chains and adds rules in one transaction for each table of each
// family. It does so only where none of the rules' owners has a rule of the same
// family yet, and says whether:
// otherwise each rule must be looked for, see [Tool.Ensure]. Chains that exist
// stay; made are the others. They are given with an error too: then some of
// them, and some of the rules, may be there.
func (t *Tool) AddTogether(ctx context.Context, chains []Chain, rules []Rule) (made []Chain, ok bool, err error) {
	now, err := t.Listing(ctx, NeedV6(chains, rules))
	if err != nil {
		return nil, false, err
	}
	for _, r := range rules {
		if now.hasOwner(r.Owner(), r.V6) {
			return nil, false, nil
		}
	}
	var lines []line
	for _, c := range chains {
		if !now.Has(c) {
			made = append(made, c)
			lines = append(lines, line{"-N", Rule{V6: c.V6, Table: c.Table, Chain: c.Name}})
		}
	}
	for _, r := range rules {
		lines = append(lines, line{r.addOp(), r})
	}
	return made, true, t.run(ctx, lines)
}
