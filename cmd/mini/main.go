package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/minirt/mini/runtime"
)

// version is set by the build: see the Makefile.
var version = "dev"

func main() {
	// A monitor must come first: every container's start waits for it.
	if os.Args[0] == runtime.MonitorName {
		os.Exit(runtime.MonitorMain())
	}
	s := stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr}
	os.Exit(guard(s.err, func() int { return execute(context.Background(), s, os.Args) }))
}

// stdio are the standard streams. They are files, as terminals are asked for
// their size and mode.
type stdio struct {
	in       *os.File
	out, err io.Writer
}

// guard turns a panic into a short report, so that a user never sees one raw.
func guard(w io.Writer, fn func() int) (code int) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(w, "mini: internal error: %v\nThis is a fault in mini %s. Please report it with these lines:\n%s",
				p, version, debug.Stack())
			code = runtime.ExitMini
		}
	}()
	return fn()
}

// execute runs one command line, argv[0] included, and gives the exit code.
func execute(ctx context.Context, s stdio, argv []string) int {
	c, err := prepare(s, argv)
	if err == nil && c != nil {
		err = c.dispatch(ctx)
	}
	return report(s.err, err)
}

// prepare finds the command of a command line. Without an error and without a
// call there is nothing more to do: help was printed.
func prepare(s stdio, argv []string) (*call, error) {
	globals, err := normalise(globalFlags(), false, argv[1:])
	if errors.Is(err, errHelp) {
		return nil, printMainHelp(s.out)
	}
	if err != nil {
		return nil, misusedMini(err)
	}
	flags, words := splitCanonical(globals)
	if hasFlag(flags, "--version=true") {
		fmt.Fprintf(s.out, "mini version %s\n", version)
		return nil, nil
	}
	if len(words) == 0 {
		return nil, printMainHelp(s.out)
	}
	cmd, path, words, err := findCommand(words)
	if err != nil {
		return nil, err
	}
	c := &call{stdio: s, cmd: cmd, path: path, globals: flags}
	if cmd.isGroup() {
		return nil, c.group(words)
	}
	c.argv, err = normalise(cmd.flagSet(), !cmd.ordered, words)
	if errors.Is(err, errHelp) {
		return nil, printHelp(s.out, path, cmd)
	}
	if err != nil {
		return nil, c.misused(err)
	}
	return c, nil
}

// splitCanonical takes normalised arguments apart at the "--".
func splitCanonical(canonical []string) (flags, words []string) {
	for i, a := range canonical {
		if a == "--" {
			return canonical[:i], canonical[i+1:]
		}
	}
	return canonical, nil
}

func hasFlag(flags []string, want string) bool {
	for _, f := range flags {
		if f == want {
			return true
		}
	}
	return false
}
