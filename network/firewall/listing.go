package firewall

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Listing is all that one iptables back end has, as iptables-save prints it.
type Listing struct {
	// Program is the iptables program of the back end.
	Program string
	Chains  map[Chain]*ListedChain
}

// ListedChain is one chain of a [Listing].
type ListedChain struct {
	Policy string // ACCEPT or DROP; empty for a chain that somebody made
	Rules  []Listed
}

// Listed is a rule as the kernel has it, word by word, without its chain.
type Listed struct {
	Chain Chain
	Words []string
}

// Listing reads all tables of the back end.
func (t *Tool) Listing(ctx context.Context) (*Listing, error) {
	path, err := t.companion("-save")
	if err != nil {
		return nil, err
	}
	return list(ctx, path)
}

// list runs iptables-save, or its kin of the other back end.
func list(ctx context.Context, save string) (*Listing, error) {
	cmd := exec.CommandContext(ctx, save)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return nil, &CommandError{Args: cmd.Args, Stderr: errOut.String(), Err: err}
	}
	l := parseListing(out.String())
	l.Program = strings.TrimSuffix(filepath.Base(save), "-save")
	return l, nil
}

// OtherListing reads the tables of the back end that mini does not use, nil when
// it has none. The kernel asks the rules of both about every packet.
func (t *Tool) OtherListing(ctx context.Context) (*Listing, error) {
	b, err := t.Backend()
	if err != nil {
		return nil, err
	}
	program := "iptables-nft"
	if b == "" {
		return nil, nil // before 1.8 there was one back end
	}
	if b == NFT {
		program = "iptables-legacy"
		// Asking makes no table: the kernel lists here those that are in use.
		names, err := os.ReadFile("/proc/thread-self/net/ip_tables_names")
		if err != nil || len(bytes.TrimSpace(names)) == 0 {
			return nil, nil
		}
	}
	path, err := exec.LookPath(program + "-save")
	if err != nil {
		return nil, nil // without its program nobody has made such rules, as a rule
	}
	return list(ctx, path)
}

func parseListing(text string) *Listing {
	l := &Listing{Chains: make(map[Chain]*ListedChain)}
	table := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "*"):
			table = line[1:]
		case strings.HasPrefix(line, ":"):
			if f := strings.Fields(line[1:]); len(f) >= 2 {
				l.Chains[Chain{Table: table, Name: f[0]}] = &ListedChain{Policy: strings.TrimPrefix(f[1], "-")}
			}
		case strings.HasPrefix(line, "-A "):
			words := splitWords(line)
			c := Chain{Table: table, Name: words[1]}
			if listed := l.Chains[c]; listed != nil {
				listed.Rules = append(listed.Rules, Listed{c, words[2:]})
			}
		}
	}
	return l
}

// splitWords splits a line of iptables-save: a word with a space is in double
// quotes, in which a backslash takes the next character as it is.
func splitWords(line string) (words []string) {
	var word strings.Builder
	quoted, escaped, open := false, false, false
	for _, r := range line {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quoted:
			escaped = true
		case r == '"':
			quoted, open = !quoted, true
		case r == ' ' && !quoted:
			if open {
				words = append(words, word.String())
			}
			word.Reset()
			open = false
		default:
			word.WriteRune(r)
			open = true
		}
	}
	if open {
		words = append(words, word.String())
	}
	return words
}

// Has tells whether the chain exists.
func (l *Listing) Has(c Chain) bool { return l.Chains[c] != nil }

// Rules gives a chain's rules, none for one that does not exist.
func (l *Listing) Rules(c Chain) []Listed {
	if listed := l.Chains[c]; listed != nil {
		return listed.Rules
	}
	return nil
}

// Find gives the position of a rule of ours in its chain, -1 when it is missing.
func (l *Listing) Find(r Rule) int {
	return slices.IndexFunc(l.Rules(Chain{Table: r.Table, Name: r.Chain}), func(o Listed) bool { return slices.Equal(o.Words, r.Spec) })
}

// Tagged gives the rules whose comment begins with "mini:", with what follows it.
func (l *Listing) Tagged(yield func(r Listed, owner string) bool) {
	for _, listed := range l.Chains {
		for _, r := range listed.Rules {
			if owner, ok := strings.CutPrefix(r.after("--comment"), "mini:"); ok && !yield(r, owner) {
				return
			}
		}
	}
}

func (l *Listing) hasOwner(owner string) bool {
	for _, o := range l.Tagged {
		if o == owner {
			return true
		}
	}
	return false
}

// Rule gives the rule as one to be deleted.
func (r Listed) Rule() Rule { return Rule{Table: r.Chain.Table, Chain: r.Chain.Name, Spec: r.Words} }

// Users gives the rules that keep a chain from being deleted: those that jump to
// it, and those in it.
func (l *Listing) Users(c Chain) (users []Listed) {
	for other, listed := range l.Chains {
		for _, r := range listed.Rules {
			if other == c || other.Table == c.Table && r.Target() == c.Name {
				users = append(users, r)
			}
		}
	}
	return users
}

// String gives the rule as `iptables -S` has it.
func (r Listed) String() string { return "-A " + r.Chain.Name + " " + strings.Join(r.Words, " ") }

// Target is what the rule does with a packet: ACCEPT, DROP, the name of a chain,
// or "".
func (r Listed) Target() string {
	if j := r.after("-j"); j != "" {
		return j
	}
	return r.after("-g")
}

// after gives the word behind flag, "" when the rule has no such flag.
func (r Listed) after(flag string) string {
	if i := slices.Index(r.Words, flag); i >= 0 && i+1 < len(r.Words) {
		return r.Words[i+1]
	}
	return ""
}

// IsMini tells whether the rule has the tag of a mini, this one or another.
func (r Listed) IsMini() bool { return strings.HasPrefix(r.after("--comment"), "mini:") }

// inverted tells whether the flag has a ! before it.
func (r Listed) inverted(flag string) bool {
	i := slices.Index(r.Words, flag)
	return i > 0 && r.Words[i-1] == "!"
}
