package main

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// kind is what values a flag takes.
type kind int

const (
	isBool kind = iota
	isString
	isInt
	isList // may be given several times
)

// flagSpec describes one flag. The parser, the help texts and the completion
// scripts are all made from it.
type flagSpec struct {
	name    string
	short   string // one letter, or ""
	aliases []string
	kind    kind
	value   string // what the help calls the value
	usage   string
	def     string // default, as text
	env     string // environment variable that stands for it
}

func boolFlag(name, short, usage string) flagSpec {
	return flagSpec{name: name, short: short, kind: isBool, usage: usage}
}

func stringFlag(name, short, usage string) flagSpec {
	return flagSpec{name: name, short: short, kind: isString, value: "string", usage: usage}
}

func intFlag(name, short, usage string) flagSpec {
	return flagSpec{name: name, short: short, kind: isInt, value: "int", usage: usage}
}

func listFlag(name, short, usage string) flagSpec {
	return flagSpec{name: name, short: short, kind: isList, value: "list", usage: usage}
}

// or adds another name.
func (f flagSpec) or(alias string) flagSpec {
	f.aliases = append(f.aliases, alias)
	return f
}

// called sets what the help calls the value.
func (f flagSpec) called(value string) flagSpec {
	f.value = value
	return f
}

// byDefault sets the value of a flag that is not given.
func (f flagSpec) byDefault(text string) flagSpec {
	f.def = text
	return f
}

func (f flagSpec) fromEnv(name string) flagSpec {
	f.env = name
	return f
}

// label names the flag in errors, as Docker does: "-p, --publish".
func (f flagSpec) label() string {
	if f.short == "" {
		return "--" + f.name
	}
	return "-" + f.short + ", --" + f.name
}

func (f flagSpec) envVars() []string {
	if f.env == "" {
		return nil
	}
	return []string{f.env}
}

// flag gives the flag to urfave/cli, by its one long name.
func (f flagSpec) flag() cli.Flag {
	switch f.kind {
	case isBool:
		return &cli.BoolFlag{Name: f.name, Usage: f.usage, Value: f.def == "true"}
	case isList:
		return &cli.StringSliceFlag{Name: f.name, Usage: f.usage, KeepSpace: true}
	case isInt:
		return &cli.IntFlag{Name: f.name, Usage: f.usage}
	}
	return &cli.StringFlag{Name: f.name, Usage: f.usage, Value: f.def, EnvVars: f.envVars()}
}

// flagSet finds flags by name.
type flagSet []flagSpec

func (s flagSet) long(name string) *flagSpec {
	for i := range s {
		if s[i].name == name {
			return &s[i]
		}
		for _, a := range s[i].aliases {
			if a == name {
				return &s[i]
			}
		}
	}
	return nil
}

func (s flagSet) short(letter string) *flagSpec {
	for i := range s {
		if s[i].short == letter && letter != "" {
			return &s[i]
		}
	}
	return nil
}

func (s flagSet) cliFlags() []cli.Flag {
	out := make([]cli.Flag, len(s))
	for i, f := range s {
		out[i] = f.flag()
	}
	return out
}

// Flags that several commands have.

func formatFlag() flagSpec {
	return stringFlag("format", "", "Format output with 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE")
}

func detachKeysFlag() flagSpec {
	return stringFlag("detach-keys", "", "Key sequence for detaching, such as ctrl-p,ctrl-q")
}

func explainFlag() flagSpec {
	return boolFlag("explain", "", "Show each networking step, why it is done, and its command")
}

// pairs reads KEY=VALUE texts, with VALUE left out for none.
func pairs(list []string) map[string]string {
	if len(list) == 0 {
		return nil
	}
	out := make(map[string]string, len(list))
	for _, kv := range list {
		k, v, _ := strings.Cut(kv, "=")
		out[k] = v
	}
	return out
}
