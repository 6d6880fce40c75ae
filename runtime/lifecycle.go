package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/runtime/names"
)

// StopOptions are those of docker stop.
type StopOptions struct {
	Signal  string // empty: the container's stop signal
	Timeout *int   // seconds until SIGKILL, negative for never; nil: the container's
}

const defaultStopTimeout = 10 // seconds, as in Docker

// ParseSignal reads a signal's name, with or without SIG, or its number.
func ParseSignal(s string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 || n > 64 {
			return 0, errorf(ErrInvalid, "invalid signal: %s: a number must be between 1 and 64", s)
		}
		return syscall.Signal(n), nil
	}
	name := strings.ToUpper(s)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if sig := unix.SignalNum(name); sig != 0 {
		return sig, nil
	}
	return 0, errorf(ErrInvalid, "invalid signal: %s", s)
}

// Signal sends a signal to a running container's init.
func (c *Container) Signal(sig syscall.Signal) error {
	if c.State.Status != Running {
		return errorf(ErrConflict, "cannot kill container: %s: container %s is not running", c.Config.Name, c.Config.ID)
	}
	conn, err := c.ask(opSignal, signalRequest{Signal: int(sig)})
	if err != nil {
		return fmt.Errorf("cannot kill container: %s: %w", c.Config.Name, err)
	}
	defer conn.Close()
	return c.awaitReply(conn)
}

// killWait is how long Kill waits for the end, as with Docker.
const killWait = 10 * time.Second

// Kill sends a signal to a running container's init. After SIGKILL it waits until
// the container is torn down, as with Docker, so that it can be removed or started next.
// That it takes longer is no error: the signal was sent.
func (c *Container) Kill(ctx context.Context, sig syscall.Signal) error {
	if err := c.Signal(sig); err != nil || sig != syscall.SIGKILL {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, killWait)
	defer cancel()
	_, err := c.Wait(ctx)
	if errors.Is(err, ErrNotFound) || ctx.Err() != nil {
		return nil // it was removed with --rm, or takes its time
	}
	return err
}

// Stop asks a running container to end, kills it when it does not in time, and
// returns when it is torn down. One that does not run is stopped already.
func (c *Container) Stop(ctx context.Context, opt StopOptions) error {
	if c.State.Status != Running {
		return nil
	}
	sig, err := ParseSignal(orDefault(orDefault(opt.Signal, c.Config.StopSignal), "SIGTERM"))
	if err != nil {
		return err
	}
	req := stopRequest{Signal: int(sig), Timeout: defaultStopTimeout}
	for _, t := range []*int{c.Config.StopTimeout, opt.Timeout} {
		if t != nil {
			req.Timeout = *t
		}
	}
	_, err = c.askExit(ctx, opStop, req)
	if errors.Is(err, errEnded) {
		return c.reload()
	}
	return err
}

// Restart stops a container if it runs, and starts it.
func (c *Container) Restart(ctx context.Context, opt StopOptions) error {
	if err := c.Stop(ctx, opt); err != nil {
		return err
	}
	if err := c.reload(); err != nil {
		return err
	}
	s, err := c.Start(ctx, StartOptions{})
	if errors.Is(err, ErrRunning) {
		return nil // another restart was faster
	}
	if err != nil {
		return err
	}
	return s.Close()
}

// Wait waits until a container does not run, and gives its exit code.
func (c *Container) Wait(ctx context.Context) (int, error) {
	if c.State.Status == Running {
		code, err := c.askExit(ctx, opWait, nil)
		if !errors.Is(err, errEnded) {
			return code, err
		}
		if err := c.reload(); err != nil {
			return 0, err
		}
	}
	return c.State.ExitCode, nil
}

// Rename gives a container another name.
func (r *Runtime) Rename(c *Container, name string) error {
	name = strings.TrimPrefix(name, "/")
	if err := names.Valid(name); err != nil {
		return err
	}
	if name == c.Config.Name {
		return errorf(ErrInvalid, "renaming a container with the same name as its current name")
	}
	if err := r.claimName(name, c.Config.ID); err != nil {
		return err
	}
	old := c.Config.Name
	if err := c.change(func(cfg *Config) { cfg.Name = name }); err != nil {
		return errors.Join(err, r.dropName(name, c.Config.ID))
	}
	return errors.Join(r.renameEndpoints(c), r.dropName(old, c.Config.ID))
}

// renameEndpoints puts the new name on the records that name a network's users.
func (r *Runtime) renameEndpoints(c *Container) error {
	for _, a := range c.Config.Networks {
		n, err := r.Networks.Find(a.Network)
		if err == nil {
			err = r.Networks.Rename(n, c.Config.ID, c.Config.Name)
		}
		if err != nil && !errors.Is(err, network.ErrNotFound) {
			return err
		}
	}
	return nil
}

// Pids gives the container's processes, as the host's PID namespace counts.
func (c *Container) Pids() ([]int, error) {
	if c.State.Status != Running {
		return nil, c.notRunning()
	}
	b, err := os.ReadFile(procsFile("/" + cgroupParent + "/" + c.Config.ID))
	if err != nil {
		return nil, fmt.Errorf("listing the processes of container %s: %w", c.Config.Name, err)
	}
	var pids []int
	for _, line := range strings.Fields(string(b)) {
		pid, err := strconv.Atoi(line)
		if err != nil {
			return nil, fmt.Errorf("listing the processes of container %s: %w", c.Config.Name, err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// Endpoints gives the container's connections to networks, while it runs.
func (c *Container) Endpoints() ([]network.Endpoint, error) {
	var out []network.Endpoint
	for _, a := range c.Config.Networks {
		ep, err := c.endpoint(a.Network)
		if errors.Is(err, network.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, *ep)
	}
	return out, nil
}

func (c *Container) endpoint(name string) (*network.Endpoint, error) {
	n, err := c.r.Networks.Find(name)
	if err != nil {
		return nil, err
	}
	return c.r.Networks.Endpoint(n, c.Config.ID)
}
