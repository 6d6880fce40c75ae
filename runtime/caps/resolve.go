package caps

import (
	"fmt"
	"slices"
	"strings"
)

const (
	all    = "ALL"
	prefix = "CAP_"
)

// InvalidError reports a word that is no capability.
type InvalidError struct {
	Name string // as given
}

func (e *InvalidError) Error() string {
	if near := nearest(canonical(e.Name)); near != "" {
		return fmt.Sprintf("invalid capability: %q, did you mean %s?", e.Name, near)
	}
	return fmt.Sprintf("invalid capability: %q, valid are ALL, %s", e.Name, strings.Join(names[:], ", "))
}

// Resolve applies add and drop to [Default] and returns the names, by number.
// Words are taken with or without the CAP_ prefix, in any case; ALL stands for
// every capability. As in Docker, a capability in both lists is added; add ALL
// starts from all and takes away the drops; drop ALL leaves the adds. A word
// that is no capability fails with an [*InvalidError].
func Resolve(add, drop []string) ([]string, error) {
	adds, addAll, err := parse(add)
	if err != nil {
		return nil, fmt.Errorf("adding capabilities: %w", err)
	}
	drops, dropAll, err := parse(drop)
	if err != nil {
		return nil, fmt.Errorf("dropping capabilities: %w", err)
	}
	switch {
	case addAll:
		return (SetOf(names[:]) &^ drops).Names(), nil
	case dropAll:
		return adds.Names(), nil
	}
	return (DefaultSet&^drops | adds).Names(), nil
}

// Normalize returns the words as names, in their order and without
// duplicates; ALL becomes every name. A word that is no capability fails with
// an [*InvalidError].
func Normalize(words []string) ([]string, error) {
	var list []string
	for _, w := range words {
		found := names[:]
		if name := canonical(w); name != all {
			if _, ok := Number(name); !ok {
				return nil, &InvalidError{Name: w}
			}
			found = []string{name}
		}
		for _, name := range found {
			if !slices.Contains(list, name) {
				list = append(list, name)
			}
		}
	}
	return list, nil
}

// parse collects words. ALL is reported apart, since it is not the same as
// naming every capability.
func parse(words []string) (s Set, everything bool, err error) {
	for _, w := range words {
		name := canonical(w)
		if name == all {
			everything = true
			continue
		}
		n, ok := Number(name)
		if !ok {
			return 0, false, &InvalidError{Name: w}
		}
		s |= 1 << n
	}
	return s, everything, nil
}

// canonical spells a word as capabilities(7) would.
func canonical(word string) string {
	up := strings.ToUpper(word)
	if up == all || strings.HasPrefix(up, prefix) {
		return up
	}
	return prefix + up
}

// nearest returns the name closest to a mistyped one, or "" when none is
// close enough to be meant.
func nearest(name string) string {
	const limit = 2
	best, found := limit+1, ""
	if len(name) > 64 {
		return ""
	}
	for _, known := range names {
		if d := distance(name, known); d < best {
			best, found = d, known
		}
	}
	return found
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
