package firewall

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/coreos/go-iptables/iptables"
)

// Tool changes the host's rules through the iptables program, those for IPv6
// through ip6tables, which it looks for only when it meets a rule or a chain of
// IPv6: see [Rule] and [Chain]. It is safe for
// use by several goroutines. What it does happens in the network namespace of
// the calling thread.
type Tool struct {
	// Hold, if set, gives open files that a program inherits which adds rules:
	// the lock that says that the rules' owner lives. An owner that is killed
	// seems to live until the rules are in place and can be found.
	Hold func() []*os.File

	// Wait is how many seconds a program waits for the lock that legacy programs
	// share (/run/xtables.lock), when another one holds it; 0 means 30. The error
	// is the program's: "Another app is currently holding the xtables lock".
	Wait int

	path string

	mu      sync.Mutex
	path6   string // of ip6tables, once it was needed
	handles map[family]*iptables.IPTables
	loans   []*os.File
}

func (t *Tool) wait() int {
	if t.Wait > 0 {
		return t.Wait
	}
	return 30
}

func (t *Tool) hold() []*os.File {
	if t.Hold == nil {
		return nil
	}
	return t.Hold()
}

// Lend lets every program that changes rules inherit f, a locked file, until end
// is called: the lock lasts as long as the last of them.
func (t *Tool) Lend(f *os.File) (end func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.loans = append(t.loans, f)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.loans = slices.DeleteFunc(t.loans, func(o *os.File) bool { return o == f })
	}
}

func (t *Tool) lent() []*os.File {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.loans)
}

// New gives a Tool for the iptables program at path, or for the one in PATH
// when path is "iptables". Nothing is run until the first use.
func New(path string) *Tool { return &Tool{path: path} }

// tables constructs the library's handle, which runs `iptables --version`. A
// program that could not be run once may work the next time.
func (t *Tool) tables(v6 bool) (*iptables.IPTables, error) {
	f := family(v6)
	path, err := t.program(f)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if ipt := t.handles[f]; ipt != nil {
		return ipt, nil
	}
	proto := map[family]iptables.Protocol{false: iptables.ProtocolIPv4, true: iptables.ProtocolIPv6}[f]
	ipt, err := iptables.New(iptables.Path(path), iptables.IPFamily(proto), iptables.Timeout(t.wait()))
	if err != nil {
		return nil, fmt.Errorf("finding the %s program: %w", f.program(), err)
	}
	if t.handles == nil {
		t.handles = make(map[family]*iptables.IPTables)
	}
	t.handles[f] = ipt
	return ipt, nil
}

// notExist says that err means: no such chain, or no such rule.
func notExist(err error) bool {
	var e *iptables.Error
	return errors.As(err, &e) && e.IsNotExist()
}

// AddCommand is the shell command that adds the rule.
func (t *Tool) AddCommand(r Rule) string { return r.AddCommand() }

// DeleteCommand is the shell command that deletes the rule.
func (t *Tool) DeleteCommand(r Rule) string { return r.DeleteCommand() }

// AddChainCommands are the shell commands that make chains.
func (t *Tool) AddChainCommands(chains []Chain) (cmds []string) {
	for _, c := range chains {
		cmds = append(cmds, c.AddCommand())
	}
	return cmds
}

// DeleteChainCommands are the shell commands that delete chains.
func (t *Tool) DeleteChainCommands(chains []Chain) (cmds []string) {
	for _, c := range chains {
		cmds = append(cmds, c.DeleteCommand())
	}
	return cmds
}

// EnsureChain makes a chain unless it exists, and says whether it made it.
func (t *Tool) EnsureChain(c Chain) (made bool, err error) {
	ipt, err := t.tables(c.V6)
	if err != nil {
		return false, err
	}
	if err = ipt.NewChain(c.Table, c.Name); err == nil {
		return true, nil
	}
	// The program has one exit code for "exists" and for much else: look.
	if ok, lookErr := t.HasChain(c); lookErr == nil && ok {
		return false, nil
	}
	return false, fmt.Errorf("making %s: %w", c, err)
}

