package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/rootfs"
	"github.com/minirt/mini/runtime/wire"
)

// RemoveOptions are those of docker rm.
type RemoveOptions struct {
	Force   bool `json:"force,omitempty"`   // kill it first if it runs
	Volumes bool `json:"volumes,omitempty"` // anonymous volumes go too
}

// Remove deletes a container.
func (c *Container) Remove(ctx context.Context, opt RemoveOptions) error {
	if c.State.Status == Running {
		if !opt.Force {
			return errorf(ErrConflict, "cannot remove container %q: container is running: stop the container before removing or force remove", "/"+c.Config.Name)
		}
		_, err := c.askExit(ctx, opRemove, opt)
		if !errors.Is(err, errEnded) {
			return err
		}
	}
	l, err := c.takeOver(ctx)
	if errors.Is(err, errAlive) && c.State.Status == Running {
		return c.Remove(ctx, opt) // it was being started
	}
	if errors.Is(err, errAlive) {
		return errorf(ErrConflict, "cannot remove container %q: it is being started or removed", "/"+c.Config.Name)
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(c.Dir(), configFile)); errors.Is(err, os.ErrNotExist) {
		return errors.Join(noSuchContainer(c.Config.Name), l.end(c.r, c.Config.ID))
	}
	return errors.Join(c.r.discard(c, opt.Volumes), l.end(c.r, c.Config.ID))
}

// discard deletes a container's files. The caller holds its lock.
func (r *Runtime) discard(c *Container, volumes bool) error {
	var now Config
	if readJSON(filepath.Join(r.containerDir(c.Config.ID), configFile), &now) == nil {
		c.Config.Name = now.Name // it may have been renamed since c was read
	}
	var errs []error
	if volumes {
		errs = append(errs, r.dropVolumes(c))
	}
	return errors.Join(append(errs, r.erase(c))...)
}

// dropVolumes removes the container's anonymous volumes.
func (r *Runtime) dropVolumes(c *Container) error {
	var errs []error
	for _, m := range c.Config.Mounts {
		if m.Type != MountVolume || !m.Anonymous {
			continue
		}
		err := r.Images.RemoveVolume(m.Source, func(name string) []string { return r.volumeUsers(name, c.Config.ID) })
		if err != nil && !errors.Is(err, rootfs.ErrNoVolume) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// volumeUsers names the containers that have a volume, but one.
func (r *Runtime) volumeUsers(volume, except string) []string {
	list, err := r.List()
	if err != nil {
		return []string{"unknown: " + err.Error()}
	}
	var users []string
	for _, c := range list {
		for _, m := range c.Config.Mounts {
			if m.Type == MountVolume && m.Source == volume && c.Config.ID != except {
				users = append(users, c.Config.ID)
			}
		}
	}
	return users
}

// VolumeUsers gives the ids of the containers that have a volume.
func (r *Runtime) VolumeUsers(volume string) []string { return r.volumeUsers(volume, "") }

// ImageUsers gives the ids of the containers made from an image.
func (r *Runtime) ImageUsers(imageID string) []string {
	list, err := r.List()
	if err != nil {
		return []string{"unknown: " + err.Error()}
	}
	var users []string
	for _, c := range list {
		if c.Config.ImageID == imageID {
			users = append(users, c.ShortID())
		}
	}
	return users
}

// erase deletes the container's name and directory. The configuration goes
// first: without it the rest is rubbish that a Reap may finish.
func (r *Runtime) erase(c *Container) error {
	var errs []error
	if err := os.Remove(filepath.Join(c.Dir(), configFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, err)
	}
	if c.Config.Name != "" {
		errs = append(errs, r.dropName(c.Config.Name, c.Config.ID))
	}
	errs = append(errs, os.RemoveAll(c.Dir()))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removing container %s: %w", c.ShortID(), err)
	}
	return nil
}

// errEnded says that the container ended while it was asked something, and its
// records say how.
var errEnded = errors.New("the container has ended")

// askExit sends a request that is answered by the container's end. The error
// is errEnded when that came first.
func (c *Container) askExit(ctx context.Context, op string, body any) (code int, err error) {
	conn, err := c.ask(op, body)
	if err == nil {
		code, err = c.awaitExit(ctx, op, conn)
	}
	if err == nil || ctx.Err() != nil || !errors.Is(err, ErrConflict) && !isHangup(err) {
		return code, err
	}
	return 0, c.awaitLast(ctx)
}

// awaitExit waits for the end. Who asked only to wait waits for any monitor.
func (c *Container) awaitExit(ctx context.Context, op string, conn *wire.Conn) (int, error) {
	if op == opWait {
		return recvExit(ctx, conn)
	}
	return whileAnswering(c, conn, func() (int, error) { return recvExit(ctx, conn) })
}

// isHangup tells whether err says that the other end is gone.
func isHangup(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
}

// awaitLast waits until a monitor that talks to nobody any more has given up
// the container: from then on the records are final.
func (c *Container) awaitLast(ctx context.Context) error {
	for {
		alive, err := c.r.alive(c.Config.ID)
		if err != nil {
			return err
		}
		if !alive {
			return errEnded
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

func recvExit(ctx context.Context, conn *wire.Conn) (code int, err error) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	f, err := conn.Recv()
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if err != nil {
		return 0, err
	}
	switch f.Type {
	case wire.TypeExit:
		var e wire.Exit
		if err := f.Decode(&e); err != nil {
			return 0, err
		}
		if e.Error != "" {
			return e.Code, errors.New(e.Error)
		}
		return e.Code, nil
	case wire.TypeReply:
		var r wire.Reply
		if err := f.Decode(&r); err != nil {
			return 0, err
		}
		return 0, errorf(ErrConflict, "%s", r.Error)
	}
	return 0, fmt.Errorf("the monitor answered with a %s frame", f.Type)
}
