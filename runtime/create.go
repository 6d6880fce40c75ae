package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/minirt/mini/rootfs"
	"github.com/minirt/mini/runtime/names"
)

// Create makes a container that can be started. It fills in cfg's id, its name
// if it has none, and what the image says. On error nothing has changed. The
// caller owns the container until it calls [Container.Start] or
// [Container.Release]: if it dies before, the container is tidied away when it
// has AutoRemove.
func (r *Runtime) Create(ctx context.Context, cfg Config) (*Container, error) {
	if err := r.resolveConfig(&cfg); err != nil {
		return nil, err
	}
	c := &Container{r: r, Config: cfg, State: State{Status: Created}}
	l, err := r.takeLife(cfg.ID, c.note())
	if err != nil {
		return nil, err
	}
	c.life = l
	if err := r.write(ctx, c); err != nil {
		return nil, errors.Join(err, l.end(r, cfg.ID))
	}
	return c, nil
}

// Release gives up the ownership of a container that was created and is not
// to be started by this process.
func (c *Container) Release() error {
	if c.life == nil {
		return nil
	}
	l := c.life
	c.life = nil
	return l.end(c.r, c.Config.ID)
}

// write makes the container's files. On error it takes them away again.
func (r *Runtime) write(_ context.Context, c *Container) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, r.discard(c, true))
		}
	}()
	if err := r.giveName(c); err != nil {
		return err
	}
	dir := c.Dir()
	for _, d := range []string{r.containersDir(), dir} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("making the container's directory: %w", err)
		}
	}
	for _, d := range []string{rootfsDir, "upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			return fmt.Errorf("making the container's directory: %w", err)
		}
	}
	if err := r.prepareMounts(c); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(dir, specFile), BuildSpec(&c.Config, dir)); err != nil {
		return err
	}
	if err := c.saveConfig(); err != nil {
		return err
	}
	return r.stillThere(c)
}

// stillThere looks once more for what a rmi or a volume rm could have taken
// away before the container was on record as a user of it.
func (r *Runtime) stillThere(c *Container) error {
	if c.Config.ImageID != "" {
		if _, err := r.Images.Find(c.Config.ImageID); err != nil {
			return err
		}
	}
	for _, m := range c.Config.Mounts {
		if m.Type != MountVolume {
			continue
		}
		if _, err := r.Images.FindVolume(m.Source); err != nil {
			return err
		}
	}
	return nil
}

// giveName claims the name the user wants, or some free one.
func (r *Runtime) giveName(c *Container) error {
	id := c.Config.ID
	if c.Config.Name != "" {
		name := c.Config.Name
		err := r.claimName(name, id)
		if err != nil {
			c.Config.Name = "" // it is not ours to drop
		}
		return err
	}
	for range 20 {
		name := names.Random()
		err := r.claimName(name, id)
		if err == nil {
			c.Config.Name = name
			return c.life.write(c.note())
		}
		if !errors.Is(err, ErrExists) {
			return err
		}
	}
	c.Config.Name = short(id)
	if err := r.claimName(c.Config.Name, id); err != nil {
		return err
	}
	return c.life.write(c.note())
}

// prepareMounts makes the volumes, and the host directories of binds that do
// not exist, as docker run -v does.
func (r *Runtime) prepareMounts(c *Container) error {
	for i := range c.Config.Mounts {
		m := &c.Config.Mounts[i]
		switch m.Type {
		case MountBind:
			if _, err := os.Stat(m.Source); errors.Is(err, os.ErrNotExist) {
				if m.MustExist {
					return errorf(ErrInvalid, "invalid mount config for type \"bind\": bind source path does not exist: %s", m.Source)
				}
				err = os.MkdirAll(m.Source, 0o755)
				if err != nil {
					return fmt.Errorf("making the source of the mount on %s: %w", m.Destination, err)
				}
			}
		case MountVolume:
			if err := r.prepareVolume(c, m); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Runtime) prepareVolume(c *Container, m *Mount) error {
	v, err := r.Images.CreateVolume(m.Source)
	if err != nil {
		return err
	}
	m.Path = v.Path
	entries, err := os.ReadDir(v.Path)
	if err != nil {
		return fmt.Errorf("looking into volume %s: %w", v.Name, err)
	}
	if len(entries) > 0 || c.Config.ImageID == "" {
		return nil
	}
	image, err := r.Images.Find(c.Config.ImageID)
	if err != nil {
		return err
	}
	return rootfs.CopyUp(image.Layers, m.Destination, v.Path)
}
