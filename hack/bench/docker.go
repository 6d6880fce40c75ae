package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// newDocker starts a dockerd, which starts its own containerd.
func newDocker(ctx context.Context, base, image string) (*engine, error) {
	h, err := newHost(base, "docker", asMachine)
	if err != nil {
		return nil, err
	}
	const socket = "unix:///run/docker.sock"
	e := &engine{
		name: "docker", host: h, image: "busybox", base: []string{dockerCLI(), "-H", socket},
		helpers: []string{"containerd-shim", "containerd-shim-runc-v1", "containerd-shim-runc-v2", "docker-proxy"},
	}
	log := filepath.Join(h.dir, "dockerd.log")
	daemon := Command{Log: log, Args: []string{
		"dockerd", "--data-root", filepath.Join(h.dir, "data"), "--exec-root", "/run/docker",
		"-H", socket, "-p", "/run/docker.pid",
	}}
	var pid int
	err = h.call(ctx, "Start", daemon, &pid)
	if err == nil {
		err = e.waitFor(ctx, 30*time.Second, e.command("version"))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting dockerd: %w\n%s", err, tail(log)), h.destroy())
	}
	version := e.command("version", "--format", "{{.Server.Version}}, client {{.Client.Version}}")
	return e.prepare(ctx, e.command("import", image, e.image), version)
}

// dockerCLI prefers the distribution's client, which belongs to its daemon.
func dockerCLI() string {
	const own = "/usr/bin/docker"
	if _, err := os.Stat(own); err == nil {
		return own
	}
	return "docker"
}

// tail returns the end of a log, for an error's text.
func tail(file string) string {
	const most = 2000
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return string(b[max(0, len(b)-most):])
}
