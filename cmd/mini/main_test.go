package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/minirt/mini/runtime"
)

func TestCommandLineErrors(t *testing.T) {
	for _, tc := range []struct {
		line string
		code int
		err  string
	}{
		{"foo", 1, "mini: unknown command: mini foo\n\nRun 'mini --help' for more information\n"},
		{"network foo", 1, "mini: unknown command: mini network foo\n\nUsage:  mini network COMMAND\n\nRun 'mini network --help' for more information\n"},
		{"--foo ps", 125, "unknown flag: --foo\n\nUsage:  mini [OPTIONS] COMMAND [ARG...]\n\nRun 'mini --help' for more information\n"},
		{"run --foo busybox", 125, "unknown flag: --foo\n\nUsage:  mini run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nRun 'mini run --help' for more information\n"},
		{"network ls -z", 125, "unknown shorthand flag: 'z' in -z\n\nUsage:  mini network ls [OPTIONS]\n\nRun 'mini network ls --help' for more information\n"},
		{"network -z", 125, "unknown shorthand flag: 'z' in -z\n\nUsage:  mini network COMMAND\n\nRun 'mini network --help' for more information\n"},
		{"rm", 1, "mini: 'mini rm' requires at least 1 argument\n\nUsage:  mini rm [OPTIONS] CONTAINER [CONTAINER...]\n\nRun 'mini rm --help' for more information\n"},
		{"run -it", 1, "mini: 'mini run' requires at least 1 argument\n"},
		{"rename a", 1, "mini: 'mini rename' requires 2 arguments\n"},
		{"port", 1, "mini: 'mini port' requires at least 1 and at most 2 arguments\n"},
		{"ps x", 1, "mini: 'mini ps' accepts no arguments\n"},
		{"images a b", 1, "mini: 'mini images' requires at most 1 argument\n"},
		{"ps -f status", 125, "invalid argument \"status\" for \"-f, --filter\" flag: bad format of filter (expected name=value)\n\nUsage:  mini ps [OPTIONS]\n"},
		{"run --dns x busybox", 125, "invalid argument \"x\" for \"--dns\" flag: IP address is not correctly formatted: x\n\nUsage:  mini run "},
		{"run --net name=red,x=y busybox", 125, "invalid argument \"name=red,x=y\" for \"--network\" flag: \"x\" is not known: want "},
		{"run --net= busybox", 125, "mini: no name set for network\n"},
		{"stop -t soon web", 125, "invalid argument \"soon\" for \"-t, --time\" flag: "},
		{"--log-level loud ps", 125, "invalid argument \"loud\" for \"--log-level\" flag"},
		{"run -p 80:99999 busybox", 125, "mini: invalid port mapping"},
		{"run --rootfs= ls", 125, "mini: --rootfs needs a directory"},
		{"run nosuch", 125, "mini: No such image: nosuch:latest"},
		{"create nosuch", 1, "Error: No such image: nosuch:latest"},
		{"exec nosuch true", 1, "Error: No such container: nosuch\n"},
		{"inspect no1 no2", 1, "Error: No such object: no1\nError: No such object: no2\n"},
		{"inspect --type pod x", 1, "Error: \"pod\" is not a valid value for --type"},
		{"rm no1 no2", 1, "Error: No such container: no1\nError: No such container: no2\n"},
		{"rm -f no1", 0, "Error: No such container: no1\n"},
		{"kill -s FOO no1", 1, "Error: invalid signal: FOO\n"},
		{"ps --filter color=red", 1, "Error: invalid filter 'color'\n"},
		{"ps --format {{.Foo}", 1, "Error: template parsing error: template: :1: "},
		{"network ls --format {{.Foo}}", 1, "Error: template parsing error: template: :1:2: executing \"\" at <.Foo>: can't evaluate field Foo: there are CreatedAt, Driver, ID, "},
		{"network inspect -f {{.Foo}} host", 1, "Error: template parsing error: template: :1:2: executing \"\" at <.Foo>: map has no entry for key \"Foo\"\n"},
		{"network rm nosuch", 1, "Error: network nosuch not found\n"},
		{"volume rm nosuch", 1, "Error: "},
		{"import http://example.com/x.tar", 1, "Error: importing from a URL is not supported"},
		{"import /nonexistent.tar x", 1, "Error: opening the archive: "},
		{"completion tcsh", 1, "Error: no completion for \"tcsh\""},
		{"help foo", 1, "mini: unknown command: mini foo\n"},
	} {
		got := runMini(t, strings.Fields(tc.line)...)
		if got.code != tc.code || !strings.HasPrefix(got.err, tc.err) {
			t.Errorf("%s: code %d, stderr %q; want %d, %q", tc.line, got.code, got.err, tc.code, tc.err)
		}
	}
}

func TestRunErrorsPointToTheHelp(t *testing.T) {
	got := runMini(t, "run", "nosuch")
	if !strings.HasSuffix(got.err, "\n\nRun 'mini run --help' for more information\n") {
		t.Errorf("got %q", got.err)
	}
}

