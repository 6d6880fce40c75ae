package runtime

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/runtime/wire"
)

// How long a client waits before it looks whether the monitor is there at all,
// and for the answer to that question. A stop may well take longer than both.
const (
	answerPatience = 3 * time.Second
	pingPatience   = 10 * time.Second
)

// ErrSilent says that a monitor lives and does not answer.
var ErrSilent = errors.New("does not answer")

// whileAnswering calls wait, which receives from conn. When the monitor is
// stopped, or answers nobody else either, the connection is closed and the error
// names the process: waiting on would be in vain.
func whileAnswering[T any](c *Container, conn *wire.Conn, wait func() (T, error)) (T, error) {
	done, verdict := make(chan struct{}), make(chan error, 1)
	go func() {
		err := c.awaitSilence(done)
		verdict <- err // before wait returns because of Close
		if err != nil {
			conn.Close()
		}
	}()
	v, err := wait()
	close(done)
	if err == nil {
		return v, nil
	}
	select {
	case silent := <-verdict:
		if silent != nil {
			return v, silent
		}
	default: // it is just being asked
	}
	return v, err
}

// awaitSilence returns an error when the monitor does not answer, and nil when
// done is closed or the monitor has ended.
func (c *Container) awaitSilence(done <-chan struct{}) error {
	pid := c.State.MonitorPid
	for {
		select {
		case <-done:
			return nil
		case <-time.After(answerPatience):
		}
		if isStopped(pid) {
			return fmt.Errorf("the monitor of container %s, process %d, is stopped and %w: 'kill -CONT %d' lets it go on, 'kill -KILL %d' ends it and the container",
				c.Config.Name, pid, ErrSilent, pid, pid)
		}
		err := c.ping()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("the monitor of container %s, process %d, %w within %s: 'kill -KILL %d' ends it and the container",
				c.Config.Name, pid, ErrSilent, answerPatience+pingPatience, pid)
		}
		if err != nil {
			return nil // it has ended, and the connection says so
		}
	}
}

// ping asks the monitor for a sign of life.
func (c *Container) ping() error {
	conn, err := wire.Dial(c.r.lifeDir(c.Config.ID), socketName)
	if errors.Is(err, unix.EAGAIN) {
		return os.ErrDeadlineExceeded // so many wait that nobody more may
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(pingPatience)); err != nil {
		return err
	}
	if err := send(conn, opPing, nil); err != nil {
		return err
	}
	_, err = conn.Recv()
	return err
}
