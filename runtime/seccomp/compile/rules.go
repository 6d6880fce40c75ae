package compile

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// rule says what to return for the named calls when all conds hold.
type rule struct {
	names []string
	conds []specs.LinuxSeccompArg
	ret   uint32
}

func parseRules(calls []specs.LinuxSyscall) ([]rule, error) {
	var rules []rule
	for i := range calls {
		c := &calls[i]
		ret, err := returnValue(c.Action, c.ErrnoRet)
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i, err)
		}
		if err := checkConds(c.Args); err != nil {
			return nil, fmt.Errorf("rule %d: %w", i, err)
		}
		if !repeatsIndex(c.Args) {
			rules = append(rules, rule{c.Names, c.Args, ret})
			continue
		}
		for j := range c.Args {
			rules = append(rules, rule{c.Names, c.Args[j : j+1], ret})
		}
	}
	return rules, nil
}

func checkConds(conds []specs.LinuxSeccompArg) error {
	for _, c := range conds {
		if c.Index > 5 {
			return fmt.Errorf("argument index %d is above 5", c.Index)
		}
		switch c.Op {
		case specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo,
			specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpMaskedEqual:
		default:
			return fmt.Errorf("unknown operator %q", c.Op)
		}
	}
	return nil
}

func repeatsIndex(conds []specs.LinuxSeccompArg) bool {
	var seen [6]bool
	for _, c := range conds {
		if seen[c.Index] {
			return true
		}
		seen[c.Index] = true
	}
	return false
}
