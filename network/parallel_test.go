package network

import (
	"context"
	"errors"
	"fmt"
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
			host, err := netns.Current()
			w.must(err)
			defer host.Close()
			const lives = 12
			var wg, ready sync.WaitGroup
			end := make(chan struct{})
			ready.Add(lives)
			for i := range lives {
				wg.Go(func() {
					goruntime.LockOSThread() // ends with the goroutine
					if err := unix.Setns(int(host.Fd()), unix.CLONE_NEWNET); err != nil {
						t.Error(err)
					}
					if err := live(w.m.opt, n, i, &ready, end); err != nil {
						t.Errorf("container %d: %v", i, err)
					}
				})
			}
			ready.Wait()
			if got := strings.Count(w.rules(), ":80") + strings.Count(w.rules(), ". 80"); got != lives {
				t.Errorf("%d containers have %d rules", lives, got)
			}
			close(end)
			wg.Wait()
			w.must(w.m.Remove(context.Background(), n, nil))
			w.waitForVeths()
			if after := w.traces(); after != before {
				t.Errorf("left behind:\n%s", after)
			}
		})
	}
}

// live is one container's life. It says when it is ready, and goes on to end.
func live(opt Options, n *Network, i int, ready *sync.WaitGroup, end <-chan struct{}) (err error) {
	begun := false
	defer func() {
		if !begun {
			ready.Done()
		}
	}()
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
	begun = true
	ready.Done()
	<-end
	if err := m.DetachPlan(ep).RunAll(ctx, nil); err != nil {
		return err
	}
	return m.Release(ep)
}
