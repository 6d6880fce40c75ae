package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// errHelp says that --help was among the flags.
var errHelp = errors.New("help wanted")

// parser turns flags as people write them for Docker into the one form that
// package flag reads without doubt: --name=value for each, then "--", then the
// positional arguments. urfave/cli alone knows neither -p80:80 nor -itp 80:80
// nor flags behind positional arguments.
type parser struct {
	flags      flagSet
	interspers bool // flags may follow positional arguments
	shortHelp  bool // -h stands for --help
	out, args  []string
}

// normalise gives the arguments of one command in the canonical form. It checks
// the values of flags that are not texts, too.
func normalise(flags flagSet, interspersed bool, argv []string) (canonical []string, err error) {
	p := &parser{flags: flags, interspers: interspersed, shortHelp: flags.short("h") == nil}
	if err := p.parse(argv); err != nil {
		return nil, err
	}
	return append(append(p.out, "--"), p.args...), nil
}

func (p *parser) parse(argv []string) error {
	for len(argv) > 0 {
		arg, rest := argv[0], argv[1:]
		var err error
		switch {
		case arg == "--":
			p.args = append(p.args, rest...)
			return nil
		case strings.HasPrefix(arg, "--"):
			rest, err = p.long(arg[2:], rest)
		case len(arg) > 1 && arg[0] == '-':
			rest, err = p.shorts(arg[1:], rest)
		case p.interspers:
			p.args = append(p.args, arg)
		default:
			p.args = append(p.args, argv...)
			return nil
		}
		if err != nil {
			return err
		}
		argv = rest
	}
	return nil
}

// long reads --name, --name=value or --name value.
func (p *parser) long(text string, rest []string) ([]string, error) {
	name, value, attached := strings.Cut(text, "=")
	f := p.flags.long(name)
	switch {
	case f == nil && name == "help":
		return nil, errHelp
	case f == nil || name == "":
		return nil, fmt.Errorf("unknown flag: --%s", name)
	case attached:
	case f.kind == isBool:
		value = "true"
	case len(rest) == 0:
		return nil, fmt.Errorf("flag needs an argument: --%s", name)
	default:
		value, rest = rest[0], rest[1:]
	}
	return rest, p.add(f, value)
}

// shorts reads -x, -xyz, -xVALUE, -x=VALUE and -x VALUE, of which the last
// letter alone may take a value.
func (p *parser) shorts(text string, rest []string) ([]string, error) {
	for i := 0; i < len(text); i++ {
		letter, tail := text[i:i+1], text[i+1:]
		f := p.flags.short(letter)
		switch {
		case f == nil && letter == "h" && p.shortHelp:
			return nil, errHelp
		case f == nil:
			return nil, fmt.Errorf("unknown shorthand flag: '%s' in -%s", firstRune(text[i:]), text)
		case strings.HasPrefix(tail, "="):
			return rest, p.add(f, tail[1:])
		case f.kind == isBool:
			if err := p.add(f, "true"); err != nil {
				return nil, err
			}
			continue
		case tail != "":
			return rest, p.add(f, tail)
		case len(rest) == 0:
			return nil, fmt.Errorf("flag needs an argument: '%s' in -%s", letter, text)
		}
		return rest[1:], p.add(f, rest[0])
	}
	return rest, nil
}

func firstRune(s string) string {
	for _, r := range s {
		return string(r)
	}
	return ""
}

// add checks a value and records it.
func (p *parser) add(f *flagSpec, value string) error {
	var err error
	switch f.kind {
	case isBool:
		var b bool
		b, err = strconv.ParseBool(value)
		value = strconv.FormatBool(b)
	case isInt:
		_, err = strconv.Atoi(value)
	}
	if err != nil {
		return invalidArgument(value, f.label(), err)
	}
	p.out = append(p.out, "--"+f.name+"="+value)
	return nil
}

// invalidArgument is Docker's text for a value that a flag does not take.
func invalidArgument(value, label string, err error) error {
	var num *strconv.NumError
	if errors.As(err, &num) {
		value = num.Num
	}
	return &argumentError{fmt.Errorf("invalid argument %q for %q flag: %w", value, label, err)}
}

// argumentError is a value that a flag does not take.
type argumentError struct{ error }

func (e *argumentError) Unwrap() error { return e.error }
