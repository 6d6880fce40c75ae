package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

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
		if err == nil || !errors.Is(err, ErrConflict) {
			return err
		}
		// It ended since we looked.
	}
	l, err := c.r.takeLife(c.Config.ID, c.note())
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

// askExit sends a request that is answered by the container's end.
func (c *Container) askExit(ctx context.Context, op string, body any) (code int, err error) {
	conn, err := c.ask(op, body)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	f, err := conn.Recv()
	if err != nil {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		return 0, fmt.Errorf("the monitor of container %s ended without an answer: %w", c.Config.Name, err)
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
