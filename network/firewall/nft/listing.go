package nft

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/google/nftables"

	"github.com/minirt/mini/network/firewall"
)

// Has tells whether a rule exists.
func (d *Driver) Has(r firewall.Rule) (bool, error) {
	there, _, err := d.missing([]firewall.Rule{r})
	return len(there) > 0, err
}

// Listing gives what stands in our table, with v6 in that of the family ip6, too, in
// the chains' iptables names. The words of a rule are only its comment: see
// [Driver.Recognise].
func (d *Driver) Listing(_ context.Context, v6 bool) (*firewall.Listing, error) {
	fs := []family{false, true}
	if !v6 {
		fs = fs[:1]
	}
	now, err := d.read(fs...)
	if err != nil {
		return nil, err
	}
	l := &firewall.Listing{Program: "nftables", Chains: make(map[firewall.Chain]*firewall.ListedChain)}
	for _, s := range now {
		s.list(l)
	}
	return l, nil
}

// list adds the chains of one table.
func (s state) list(l *firewall.Listing) {
	for name, rules := range s.chains {
		table, chain, _ := strings.Cut(name, "-")
		c := firewall.Chain{Table: table, Name: chain, V6: bool(s.family)}
		listed := &firewall.ListedChain{}
		if !s.hasChain(c) {
			continue
		}
		if isBase(name) {
			listed.Policy = accept
		}
		for i, r := range rules {
			if !looksUpPorts(c, r) {
				listed.Rules = append(listed.Rules, listedRule(c, comment(r), i))
			}
		}
		if c.HoldsPorts() {
			for i, e := range s.elements {
				listed.Rules = append(listed.Rules, listedRule(c, e.Comment, i))
			}
		}
		l.Chains[c] = listed
	}
}

// looksUpPorts tells the rules that are part of the chain for published ports
// from others.
func looksUpPorts(c firewall.Chain, r *nftables.Rule) bool { return c.HoldsPorts() && comment(r) == "" }

func listedRule(c firewall.Chain, text string, i int) firewall.Listed {
	if text == "" {
		text = fmt.Sprintf("rule %d of chain %s", i+1, chainName(c.Table, c.Name))
	}
	return firewall.Listed{Chain: c, Words: []string{"--comment", text}}
}

// Recognise puts the words of known rules into a listing, in place of their
// comments.
func (d *Driver) Recognise(l *firewall.Listing, known []firewall.Rule) {
	for _, r := range known {
		p, err := parse(r)
		listed := l.Chains[r.Home()]
		if err != nil || listed == nil {
			continue
		}
		for i, have := range listed.Rules {
			if len(have.Words) == 2 && have.Words[1] == p.comment {
				listed.Rules[i].Words = r.Spec
			}
		}
	}
}

// OtherListing reads the rules of iptables, with v6 those of ip6tables, too: the
// kernel asks them as well. It is nil where there is no iptables.
func (d *Driver) OtherListing(ctx context.Context, v6 bool) (*firewall.Listing, error) {
	const program = "iptables"
	if _, err := exec.LookPath(program + "-save"); err != nil {
		return nil, nil
	}
	if _, err := exec.LookPath("ip6tables-save"); err != nil {
		v6 = false
	}
	return firewall.New(program).Listing(ctx, v6)
}
