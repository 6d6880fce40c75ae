package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/netns"
)

// TestParallelLives: many processes start and stop containers on a network that
// is not up at first. Each has its own Manager, and a thread on the host.
func TestParallelLives(t *testing.T) {
	for _, backend := range drivers {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			before := w.traces()
			var err error
			w.m, err = Open(w.m.opt) // named as the other processes' Managers are
			w.must(err)
			defer w.m.Close()
			n := w.create(CreateOptions{Name: "web"})
			const lives = 12
			c := w.crowd(n, lives, t.Errorf)
			c.ready.Wait()
			if got := strings.Count(w.rules(), ":80") + strings.Count(w.rules(), ". 80"); got != lives {
				t.Errorf("%d containers have %d rules", lives, got)
			}
			c.end()
			w.must(w.m.Remove(context.Background(), n, nil))
			w.waitForVeths()
			if after := w.traces(); after != before {
				t.Errorf("left behind:\n%s", after)
			}
		})
	}
}

// crowd is many containers that live side by side.
type crowd struct {
	host        *os.File
	done, ready sync.WaitGroup // ready: those that live, and those that cannot
	over        chan struct{}
}

// crowd begins the lives of so many containers, each with a Manager and a thread
// on the host. Those that fail are told to fail.
func (w *world) crowd(n *Network, lives int, fail func(format string, args ...any)) *crowd {
	host, err := netns.Current()
	w.must(err)
	c := &crowd{host: host, over: make(chan struct{})}
	c.ready.Add(lives)
	for i := range lives {
		c.done.Go(func() {
			goruntime.LockOSThread() // ends with the goroutine
			once := sync.OnceFunc(c.ready.Done)
			defer once()
			err := unix.Setns(int(host.Fd()), unix.CLONE_NEWNET)
			if err == nil {
				err = live(w.m.opt, n, i, func() { once(); <-c.over })
			}
			if err != nil {
				fail("container %d: %v", i, err)
			}
		})
	}
	return c
}

// end ends all lives.
func (c *crowd) end() {
	close(c.over)
	c.done.Wait()
	c.host.Close()
}

// live is one container's life, which lasts as long as its program.
func live(opt Options, n *Network, i int, program func()) (err error) {
	ctx := context.Background()
	m, err := Open(opt)
	if err != nil {
		return err
	}
	defer m.Close()
	ns, err := netns.New()
	if err != nil {
		return err
	}
	defer ns.Close()
	w := &world{}
	ep, err := m.Reserve(n, EndpointSpec{
		ContainerID: fmt.Sprintf("%07x%057x", i+1, 1), ContainerName: fmt.Sprintf("c%d", i),
		Interface: "eth0", DefaultRoute: true, Ports: w.ports("80"),
	})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Drop(ctx, ep, nil))
		}
	}()
	if err := m.Up(ctx, n, nil); err != nil {
		return err
	}
	p, err := m.AttachPlan(ep, ns)
	if err != nil {
		return err
	}
	if err := p.Run(ctx, nil); err != nil {
		return err
	}
	program()
	if err := m.DetachPlan(ep).RunAll(ctx, nil); err != nil {
		return err
	}
	return m.Release(ep)
}
