package main

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func filterFlag() flagSpec {
	return listFlag("filter", "f", "Filter output based on conditions provided, as KEY=VALUE").called("filter")
}

// filters are the values of --filter by key. Values of one key are
// alternatives; all keys must fit.
type filters map[string][]string

func parseFilters(list []string, known ...string) (filters, error) {
	f := filters{}
	for _, text := range list {
		key, value, ok := strings.Cut(text, "=")
		key, value = strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value)
		if !ok {
			return nil, invalidArgument(text, "-f, --filter", errors.New("bad format of filter (expected name=value)"))
		}
		if !slices.Contains(known, key) {
			return nil, fmt.Errorf("invalid filter '%s'", key)
		}
		f[key] = append(f[key], value)
	}
	return f, nil
}

// any tells whether key is unset, or fits for one of its values.
func (f filters) any(key string, fits func(value string) bool) bool {
	values, ok := f[key]
	return !ok || slices.ContainsFunc(values, fits)
}

// labels tells whether all label filters fit: KEY or KEY=VALUE.
func (f filters) labels(have map[string]string) bool {
	for _, want := range f["label"] {
		k, v, hasValue := strings.Cut(want, "=")
		got, ok := have[k]
		if !ok || hasValue && got != v {
			return false
		}
	}
	return true
}

// match is Docker's comparison of names: the same, or the pattern fits.
func match(pattern, s string) bool {
	if pattern == s {
		return true
	}
	re, err := regexp.Compile(pattern)
	return err == nil && re.MatchString(s)
}

// matchName compares a name with and without Docker's leading slash.
func matchName(pattern, name string) bool { return match(pattern, name) || match(pattern, "/"+name) }

// isTrue reads a boolean filter.
func isTrue(key, value string) (bool, error) {
	switch strings.ToLower(value) {
	case "1", "true":
		return true, nil
	case "0", "false":
		return false, nil
	}
	return false, fmt.Errorf("invalid filter '%s=%s'", key, value)
}
