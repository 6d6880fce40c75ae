package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// engine is a container runtime in its private host.
type engine struct {
	name     string
	host     *privateHost
	base     []string // the program and its global flags
	runFlags []string // what every run needs
	rmFlags  []string // what removes a running container at once
	image    string
	bundle   string   // for runc and crun: the bundle that run takes
	helpers  []string // programs that stay as long as a container does
	version  string
}

// full tells whether the engine has networks, images and names; runc and crun
// only start what a bundle says.
func (e *engine) full() bool { return e.bundle == "" }

// command is a command of the engine.
func (e *engine) command(args ...string) Command {
	return Command{Args: append(append([]string{}, e.base...), args...)}
}

// runTrue is the shortest container there is, removed afterwards.
func (e *engine) runTrue(flags ...string) Command {
	if !e.full() {
		return e.command("run", "--bundle", e.bundle, "bench-true")
	}
	return e.run(append([]string{"--rm"}, flags...), "true")
}

// run starts a container of the busybox image.
func (e *engine) run(flags []string, cmd ...string) Command {
	args := append(append([]string{"run"}, e.runFlags...), flags...)
	return e.command(append(append(args, e.image), cmd...)...)
}

// idle starts a container in the background that does nothing.
func (e *engine) idle(name string, flags ...string) Command {
	return e.run(append([]string{"-d", "--name", name}, flags...), "sleep", "86400")
}

// remove removes containers, running or not.
func (e *engine) remove(names ...string) Command {
	c := e.command(append(append([]string{"rm", "-f"}, e.rmFlags...), names...)...)
	c.Timeout = time.Minute + time.Duration(len(names))*time.Second
	return c
}

// removeAll removes all containers.
func (e *engine) removeAll(ctx context.Context) error {
	if !e.full() {
		return nil
	}
	r, err := e.do(ctx, e.command("ps", "-a", "-q"))
	if ids := strings.Fields(r.Stdout); err == nil && len(ids) > 0 {
		_, err = e.do(ctx, e.remove(ids...))
	}
	return err
}

// do runs a command in the engine's host; an exit code other than 0 is an error.
func (e *engine) do(ctx context.Context, c Command) (Result, error) {
	var r Result
	if err := e.host.call(ctx, "Run", c, &r); err != nil {
		return r, err
	}
	return r, r.failure(c)
}

// failure is nil after exit code 0.
func (r Result) failure(c Command) error {
	if r.Code == 0 {
		return nil
	}
	return fmt.Errorf("%s: exit code %d: %s", strings.Join(c.Args, " "), r.Code, strings.TrimSpace(r.Stderr))
}

// timed runs a command and returns its time in seconds.
func (e *engine) timed(ctx context.Context, c Command) (float64, error) {
	r, err := e.do(ctx, c)
	return inSeconds(r.Elapsed), err
}

// doAll runs commands, workers at a time, and returns the time for all in seconds.
func (e *engine) doAll(ctx context.Context, workers int, cs []Command) (BatchResult, error) {
	var r BatchResult
	if err := e.host.call(ctx, "Batch", Batch{cs, workers}, &r); err != nil {
		return r, err
	}
	for i, one := range r.Results {
		if err := one.failure(cs[i]); err != nil {
			return r, err
		}
	}
	return r, nil
}

// address finds a running container's process and its address.
func (e *engine) address(ctx context.Context, name string) (pid int, addr string, err error) {
	const format = "{{.State.Pid}} {{.NetworkSettings.IPAddress}}"
	r, err := e.do(ctx, e.command("inspect", "--format", format, name))
	if err != nil {
		return 0, "", err
	}
	f := strings.Fields(r.Stdout)
	if len(f) != 2 {
		return 0, "", fmt.Errorf("inspecting %s of %s: %q is not a process and an address", name, e.name, r.Stdout)
	}
	pid, err = strconv.Atoi(f[0])
	if err != nil {
		return 0, "", fmt.Errorf("inspecting %s of %s: %w", name, e.name, err)
	}
	return pid, f[1], nil
}

// pid finds a running container's process.
func (e *engine) pid(ctx context.Context, name string) (int, error) {
	r, err := e.do(ctx, e.command("inspect", "--format", "{{.State.Pid}}", name))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(r.Stdout))
}

// maker makes an engine work in a new private host. base is a directory of
// the machine, image a root filesystem tarball in it.
type maker struct {
	name  string
	needs []string // programs
	make  func(ctx context.Context, base, image string) (*engine, error)
}

var errMissing = errors.New("not installed")

// start makes the engine, unless the machine lacks one of its programs.
func (m maker) start(ctx context.Context, base, image string) (*engine, error) {
	for _, p := range m.needs {
		if _, err := exec.LookPath(p); err != nil {
			return nil, errMissing
		}
	}
	return m.make(ctx, base, image)
}

// makers are all engines, mini's binary given.
func makers(mini string) []maker {
	return []maker{
		{"mini", []string{mini}, func(ctx context.Context, base, image string) (*engine, error) {
			return newMini(ctx, mini, base, image)
		}},
		{"docker", []string{"docker", "dockerd", "containerd"}, newDocker},
		{"podman", []string{"podman", "conmon"}, newPodman},
		{"runc", []string{"runc"}, newRunc},
		{"crun", []string{"crun"}, newCrun},
	}
}

// newMini uses a mini binary: its root is on the disk, its state in /run.
func newMini(ctx context.Context, binary, base, image string) (*engine, error) {
	h, err := newHost(base, "mini", asMachine)
	if err != nil {
		return nil, err
	}
	e := &engine{
		name: "mini", host: h, image: "busybox", helpers: []string{filepath.Base(binary), "mini-monitor"},
		base: []string{binary, "--root", filepath.Join(h.dir, "root"), "--state", "/run/mini"},
	}
	return e.prepare(ctx, e.command("import", image, e.image), e.command("version", "--format", "{{.Client.Version}}"))
}

// newPodman uses podman with everything below the host's directory.
func newPodman(ctx context.Context, base, image string) (*engine, error) {
	h, err := newHost(base, "podman", asMachine)
	if err != nil {
		return nil, err
	}
	e := &engine{
		name: "podman", host: h, image: "localhost/busybox", helpers: []string{"conmon"},
		base: []string{
			"podman", "--root", filepath.Join(h.dir, "root"), "--runroot", "/run/podman-bench",
			"--cgroup-manager", "cgroupfs",
		},
		// More than the machine allows is refused, where it lacks CAP_SYS_RESOURCE.
		runFlags: []string{"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"},
		rmFlags:  []string{"--time", "0"},
	}
	return e.prepare(ctx, e.command("import", image, e.image), e.command("--version"))
}

// prepare runs the first commands of an engine and notes its version.
func (e *engine) prepare(ctx context.Context, load, version Command) (*engine, error) {
	_, err := e.do(ctx, load)
	// An engine that does not tell its version may work all the same.
	e.version = "of unknown version"
	if r, fault := e.do(ctx, version); fault == nil {
		e.version = firstLine(r.Stdout)
	}
	if err == nil {
		_, err = e.do(ctx, e.runTrue("--net", "none"))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("preparing %s: %w", e.name, err), e.host.destroy())
	}
	return e, nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// waitFor runs a command until it succeeds.
func (e *engine) waitFor(ctx context.Context, d time.Duration, c Command) error {
	return poll(d, func() error {
		if ctx.Err() != nil {
			return nil // the next call says so
		}
		_, err := e.do(ctx, c)
		return err
	})
}
