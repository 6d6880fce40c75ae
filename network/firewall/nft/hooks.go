package nft

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Hook is somebody's chain of nftables that forwarded packets pass, beside mini's
// own rules: what it drops stays dropped, whatever mini accepts.
type Hook struct {
	Table, Chain string // "inet firewalld", "filter_FORWARD"
	// Drops: it drops all packets of containers, as far as can be told.
	Drops bool
}

// Hooks lists the chains of others at the hook forward. Those of the iptables
// programs are left out: they are in a listing, and so are those of minis. A chain
// that names one of the links, or leads to further chains, may accept. Those that
// see packets of IPv6 only are listed with v6.
func Hooks(links []string, v6 bool) ([]Hook, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket for nf_tables: %w", err)
	}
	chains, err := conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("listing the chains of nf_tables: %w", err)
	}
	var hooks []Hook
	for _, c := range chains {
		if c.Hooknum == nil || *c.Hooknum != *nftables.ChainHookForward || c.Type != nftables.ChainTypeFilter || isKnown(c) || !sees(c.Table.Family, v6) {
			continue
		}
		rules, err := conn.GetRules(c.Table, c)
		if err != nil {
			return nil, fmt.Errorf("listing the rules of chain %s: %w", c.Name, err)
		}
		h := Hook{Table: strings.TrimSpace(familyName(c.Table.Family) + " " + c.Table.Name), Chain: c.Name}
		h.Drops = drops(c, rules, links)
		hooks = append(hooks, h)
	}
	return hooks, nil
}

// isKnown tells chains of iptables-nft, and of minis.
func isKnown(c *nftables.Chain) bool {
	ofIptables := c.Table.Family != nftables.TableFamilyINet && strings.ToUpper(c.Name) == c.Name &&
		slices.Contains([]string{"raw", "mangle", "nat", "filter", "security"}, c.Table.Name)
	return ofIptables || c.Table.Name == "mini" || strings.HasPrefix(c.Table.Name, "mini-")
}

// sees tells whether chains of a family see packets that are routed, those of IPv6
// included or not.
func sees(f nftables.TableFamily, v6 bool) bool {
	return f == nftables.TableFamilyIPv4 || f == nftables.TableFamilyINet || v6 && f == nftables.TableFamilyIPv6
}

func familyName(f nftables.TableFamily) string {
	return map[nftables.TableFamily]string{nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6", nftables.TableFamilyINet: "inet"}[f]
}

func drops(c *nftables.Chain, rules []*nftables.Rule, links []string) bool {
	for _, r := range rules {
		all := true
		for _, e := range r.Exprs {
			switch e := e.(type) {
			case *expr.Counter, *expr.Log:
			case *expr.Reject:
				if all {
					return true
				}
			case *expr.Verdict:
				switch {
				case e.Kind == expr.VerdictJump || e.Kind == expr.VerdictGoto:
					return false
				case all && e.Kind != expr.VerdictReturn:
					return e.Kind == expr.VerdictDrop
				}
			default:
				all = false
				if cmp, ok := e.(*expr.Cmp); ok && namesLink(cmp.Data, links) {
					return false
				}
			}
		}
	}
	return c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop
}

func namesLink(data []byte, links []string) bool {
	name := string(bytes.TrimRight(data, "\x00"))
	return slices.ContainsFunc(links, func(l string) bool { return strings.TrimSuffix(l, wildcard) == name })
}

// OtherMinis tells whether there is a table of another mini, besides that of the owner
// that made own.
func OtherMinis(own string) (bool, error) {
	conn, err := nftables.New()
	if err != nil {
		return false, fmt.Errorf("opening a netlink socket for nf_tables: %w", err)
	}
	tables, err := conn.ListTables()
	if err != nil {
		return false, fmt.Errorf("listing the tables of nf_tables: %w", err)
	}
	return slices.ContainsFunc(tables, func(t *nftables.Table) bool {
		return (t.Name == "mini" || strings.HasPrefix(t.Name, "mini-")) && t.Name != own
	}), nil
}
