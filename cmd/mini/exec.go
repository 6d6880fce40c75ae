package main

import (
	"context"
	"os"

	"github.com/minirt/mini/runtime"
)

func execCommand() *command {
	return &command{
		name: "exec", args: "CONTAINER COMMAND [ARG...]", min: 2, max: -1, ordered: true, flags: execFlags, run: runExec,
		short: "Execute a command in a running container", complete: "containers",
		example: "mini exec -it web sh\nmini exec -e DEBUG=1 -w /www web ls -l",
	}
}

func execFlags() flagSet {
	return flagSet{
		boolFlag("detach", "d", "Detached mode: run command in the background"),
		detachKeysFlag(),
		listFlag("env", "e", "Set environment variables"),
		listFlag("env-file", "", "Read in a file of environment variables"),
		boolFlag("interactive", "i", "Keep STDIN open even if not attached"),
		boolFlag("tty", "t", "Allocate a pseudo-TTY"),
		stringFlag("user", "u", "Username or UID (format: <name|uid>[:<group|gid>])"),
		stringFlag("workdir", "w", "Working directory inside the container"),
	}
}

func runExec(c *call) error {
	env, err := parseEnv(c.list("env-file"), c.list("env"), os.LookupEnv)
	if err != nil {
		return err
	}
	cfg := runtime.ExecConfig{
		Cmd: c.args()[1:], Env: env, WorkingDir: c.str("workdir"), User: c.str("user"),
		Tty: c.bool("tty"), Detach: c.bool("detach"), Stdin: c.bool("interactive") && !c.bool("detach"),
	}
	cfg.Rows, cfg.Cols = terminalSize(c.stdio)
	rt, err := c.openToStart()
	if err != nil {
		return err
	}
	ctr, err := rt.Find(c.arg(0))
	if err != nil {
		return err
	}
	if cfg.Detach {
		s, err := ctr.Exec(c.ctx, cfg)
		if err != nil {
			return execFailed(err)
		}
		return s.Close()
	}
	// As in Docker, signals are not passed on to the command of an exec.
	a, err := c.newAttachment(cfg.Tty, cfg.Stdin, false)
	if err != nil {
		return err
	}
	s, err := ctr.Exec(context.WithoutCancel(c.ctx), cfg)
	if err != nil {
		return execFailed(err)
	}
	code, err := a.stream(s)
	if err != nil {
		return err
	}
	return exitWith(code)
}

// execFailed gives a command that cannot be executed its exit code.
func execFailed(err error) error {
	if code := startCode(err, 1); code != 1 {
		return &exitError{code: code, text: "Error: " + err.Error(), err: err}
	}
	return err
}
