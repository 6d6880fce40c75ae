package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// sourceDir is the top of mini's source: the nearest directory above the
// working directory with a go.mod. It is empty when there is none.
func sourceDir() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	return ""
}

// miniBinary builds mini, or copies the one that was given, to a place that
// private hosts see.
func (b *bench) miniBinary(ctx context.Context) (string, error) {
	out := filepath.Join(b.base, "bin", "mini")
	if err := os.Mkdir(filepath.Dir(out), 0o755); err != nil {
		return out, fmt.Errorf("making a directory for mini: %w", err)
	}
	if b.opts.mini != "" {
		return out, copyProgram(b.opts.mini, out)
	}
	if b.source == "" {
		return out, errors.New("run bench below mini's source, or name a binary with -mini")
	}
	cmd := b.program(ctx, "go", "build", "-trimpath", "-tags", "urfave_cli_no_docs", "-ldflags", "-s -w", "-o", out, "./cmd/mini")
	cmd.Dir = b.source
	if text, err := cmd.CombinedOutput(); err != nil {
		return out, fmt.Errorf("building cmd/mini: %w: %s", err, firstLine(string(text)))
	}
	return out, nil
}

// program prepares a program of the machine. When ctx ends it is killed with
// its children; the temporary files they leave are removed with all others.
func (b *bench) program(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "TMPDIR="+b.base)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copying mini: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return fmt.Errorf("copying mini: %w", err)
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("copying mini: %w", err)
	}
	return nil
}

// makeImage makes the root filesystem that all engines run.
func (b *bench) makeImage(ctx context.Context) (string, error) {
	out := filepath.Join(b.base, "busybox.tar")
	cmd := b.program(ctx, filepath.Join(b.source, "hack", "busybox-image.sh"), out)
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("making the busybox image: %w: %s", err, text)
	}
	return out, nil
}

// facts describe the machine and the engines.
func (b *bench) facts() []string {
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		kernel = []byte("unknown")
	}
	facts := []string{
		fmt.Sprintf("%s, Linux %s, %d processors (%s), %s",
			b.begin.UTC().Format("2006-01-02 15:04 UTC"), strings.TrimSpace(string(kernel)), runtime.NumCPU(), cpuModel(), runtime.Version()),
		programVersion("iptables", "--version") + ", " + programVersion("iperf3", "--version"),
	}
	for _, e := range b.engines {
		version := e.version
		if !strings.HasPrefix(version, e.name) {
			version = e.name + " " + version
		}
		facts = append(facts, version)
	}
	return facts
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

func programVersion(name string, flag string) string {
	out, err := exec.Command(name, flag).Output()
	if err != nil {
		return "no " + name
	}
	return firstLine(string(out))
}
