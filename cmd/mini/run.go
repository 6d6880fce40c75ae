package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/minirt/mini/runtime"
)

func runCommand() *command {
	return &command{
		name: "run", args: "IMAGE [COMMAND] [ARG...]", min: 0, max: -1, ordered: true, flags: runFlags, run: runRun,
		short: "Create and run a new container from an image", complete: "images",
		long: "The exit code is the command's. It is 125 when mini itself failed, 126 when the command\n" +
			"cannot be executed, 127 when it was not found, and 128+N when signal N ended it.",
		example: "mini run -it --rm busybox sh\n" +
			"mini run -d --name web -p 8080:80 -v /srv/www:/www:ro busybox httpd -f -h /www\n" +
			"mini run --rm --explain -p 8080:80 busybox true\n" +
			"mini run --dry-run -p 8080:80 busybox true > network.sh\n" +
			"mini run --rm --rootfs / ls",
	}
}

func createCommand() *command {
	return &command{
		name: "create", args: "IMAGE [COMMAND] [ARG...]", min: 0, max: -1, ordered: true, flags: createFlags, run: runCreate,
		short: "Create a new container", complete: "images",
		example: "mini create --name web -p 8080:80 busybox httpd -f\nmini start -a web",
	}
}

// configure reads the flags of run and create.
func (c *call) configure() (runtime.Config, error) {
	if n := c.flags.NArg(); n == 0 && c.str("rootfs") == "" {
		one := *c.cmd
		one.min = 1
		return runtime.Config{}, one.checkArgs(c.path, n)
	}
	cfg, warnings, err := buildConfig(c.flags, c.args(), here(os.LookupEnv))
	if err != nil {
		return cfg, runError(c.path, runtime.ExitMini, err)
	}
	for _, w := range warnings {
		c.warn("%s", w)
	}
	if cfg.PublishIP, err = publishIP(c.str("publish-ip")); err != nil {
		return cfg, runError(c.path, runtime.ExitMini, err)
	}
	return cfg, nil
}

func runCreate(c *call) error {
	cfg, err := c.configure()
	if err != nil {
		return err
	}
	ctr, err := c.create(cfg)
	if err != nil {
		return err
	}
	if err := ctr.Release(); err != nil {
		return err
	}
	c.println(ctr.Config.ID)
	return nil
}

// create makes the container and writes the --cidfile.
func (c *call) create(cfg runtime.Config) (*runtime.Container, error) {
	file := c.str("cidfile")
	if file != "" {
		if _, err := os.Lstat(file); err == nil {
			return nil, fmt.Errorf("container ID file found, make sure the other container isn't running or delete %s", file)
		}
	}
	rt, err := c.openToStart()
	if err != nil {
		return nil, err
	}
	ctr, err := rt.Create(c.ctx, cfg)
	if err != nil || file == "" {
		return ctr, err
	}
	if err := writeCIDFile(file, ctr.Config.ID); err != nil {
		return nil, errors.Join(err, ctr.Release(), ctr.Remove(c.ctx, runtime.RemoveOptions{Volumes: true}))
	}
	return ctr, nil
}

func writeCIDFile(file, id string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("creating the container ID file: %w", err)
	}
	_, err = f.WriteString(id)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing the container ID file: %w", err)
	}
	return nil
}

func runRun(c *call) error {
	cfg, err := c.configure()
	if err != nil {
		return err
	}
	if c.bool("dry-run") {
		return c.dryRun(cfg)
	}
	if c.bool("detach") {
		return c.runDetached(cfg)
	}
	return c.runAttached(cfg)
}

func (c *call) dryRun(cfg runtime.Config) error {
	rt, err := c.bare()
	if err != nil {
		return runError(c.path, runtime.ExitMini, err)
	}
	script, err := rt.Preview(c.ctx, cfg)
	if err != nil {
		return runError(c.path, runtime.ExitMini, err)
	}
	c.printf("%s", script)
	return nil
}

func (c *call) runDetached(cfg runtime.Config) error {
	notes := &noteWriter{w: c.err}
	ctr, err := c.create(cfg)
	if err != nil {
		return runError(c.path, runtime.ExitMini, err)
	}
	rows, cols := terminalSize(c.stdio)
	s, err := ctr.Start(c.ctx, runtime.StartOptions{
		Explain: c.explains(), Note: c.noteTo(notes), Rows: rows, Cols: cols,
	})
	if err == nil {
		err = s.Close()
	}
	if err == nil || !cfg.AutoRemove {
		c.println(ctr.Config.ID) // also of one that failed: it is there
	}
	if err != nil {
		return runError(c.path, startCode(err, runtime.ExitMini), err)
	}
	return nil
}

// noteTo gives the function that prints notes and explanations, or nil when
// --log-level wants neither.
func (c *call) noteTo(w *noteWriter) func(string) {
	if c.level > levelInfo && !c.explains() {
		return nil
	}
	return w.note
}

func (c *call) runAttached(cfg runtime.Config) error {
	a, err := c.newAttachment(cfg.Tty, cfg.OpenStdin, c.bool("sig-proxy"))
	if err != nil {
		return c.runFailed(err)
	}
	ctr, err := c.create(cfg)
	if err != nil {
		return c.runFailed(err)
	}
	rows, cols := terminalSize(c.stdio)
	begin := time.Now()
	a.begin()
	// The container outlives a cancelled command, so nothing is cancelled.
	s, err := ctr.Start(context.WithoutCancel(c.ctx), runtime.StartOptions{
		Attach: a.streams(), Explain: c.explains(), Note: c.noteTo(a.notes), Rows: rows, Cols: cols,
	})
	if err != nil {
		return c.runFailed(err)
	}
	code, err := a.stream(s)
	if err != nil {
		return c.runFailed(err)
	}
	c.suggestTerminal(ctr, time.Since(begin))
	return exitWith(code)
}

func (c *call) runFailed(err error) error {
	var e *exitError
	if errors.As(err, &e) {
		return err
	}
	return runError(c.path, startCode(err, runtime.ExitMini), err)
}

// atOnce is how soon a shell ends that finds nothing to read.
const atOnce = time.Second

// suggestTerminal helps whoever runs a shell from a terminal but forgot -it.
func (c *call) suggestTerminal(ctr *runtime.Container, took time.Duration) {
	words := slices.Concat(ctr.Config.Entrypoint, ctr.Config.Cmd)
	if took < atOnce && !ctr.Config.OpenStdin && isTerminal(c.in) && isBareShell(words) {
		c.note(fmt.Sprintf("mini: %s found nothing to read and ended at once. To talk to it: %s -it …", words[len(words)-1], c.path))
	}
}

// isBareShell recognises a shell that would read commands from its input.
func isBareShell(words []string) bool {
	for len(words) > 0 && words[0] == "" {
		words = words[1:]
	}
	if len(words) != 1 {
		return false
	}
	return slices.Contains(strings.Fields("sh ash bash dash fish ksh mksh zsh"), path.Base(words[0]))
}
