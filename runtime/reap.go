package runtime

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network"
)

// reapSome is how many containers a start looks at. With no more than that
// many running, each start finds every dead one; beyond, its cost stays the
// same, and every other command looks at all of them.
const reapSome = 64

// Reap releases what dead monitors, and dead commands, held: it ends their
// inits, takes down their networking, and puts their records right.
func (r *Runtime) Reap(ctx context.Context) error { return r.reap(ctx, -1) }

// ReapSome is Reap for the start of a container: it looks at a bounded number.
func (r *Runtime) ReapSome(ctx context.Context) error { return r.reap(ctx, reapSome) }

func (r *Runtime) reap(ctx context.Context, limit int) error {
	var errs []error
	if _, err := os.Stat(r.sweptPath()); errors.Is(err, os.ErrNotExist) {
		errs = append(errs, r.afterBoot(ctx))
	}
	ids, err := readNames(r.livesDir())
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	if limit >= 0 && len(ids) > limit {
		rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		ids = ids[:limit]
	}
	for _, id := range ids {
		if alive, err := r.alive(id); alive || err != nil {
			errs = append(errs, err) // looking first keeps out of the owners' way
			continue
		}
		l, err := lockLife(filepath.Join(r.lifeDir(id), lifeLockName), 0)
		switch {
		case errors.Is(err, errAlive):
		case errors.Is(err, os.ErrNotExist):
			// Its owner is making it just now, or was killed before or after
			// it had a lock: then the directory is empty.
			_ = unix.Rmdir(r.lifeDir(id))
		case err != nil:
			errs = append(errs, err)
		default:
			errs = append(errs, r.bury(ctx, id, l))
		}
	}
	return errors.Join(errs...)
}

// afterBoot puts right the records of containers that ran when the host went
// down: the state directory went with it, and nobody holds a lock. One that has
// a lock is not among them, and its lock says what afterBoot does not know.
func (r *Runtime) afterBoot(ctx context.Context) error {
	ids, err := r.ids()
	if err != nil || len(ids) == 0 {
		return err
	}
	var errs []error
	for _, id := range ids {
		if _, err := os.Lstat(r.lifeDir(id)); err == nil {
			continue
		}
		if c, err := r.load(id); err == nil && c.State.Status == Created {
			continue // with --rm too it stays until it is started
		}
		l, err := r.takeLife(id, lifeNote{})
		if errors.Is(err, errAlive) {
			continue
		}
		if err == nil {
			err = r.bury(ctx, id, l)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := os.WriteFile(r.sweptPath(), nil, 0o600); err != nil {
		return fmt.Errorf("marking the state directory: %w", err)
	}
	return nil
}

// sweptPath is a file that says that afterBoot was done since the boot.
func (r *Runtime) sweptPath() string { return filepath.Join(r.opt.State, "swept") }

// bury tidies up after the dead owner of a container. The caller holds the lock.
func (r *Runtime) bury(ctx context.Context, id string, l *life) error {
	c := &Container{r: r}
	err := readJSON(filepath.Join(r.containerDir(id), configFile), &c.Config)
	if errors.Is(err, os.ErrNotExist) {
		return r.buryHalfMade(id, l)
	}
	if err != nil {
		l.close()
		return err
	}
	if err := r.buryStarted(ctx, c); err != nil {
		l.close() // the next command tries again
		return fmt.Errorf("tidying up after container %s, whose monitor died: %w", c.Config.Name, err)
	}
	if c.Config.AutoRemove {
		err = r.discard(c, true)
	}
	return errors.Join(err, l.end(r, id))
}

// buryHalfMade removes what a killed create or remove left.
func (r *Runtime) buryHalfMade(id string, l *life) error {
	note, err := l.note()
	if err != nil {
		l.close()
		return err
	}
	c := &Container{r: r, Config: Config{ID: id, Name: note.Name}}
	for _, v := range note.Volumes {
		c.Config.Mounts = append(c.Config.Mounts, Mount{Type: MountVolume, Source: v, Anonymous: true})
	}
	return errors.Join(r.discard(c, true), l.end(r, id))
}

func (r *Runtime) buryStarted(ctx context.Context, c *Container) error {
	err := readJSON(filepath.Join(c.Dir(), stateFile), &c.State)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if c.State.Status == Running {
		if err := killInit(&c.State); err != nil {
			return err
		}
	}
	var errs []error
	for _, a := range c.Config.Networks {
		ep, err := c.endpoint(a.Network)
		if errors.Is(err, network.ErrNotFound) {
			continue
		}
		if err == nil {
			err = errors.Join(r.Networks.DeleteLink(ep), r.Networks.Drop(ctx, ep, nil))
		}
		errs = append(errs, err)
	}
	errs = append(errs, removeCgroup("/"+cgroupParent+"/"+c.Config.ID))
	if c.State.Status == Running {
		c.State = c.State.lost()
		errs = append(errs, c.saveState())
	}
	return errors.Join(errs...)
}

// killInit ends the init of a dead monitor, if it is still there: one whose
// program changed its user did not die with the monitor. The boot and the start
// time tell it from another process that got the same pid.
func killInit(s *State) error {
	pid := s.Pid
	boot, err := bootID()
	if err != nil {
		return err
	}
	if pid <= 0 || boot != s.Boot {
		return nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if now, err := startTicks(pid); err != nil || now != s.StartTicks {
		return nil // gone, or somebody else
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("killing process %d: %w", pid, err)
	}
	return awaitGone(fd, pid)
}

// awaitGone waits until a killed process has ended.
func awaitGone(pidfd, pid int) error {
	deadline := time.Now().Add(5 * time.Second)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("process %d does not end after SIGKILL", pid)
		}
		fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(left.Milliseconds())+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("waiting for process %d to end: %w", pid, err)
		}
		if n > 0 {
			return nil
		}
	}
}
