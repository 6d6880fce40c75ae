package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// newRunc uses runc with a bundle: an empty network namespace, nothing else.
func newRunc(ctx context.Context, base, image string) (*engine, error) {
	return newOCI(ctx, ociConfig{name: "runc", layout: asMachine}, base, image)
}

// newCrun is newRunc for crun, which refuses a mix of cgroup versions. For device
// rules in version 2 it raises RLIMIT_MEMLOCK; where it may not, it goes without.
func newCrun(ctx context.Context, base, image string) (*engine, error) {
	c := ociConfig{name: "crun", layout: plainV2}
	e, err := newOCI(ctx, c, base, image)
	if err == nil || ctx.Err() != nil {
		return e, err
	}
	c.noDeviceRules = true
	if e, again := newOCI(ctx, c, base, image); again == nil {
		e.version += " (without device rules)"
		return e, nil
	}
	return nil, err
}

// ociConfig tells how a program with runc's command line is used.
type ociConfig struct {
	name          string
	layout        layout
	noDeviceRules bool
}

func newOCI(ctx context.Context, c ociConfig, base, image string) (*engine, error) {
	name := c.name
	h, err := newHost(base, name, c.layout)
	if err != nil {
		return nil, err
	}
	e := &engine{
		name: name, host: h, bundle: filepath.Join(h.dir, "bundle"),
		base: []string{name, "--root", "/run/" + name + "-bench"},
	}
	load, err := e.unpack(ctx, image, c.noDeviceRules)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("preparing %s: %w", name, err), h.destroy())
	}
	return e.prepare(ctx, load, e.command("--version"))
}

// unpack makes the bundle but for its root file system, which the command
// returned fills.
func (e *engine) unpack(ctx context.Context, image string, noDeviceRules bool) (Command, error) {
	rootfs := filepath.Join(e.bundle, "rootfs")
	if err := os.MkdirAll(rootfs, 0o755); err != nil {
		return Command{}, fmt.Errorf("making the bundle: %w", err)
	}
	if _, err := e.do(ctx, e.command("spec", "--bundle", e.bundle)); err != nil {
		return Command{}, err
	}
	file := filepath.Join(e.bundle, "config.json")
	config, err := os.ReadFile(file)
	if err == nil {
		config, err = adjust(config, noDeviceRules, "true")
	}
	if err == nil {
		err = os.WriteFile(file, config, 0o644)
	}
	if err != nil {
		return Command{}, fmt.Errorf("adjusting the bundle: %w", err)
	}
	return Command{Args: []string{"tar", "-x", "-f", image, "-C", rootfs}}, nil
}

// adjust turns what "runc spec" writes into a configuration without a
// terminal, and without device rules if so wished, that runs args.
func adjust(config []byte, noDeviceRules bool, args ...string) ([]byte, error) {
	var s specs.Spec
	if err := json.Unmarshal(config, &s); err != nil {
		return nil, fmt.Errorf("reading config.json: %w", err)
	}
	if s.Process == nil {
		return nil, errors.New("config.json has no process")
	}
	if noDeviceRules && s.Linux != nil && s.Linux.Resources != nil {
		s.Linux.Resources.Devices = nil
	}
	s.Process.Terminal = false
	s.Process.Args = args
	return json.Marshal(s)
}
