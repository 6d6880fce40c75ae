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

// Listing is all that one iptables back end has, as iptables-save prints it, and
// as ip6tables-save does, where that was asked for.
type Listing struct {
	// Program is the iptables program of the back end, see [Listing.ProgramFor].
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

// Listing reads all tables of the back end, with v6 those of ip6tables, too.
func (t *Tool) Listing(ctx context.Context, v6 bool) (*Listing, error) {
	l := &Listing{Chains: make(map[Chain]*ListedChain)}
	for _, f := range families {
		if f && !family(v6) {
			break
		}
		path, err := t.companion(f, "-save")
		if err == nil {
			err = l.add(ctx, f, path)
		}
		if err != nil {
			return nil, err
		}
	}
	return l, nil
}

// add runs iptables-save, or one of its kin, and takes in what it prints.
func (l *Listing) add(ctx context.Context, f family, save string) error {
	cmd := exec.CommandContext(ctx, save)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return &CommandError{Args: cmd.Args, Stderr: errOut.String(), Err: err}
	}
	l.parse(f, out.String())
	if l.Program == "" {
		l.Program = strings.Replace(strings.TrimSuffix(filepath.Base(save), "-save"), "ip6tables", "iptables", 1)
	}
	return nil
}

// ProgramFor is the program of the back end that has the chain.
func (l *Listing) ProgramFor(c Chain) string {
	if c.V6 {
		return strings.Replace(l.Program, "iptables", "ip6tables", 1)
	}
	return l.Program
}

// OtherListing reads the tables of the back end that mini does not use, with v6
// those for IPv6, too. It is nil when that has none. The kernel asks the rules of
// both about every packet.
func (t *Tool) OtherListing(ctx context.Context, v6 bool) (*Listing, error) {
	b, err := t.Backend()
	if err != nil {
		return nil, err
	}
	l := &Listing{Chains: make(map[Chain]*ListedChain)}
	for _, f := range families {
		if path := f.otherSave(b); path != "" && (family(v6) || !f) {
			if err := l.add(ctx, f, path); err != nil {
				return nil, err
			}
		}
	}
	if l.Program == "" {
		return nil, nil
	}
	return l, nil
}

// otherSave finds the program that prints the tables of the other back end. It is
// "" when that has none, or no program: then nobody has made such rules, as a rule.
func (f family) otherSave(b Backend) string {
	program := f.program() + "-nft"
	if b == "" {
		return "" // before 1.8 there was one back end
	}
	if b == NFT {
		program = f.program() + "-legacy"
		// Asking makes no table: the kernel lists here those that are in use.
		names, err := os.ReadFile("/proc/thread-self/net/" + f.tables() + "_names")
		if err != nil || len(bytes.TrimSpace(names)) == 0 {
			return ""
		}
	}
	path, _ := exec.LookPath(program + "-save")
	return path
}

// parse takes in the text of iptables-save.
func (l *Listing) parse(f family, text string) {
	table := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "*"):
			table = line[1:]
		case strings.HasPrefix(line, ":"):
			if words := strings.Fields(line[1:]); len(words) >= 2 {
				l.Chains[Chain{Table: table, Name: words[0], V6: bool(f)}] = &ListedChain{Policy: strings.TrimPrefix(words[1], "-")}
			}
		case strings.HasPrefix(line, "-A "):
			words := splitWords(line)
			c := Chain{Table: table, Name: words[1], V6: bool(f)}
			if listed := l.Chains[c]; listed != nil {
				listed.Rules = append(listed.Rules, Listed{c, words[2:]})
			}
		}
	}
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
	return slices.IndexFunc(l.Rules(r.Home()), func(o Listed) bool { return slices.Equal(o.Words, r.Spec) })
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

func (l *Listing) hasOwner(owner string, v6 bool) bool {
	for r, o := range l.Tagged {
		if o == owner && r.Chain.V6 == v6 {
			return true
		}
	}
	return false
}

// Rule gives the rule as one to be deleted.
func (r Listed) Rule() Rule {
	return Rule{V6: r.Chain.V6, Table: r.Chain.Table, Chain: r.Chain.Name, Spec: r.Words}
}

// Users gives the rules that keep a chain from being deleted: those that jump to
// it, and those in it.
func (l *Listing) Users(c Chain) (users []Listed) {
	for other, listed := range l.Chains {
		for _, r := range listed.Rules {
			if other == c || other.Table == c.Table && other.V6 == c.V6 && r.Target() == c.Name {
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
