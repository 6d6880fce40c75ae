package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/minirt/mini/lab"
	"github.com/minirt/mini/runtime"
)

func labGroup() *command {
	return &command{
		name: "lab", short: "Build small networks that explain and check themselves (mini's own)", example: "mini lab up router",
		subs: func() []*command {
			return []*command{
				labCheckCommand(), labDownCommand(), labExecCommand(), labExplainCommand(), labLsCommand(), labSchemaCommand(),
				labShowCommand(), labUpCommand(),
			}
		},
	}
}

func labUpCommand() *command {
	return &command{
		name: "up", args: "FILE|NAME", min: 1, max: 1, complete: "builtins", run: runLabUp,
		short: "Build a lab",
		long: "NAME is one that mini comes with: see 'mini lab ls'. FILE ends in .yaml or .yml, or has a slash in it; - is the standard input.\n" +
			"Everything is built in network namespaces of the lab's own, named lab-LAB-NODE.",
		example: "mini lab up router\nmini lab up --explain ./office.yaml",
		flags:   func() flagSet { return flagSet{explainFlag()} },
	}
}

func labDownCommand() *command {
	return &command{
		name: "down", args: "LAB [LAB...]", min: 1, max: -1, complete: "labs", short: "Take labs away", example: "mini lab down router",
		flags: func() flagSet {
			return flagSet{explainFlag(), boolFlag("force", "f", "End the processes that run in the lab")}
		},
		run: func(c *call) error {
			labs, err := c.labs()
			if err != nil {
				return err
			}
			return c.each(c.args(), func(name string) error { return labs.Down(c.ctx, name, c.bool("force"), c.observer()) })
		},
	}
}

func labCheckCommand() *command {
	return &command{
		name: "check", args: "LAB|FILE", min: 1, max: 1, complete: "labs", run: runLabCheck,
		short: "Try what a lab expects",
		long: "Probes start in the lab's own namespaces; meanwhile its ports answer. What was to be seen before a part was there was tried\n" +
			"while the lab was built. The exit code is 1 when something came out differently.",
		example: "mini lab check router\nmini lab check --format json router",
		flags:   func() flagSet { return flagSet{formatFlag()} },
	}
}

func labExecCommand() *command {
	return &command{
		name: "exec", args: "[LAB/]NODE COMMAND [ARG...]", min: 2, max: -1, ordered: true, complete: "labs",
		short: "Run a command in a node or host of a lab", example: "mini lab exec left ip route\nmini lab exec router/left ping 10.0.2.2",
		long: "The command is one of the machine's. It has the node's links, addresses, routes and rules.",
		run: func(c *call) error {
			labs, err := c.labs()
			if err != nil {
				return err
			}
			space, err := labs.Node(c.arg(0))
			if err != nil {
				return err
			}
			return labExecFailed(lab.Exec(space, c.args()[1:]))
		},
	}
}

// labExecFailed gives a program that cannot be run Docker's exit codes.
func labExecFailed(err error) error {
	var bad *lab.ExecError
	if !errors.As(err, &bad) {
		return err
	}
	code := 126
	if bad.NotFound {
		code = 127
	}
	return &exitError{code: code, text: "Error: " + err.Error(), err: err}
}

func labExplainCommand() *command {
	return &command{
		name: "explain", args: "LAB|FILE", min: 1, max: 1, complete: "builtins",
		short: "Print the shell script that builds a lab by hand", example: "mini lab explain router\nmini lab explain router > router.sh",
		run: func(c *call) error {
			labs, t, err := c.topology()
			if err != nil {
				return err
			}
			var b strings.Builder
			if err := labs.Script(t, &b); err != nil {
				return err
			}
			return flush(c.out, &b)
		},
	}
}

func labSchemaCommand() *command {
	return &command{
		name: "schema", max: 0, short: "Print the JSON schema of lab files, for editors", example: "mini lab schema > lab.schema.json",
		run: func(c *call) error {
			_, err := c.out.Write(lab.Schema)
			return err
		},
	}
}

// labs opens the labs of this mini's state directory.
func (c *call) labs() (*lab.Labs, error) {
	opt := c.options()
	if opt.State == "" {
		opt.State = runtime.DefaultState
	}
	return lab.Open(opt.State), checkRights(opt.State)
}

// topology gives what the first argument names: a file, a lab that is up, or one that mini comes with.
func (c *call) topology() (*lab.Labs, *lab.Topology, error) {
	labs, err := c.labs()
	if err != nil {
		return nil, nil, err
	}
	ref := c.arg(0)
	if isLabFile(ref) {
		t, err := c.readLab(ref)
		return labs, t, err
	}
	t, err := labs.Find(ref)
	if errors.Is(err, lab.ErrNotFound) {
		t, _, err = lab.Builtin(ref)
	}
	return labs, t, err
}

func isLabFile(ref string) bool {
	return ref == "-" || strings.Contains(ref, "/") || strings.HasSuffix(ref, ".yaml") || strings.HasSuffix(ref, ".yml")
}

func (c *call) readLab(file string) (*lab.Topology, error) {
	if file == "-" {
		data, err := io.ReadAll(c.in)
		if err != nil {
			return nil, fmt.Errorf("reading a lab from the standard input: %w", err)
		}
		return lab.Parse("stdin", data)
	}
	data, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return nil, fmt.Errorf("reading a lab: %w", err)
	}
	return lab.Parse(file, data)
}

func runLabUp(c *call) error {
	labs, err := c.labs()
	if err != nil {
		return err
	}
	var t *lab.Topology
	if ref := c.arg(0); isLabFile(ref) {
		t, err = c.readLab(ref)
	} else {
		t, _, err = lab.Builtin(ref)
	}
	if err != nil {
		return err
	}
	// Interrupted, it rolls back what is there.
	ctx, stop := signal.NotifyContext(c.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	err = labs.Up(ctx, t, c.observer())
	if errors.Is(err, lab.ErrExists) {
		return fmt.Errorf("%w: take it away with 'mini lab down %s' first", err, t.Name)
	}
	if err == nil {
		c.println(t.Name)
	}
	return err
}
