package firewall

import (
	"slices"
	"strings"

	"github.com/minirt/mini/plan"
)

// Rule is one iptables rule, or one of ip6tables.
type Rule struct {
	V6    bool   `json:"v6,omitempty"`
	Table string `json:"table"`
	Chain string `json:"chain"`
	// First puts the rule at the head of the chain instead of its end.
	First bool `json:"first,omitempty"`
	// Spec is the match and the target, word by word.
	Spec []string `json:"spec"`
}

// Tag gives the match that marks a rule as belonging to owner.
func Tag(owner string) []string {
	return []string{"-m", "comment", "--comment", "mini:" + owner}
}

// Owner is whom the rule's tag names.
func (r Rule) Owner() string {
	if i := slices.Index(r.Spec, "--comment"); i >= 0 {
		return strings.TrimPrefix(r.Spec[i+1], "mini:")
	}
	return ""
}

// newRule builds a rule from a text of words, the owner's tag and a target.
func newRule(table, chain, match, owner, target string) Rule {
	return family(false).rule(table, chain, match, owner, target)
}

// Home is the chain that the rule stands in.
func (r Rule) Home() Chain { return Chain{Table: r.Table, Name: r.Chain, V6: r.V6} }

// AddCommand is the shell command that adds the rule.
func (r Rule) AddCommand() string { return r.command(r.addOp()) }

// DeleteCommand is the shell command that deletes the rule.
func (r Rule) DeleteCommand() string { return r.command(deleteOp(r)) }

func (r Rule) addOp() string {
	if r.First {
		return "-I"
	}
	return "-A"
}

func deleteOp(Rule) string { return "-D" }

// command prints the rule as one shell command. A lone ! is no special word
// where an argument stands, and reads better without quotes.
func (r Rule) command(op string) string {
	words := slices.Concat([]string{family(r.V6).program(), "-t", r.Table, op, r.Chain}, r.Spec)
	for i, w := range words {
		if w != "!" {
			words[i] = plan.Quote(w)
		}
	}
	return strings.Join(words, " ")
}

// jumpedBy tells whether a line of `iptables -S` is the rule r, when r is a jump
// that matches nothing but its tag.
func (r Rule) jumpedBy(line string) bool {
	return strings.ReplaceAll(line, `"`, "") == "-A "+r.Chain+" "+strings.Join(r.Spec, " ")
}

// Chain is a chain of a table.
type Chain struct {
	Table string `json:"table"`
	Name  string `json:"name"`
	V6    bool   `json:"v6,omitempty"` // of ip6tables
}

// outChain is what the name of the chain ends in which masquerades.
const outChain = "-OUT"

// HoldsPorts tells whether the chain is mini's for published ports.
func (c Chain) HoldsPorts() bool {
	return c.Table == "nat" && !isBuiltin(c.Name) && !strings.HasSuffix(c.Name, outChain)
}

// AddCommand is the shell command that makes the chain.
func (c Chain) AddCommand() string {
	return plan.Command(family(c.V6).program(), "-t", c.Table, "-N", c.Name)
}

// DeleteCommand is the shell command that deletes the chain.
func (c Chain) DeleteCommand() string {
	return plan.Command(family(c.V6).program(), "-t", c.Table, "-X", c.Name)
}

// String names the chain in errors and notices.
func (c Chain) String() string {
	text := "chain " + c.Name + " of table " + c.Table
	if c.V6 {
		text += " of IPv6"
	}
	return text
}