func TestEmptyListings(t *testing.T) {
	for line, want := range map[string]string{
		"ps":           "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n",
		"container ls": "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n",
		"ps -q":        "", "image ls -q": "",
		"images":    "REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n",
		"volume ls": "DRIVER    VOLUME NAME\n",
		"--version": "mini version dev\n",
		"version --format {{.Server.Version}}/{{.Client.Version}}": "dev/dev\n",
	} {
		if got := runMini(t, strings.Fields(line)...); got.code != 0 || got.out != want {
			t.Errorf("%s: code %d, %q, stderr %q; want %q", line, got.code, got.out, got.err, want)
		}
	}
}

func TestReport(t *testing.T) {
	start := &runtime.StartError{Code: 127, Err: errors.New("not there")}
	for _, tc := range []struct {
		err  error
		code int
		text string
	}{
		{nil, 0, ""},
		{exitWith(0), 0, ""},
		{exitWith(42), 42, ""},
		{errors.New("x"), 1, "Error: x\n"},
		{fmt.Errorf("why: %w", errors.New("x")), 1, "Error: why: x\n"},
		{errors.Join(errors.New("x"), errors.Join(errors.New("y"))), 1, "Error: x\nError: y\n"},
		{runError("mini run", startCode(start, 125), start), 127, "mini: not there\n\nRun 'mini run --help' for more information\n"},
		{runError("mini run", startCode(errors.New("x"), 125), errors.New("x")), 125, "mini: x\n\nRun 'mini run --help' for more information\n"},
		{execFailed(start), 127, "Error: not there\n"},
	} {
		var b bytes.Buffer
		if code := report(&b, tc.err); code != tc.code || b.String() != tc.text {
			t.Errorf("%v: code %d, %q", tc.err, code, b.String())
		}
	}
}

func TestGuard(t *testing.T) {
	var b bytes.Buffer
	if code := guard(&b, func() int { panic("oh") }); code != 125 {
		t.Errorf("code %d", code)
	}
	mustContain(t, "report", b.String(), "mini: internal error: oh\n")
}

func TestStateDirectory(t *testing.T) {
	for line, want := range map[string]string{
		"ps":                            "/var/lib/mini ",
		"--root /a ps":                  "/a /a/state",
		"--root /a --state /b ps":       "/a /b",
		"--state /b ps":                 "/var/lib/mini /b",
		"--root /var/lib/mini ps":       "/var/lib/mini ",
		"--chain-prefix X container ls": "/var/lib/mini ",
	} {
		opt := parsed(t, strings.Fields(line)...).options()
		if got := opt.Root + " " + opt.State; got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
	t.Setenv("MINI_ROOT", "/e")
	t.Setenv("MINI_CHAIN_PREFIX", "P")
	opt := parsed(t, "ps").options()
	if opt.Root != "/e" || opt.State != "/e/state" || opt.ChainPrefix != "P" {
		t.Errorf("from the environment: %+v", opt)
	}
	if opt := parsed(t, "--root", "/f", "ps").options(); opt.Root != "/f" {
		t.Errorf("a flag must win: %+v", opt)
	}
}

// TestDocumented checks that each command has a help with an example, and that
// the examples are command lines that mini takes.
func TestDocumented(t *testing.T) {
	for _, c := range completables("", commands()) {
		if c.cmd.short == "" || c.cmd.example == "" || c.cmd.run == nil && c.cmd.subs == nil {
			t.Errorf("mini %s: no description, example or action", c.path)
		}
		seen := map[string]bool{}
		for _, f := range c.cmd.flagSet() {
			for _, name := range append([]string{f.name, f.short}, f.aliases...) {
				if name != "" && seen[name] {
					t.Errorf("mini %s: flag %q twice", c.path, name)
				}
				seen[name] = true
			}
		}
		for _, line := range strings.Split(c.cmd.example, "\n") {
			_, after, ok := strings.Cut(line, "mini ")
			if !ok {
				t.Errorf("example without mini: %s", line)
			}
			checkExample(t, line, after)
		}
		got := runMini(t, append(strings.Fields(c.path), "--help")...)
		mustContain(t, c.path, got.out, "\nUsage:  mini "+c.path, c.cmd.short, "Examples:")
		if got.code != 0 {
			t.Errorf("mini %s --help: code %d", c.path, got.code)
		}
	}
	mustContain(t, "help", runMini(t, "help").out, "Usage:  mini [OPTIONS] COMMAND", "run ", "network ", "--chain-prefix")
	mustContain(t, "run --help", runMini(t, "run", "--help").out, "  -h, --hostname string", "(default true)", "(also --net)")
}

func checkExample(t *testing.T, line, words string) {
	words, _, _ = strings.Cut(words, " > ")
	words = strings.ReplaceAll(words, "$(mini ps -aq)", "web db")
	var argv []string
	for i, part := range strings.Split(words, "'") {
		if i%2 == 1 {
			argv = append(argv, part) // quoted
		} else {
			argv = append(argv, strings.Fields(part)...)
		}
	}
	c, err := prepare(stdio{}, append([]string{"mini"}, argv...))
	if err != nil {
		t.Errorf("example %q: %v", line, err)
		return
	}
	_, args := splitCanonical(c.argv)
	if err := c.cmd.checkArgs(c.path, len(args)); err != nil {
		t.Errorf("example %q: %v", line, err)
	}
}
