package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// parseEnv gives the variables of the files, in order, then those of -e. A name
// alone takes its value from lookup, and is left out when it has none.
func parseEnv(files, list []string, lookup func(string) (string, bool)) ([]string, error) {
	var env []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading the env file: %w", err)
		}
		vars, err := parseEnvFile(text, lookup)
		if err != nil {
			return nil, fmt.Errorf("env file %s: %w", file, err)
		}
		env = append(env, vars...)
	}
	for _, kv := range list {
		name, _, hasValue := strings.Cut(kv, "=")
		if name == "" {
			return nil, fmt.Errorf("invalid environment variable: %q has no name", kv)
		}
		env = appendVar(env, name, kv, hasValue, lookup)
	}
	return env, nil
}

func appendVar(env []string, name, kv string, hasValue bool, lookup func(string) (string, bool)) []string {
	if hasValue {
		return append(env, kv)
	}
	if value, ok := lookup(name); ok {
		return append(env, name+"="+value)
	}
	return env
}

// parseEnvFile reads lines of NAME=VALUE or NAME. Nothing is unquoted, as in
// Docker; a line that begins with # is a comment.
func parseEnvFile(text []byte, lookup func(string) (string, bool)) ([]string, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // a byte order mark
	var env []string
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if !utf8.ValidString(line) {
			return nil, fmt.Errorf("line %d is not UTF-8", i+1)
		}
		line = strings.TrimLeftFunc(line, unicode.IsSpace)
		if line == "" || line[0] == '#' {
			continue
		}
		name, _, hasValue := strings.Cut(line, "=")
		if !hasValue {
			name = strings.TrimSpace(name)
		}
		switch {
		case name == "":
			return nil, fmt.Errorf("no variable name on line '%s'", line)
		case strings.ContainsFunc(name, unicode.IsSpace):
			return nil, fmt.Errorf("variable '%s' contains whitespaces", name)
		case strings.ContainsRune(line, 0):
			return nil, fmt.Errorf("line %d has a NUL byte", i+1)
		}
		env = appendVar(env, name, line, hasValue, lookup)
	}
	return env, nil
}
