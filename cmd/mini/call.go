package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/runtime"
)

// call is one command being carried out.
type call struct {
	stdio
	cmd     *command
	path    string // "mini network create"
	globals []string
	argv    []string

	ctx   context.Context
	flags *cli.Context
	level logLevel
	rt    *runtime.Runtime
}

// dispatch hands the canonical arguments to urfave/cli, which calls the
// command with their values. Only the chosen command is built.
func (c *call) dispatch(ctx context.Context) error {
	app := &cli.App{
		Name: "mini", HideHelp: true, HideVersion: true, Writer: io.Discard, ErrWriter: io.Discard,
		DisableSliceFlagSeparator: true,
		Flags:                     globalFlags().cliFlags(),
		ExitErrHandler:            func(*cli.Context, error) {}, // report decides
		Commands: []*cli.Command{{
			Name: c.path, HideHelp: true, Flags: c.cmd.flagSet().cliFlags(), Action: c.action,
		}},
	}
	argv := append([]string{"mini"}, c.globals...)
	argv = append(append(argv, "--", c.path), c.argv...)
	return app.RunContext(ctx, argv)
}

func (c *call) action(flags *cli.Context) error {
	c.flags, c.ctx = flags, flags.Context
	if err := c.cmd.checkArgs(c.path, flags.NArg()); err != nil {
		return err
	}
	var err error
	if c.level, err = parseLevel(flags.String("log-level")); err != nil {
		return misusedMini(err)
	}
	defer func() {
		if c.rt != nil {
			c.rt.Close()
		}
	}()
	err = c.cmd.run(c)
	var bad *argumentError
	if errors.As(err, &bad) {
		return c.misused(bad)
	}
	return err
}

// misused is an error of who wrote the command line.
func (c *call) misused(err error) error { return usageError(c.path, c.cmd.usage(c.path), err) }

// misusedMini is misused for what stands before the command.
func misusedMini(err error) error { return usageError("mini", "mini [OPTIONS] COMMAND [ARG...]", err) }

// group answers a group's name without one of its commands.
func (c *call) group(words []string) error {
	if _, err := normalise(nil, false, words); err != nil && err != errHelp {
		return c.misused(err)
	}
	return printHelp(c.out, c.path, c.cmd)
}

func (c *call) args() []string            { return c.flags.Args().Slice() }
func (c *call) arg(i int) string          { return c.flags.Args().Get(i) }
func (c *call) bool(name string) bool     { return c.flags.Bool(name) }
func (c *call) str(name string) string    { return c.flags.String(name) }
func (c *call) list(name string) []string { return c.flags.StringSlice(name) }
func (c *call) isSet(name string) bool    { return c.flags.IsSet(name) }
func (c *call) printf(f string, a ...any) { fmt.Fprintf(c.out, f, a...) }
func (c *call) println(a ...any)          { fmt.Fprintln(c.out, a...) }

// optionalInt gives nil for an int that is not set.
func (c *call) optionalInt(name string) *int {
	if !c.isSet(name) {
		return nil
	}
	n := c.flags.Int(name)
	return &n
}

// options says where this mini lives.
func (c *call) options() runtime.Options {
	opt := runtime.Options{
		Root: c.str("root"), State: c.str("state"), ChainPrefix: c.str("chain-prefix"), Firewall: c.str("firewall-driver"),
		DryRun: c.bool("dry-run"),
		Notice: func(text string) { c.note("note: " + text) },
	}
	if opt.State == "" && filepath.Clean(opt.Root) != runtime.DefaultRoot {
		opt.State = filepath.Join(opt.Root, "state")
	}
	return opt
}

// bare opens the runtime and does nothing else.
func (c *call) bare() (*runtime.Runtime, error) {
	if c.rt != nil {
		return c.rt, nil
	}
	opt := c.options()
	err := checkRights(opt.Root)
	if err == nil {
		c.rt, err = runtime.Open(opt)
	}
	return c.rt, err
}

// checkRights refuses who is not root at once, and not with whatever fails
// first. Somebody with a --root of their own may look around there.
func checkRights(root string) error {
	if os.Geteuid() == 0 {
		return nil
	}
	for dir := root; ; dir = filepath.Dir(dir) {
		err := unix.Access(dir, unix.W_OK)
		if errors.Is(err, unix.ENOENT) && dir != filepath.Dir(dir) {
			continue
		}
		if err != nil {
			return fmt.Errorf("using %s: %w", dir, fs.ErrPermission)
		}
		return nil
	}
}

// open opens the runtime and releases what dead monitors held. That it could
// not is no reason to refuse the command.
func (c *call) open() (*runtime.Runtime, error) {
	rt, err := c.bare()
	if err != nil {
		return nil, err
	}
	if err := rt.Reap(c.ctx); err != nil {
		c.warn("tidying up: %s", err)
	}
	return rt, nil
}

// container opens the runtime and finds the container that the first argument
// names.
func (c *call) container() (*runtime.Container, error) {
	rt, err := c.open()
	if err != nil {
		return nil, err
	}
	return rt.Find(c.arg(0))
}

// openToStart is open at a cost that does not grow with the containers.
func (c *call) openToStart() (*runtime.Runtime, error) {
	rt, err := c.bare()
	if err != nil {
		return nil, err
	}
	if err := rt.ReapSome(c.ctx); err != nil {
		c.warn("tidying up: %s", err)
	}
	return rt, nil
}

// logLevel is how much is said on standard error.
type logLevel int

const (
	levelDebug logLevel = iota
	levelInfo
	levelWarn
	levelError
)

func parseLevel(s string) (logLevel, error) {
	for i, name := range [...]string{"debug", "info", "warn", "error"} {
		if strings.EqualFold(s, name) {
			return logLevel(i), nil
		}
	}
	return 0, invalidArgument(s, "--log-level", errors.New("want debug, info, warn or error"))
}

// explains tells whether each networking step is to be shown.
func (c *call) explains() bool { return c.bool("explain") || c.level == levelDebug }

// note says what the user should know.
func (c *call) note(text string) {
	if c.level <= levelInfo {
		fmt.Fprintln(c.err, strings.TrimSuffix(text, "\n"))
	}
}

// warn says what the user should do something about.
func (c *call) warn(format string, a ...any) {
	if c.level <= levelWarn {
		fmt.Fprintf(c.err, "WARNING: "+format+"\n", a...)
	}
}