// DeleteChain deletes a chain that is empty and that nothing jumps to. It says
// whether the chain is gone. A chain that somebody else uses stays.
func (t *Tool) DeleteChain(c Chain) (gone bool, err error) {
	ipt, err := t.tables(c.V6)
	if err != nil {
		return false, err
	}
	err = ipt.DeleteChain(c.Table, c.Name)
	if err == nil || notExist(err) {
		return true, nil
	}
	if ok, lookErr := t.HasChain(c); lookErr == nil {
		return !ok, nil
	}
	return false, fmt.Errorf("deleting %s: %w", c, err)
}

// DeleteChains deletes chains as [Tool.DeleteChain] does, in one transaction for
// each table if that works. It gives those that stay.
func (t *Tool) DeleteChains(ctx context.Context, chains []Chain) (stay []Chain, err error) {
	lines := make([]line, len(chains))
	for i, c := range chains {
		lines[i] = line{"-X", Rule{V6: c.V6, Table: c.Table, Chain: c.Name}}
	}
	if err := t.runDelete(ctx, lines); err == nil {
		return nil, nil
	}
	var errs []error
	for _, c := range chains {
		gone, err := t.DeleteChain(c)
		if err == nil && !gone {
			stay = append(stay, c)
		}
		errs = append(errs, err)
	}
	return stay, errors.Join(errs...)
}

// Add adds a rule without looking whether it exists. Rules are changed through
// iptables-restore, also single ones, because it can inherit locks: see
// [Tool.Lend].
func (t *Tool) Add(ctx context.Context, r Rule) error { return t.AddAll(ctx, []Rule{r}) }

// Ensure adds a rule unless it exists, and says whether it added it.
func (t *Tool) Ensure(ctx context.Context, r Rule) (added bool, err error) {
	ok, err := t.Has(r)
	if err != nil || ok {
		return false, err
	}
	return true, t.Add(ctx, r)
}

// EnsureAhead is [Tool.Ensure] for a rule that goes to the head of its chain. A
// rule that is there, but below the rule of the same chain that it must precede,
// is moved to the head in one transaction.
func (t *Tool) EnsureAhead(ctx context.Context, r, other Rule) (added bool, err error) {
	lines, err := t.List(r.Home())
	if err != nil {
		return false, err
	}
	at, below := slices.IndexFunc(lines, r.jumpedBy), slices.IndexFunc(lines, other.jumpedBy)
	switch {
	case at < 0:
		return true, t.Add(ctx, r)
	case below < 0 || at < below:
		return false, nil
	}
	return false, t.Replace(ctx, []Rule{r}, []Rule{r})
}

// Remove deletes exactly the rule r. It is no error when it is not there.
func (t *Tool) Remove(ctx context.Context, r Rule) error { return t.RemoveAll(ctx, []Rule{r}) }

// Replace drops rules and adds others, in one transaction for each table.
func (t *Tool) Replace(ctx context.Context, drop, add []Rule) error {
	return t.run(ctx, append(linesOf(drop, deleteOp), linesOf(add, Rule.addOp)...))
}

// AddAll adds rules in one transaction: all of them or, on error, none. Those of
// the other family are a second transaction: when it fails, the first is undone.
func (t *Tool) AddAll(ctx context.Context, rules []Rule) error {
	var done []Rule
	for _, f := range families {
		mine := f.of(rules)
		if err := t.run(ctx, linesOf(mine, Rule.addOp)); err != nil {
			return errors.Join(err, t.takeBack(ctx, done))
		}
		done = mine
	}
	return nil
}

// takeBack removes rules that were just added, also when the caller has given up.
func (t *Tool) takeBack(ctx context.Context, rules []Rule) error {
	if len(rules) == 0 {
		return nil
	}
	return t.RemoveAll(context.WithoutCancel(ctx), rules)
}

// RemoveAll deletes exactly these rules. Those that are not there are no error.
func (t *Tool) RemoveAll(ctx context.Context, rules []Rule) error {
	if err := t.runDelete(ctx, linesOf(rules, deleteOp)); err == nil {
		return nil
	}
	// One missing rule fails the whole batch: leave out what is not there.
	var there []Rule
	for _, r := range rules {
		ok, err := t.Has(r)
		if err != nil {
			return err
		}
		if ok {
			there = append(there, r)
		}
	}
	if len(there) == 0 {
		return nil
	}
	return t.runDelete(ctx, linesOf(there, deleteOp))
}
