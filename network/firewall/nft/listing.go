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

// Listing gives what stands in our table, in the chains' iptables names. The
// words of a rule are only its comment: see [Driver.Recognise].
func (d *Driver) Listing(context.Context) (*firewall.Listing, error) {
	s, err := d.read()
	if err != nil {
		return nil, err
	}
	l := &firewall.Listing{Program: "nftables", Chains: make(map[firewall.Chain]*firewall.ListedChain)}
	for name, rules := range s.chains {
		table, chain, _ := strings.Cut(name, "-")
		c := firewall.Chain{Table: table, Name: chain}
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
	return l, nil
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
		listed := l.Chains[firewall.Chain{Table: r.Table, Name: r.Chain}]
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

// OtherListing reads the rules of iptables: the kernel asks them as well. It is
// nil where there is no iptables.
func (d *Driver) OtherListing(ctx context.Context) (*firewall.Listing, error) {
	const program = "iptables"
	if _, err := exec.LookPath(program + "-save"); err != nil {
		return nil, nil
	}
	return firewall.New(program).Listing(ctx)
}
