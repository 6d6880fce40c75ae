package runtime

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/network/port"
	"github.com/minirt/mini/plan"
	"github.com/minirt/mini/runtime/logs"
	"github.com/minirt/mini/runtime/nsinit"
	"github.com/minirt/mini/runtime/wire"
)

// monitor answers for one running container.
type monitor struct {
	r        *Runtime
	c        *Container
	before   State // of the container, before this start
	spec     *specs.Spec
	life     *life
	req      startRequest
	starter  *client // the command that started it
	begun    func()  // ends its part in the audience
	observe  plan.Observer
	audience audience
	child    *nsinit.Child
	cgroup   *cgroup
	hub      *hub
	logs     *logs.Writer
	listener *wire.Listener

	execs sync.WaitGroup

	mu        sync.Mutex // guards what follows, and c
	endpoints []*network.Endpoint
	wishes    []port.Mapping          // the published ports as they were asked for, in the order of the endpoint's
	names     *resolver               // nil on the default network alone
	resolv    string                  // what was written into resolv.conf last
	dropped   []*network.Endpoint     // whose veth pairs are still to be deleted
	waiters   map[*wire.Conn]struct{} // to be told of the end
	removal   *RemoveOptions
	ended     bool // the init has ended: no more execs, clients, connections
	told      bool // the waiters were told
}

// run is the life of the container.
func (m *monitor) run() {
	err := m.start()
	if err != nil {
		m.failed(err)
		return
	}
	go m.accept()
	status, err := m.child.Wait()
	code := exitCode(status)
	if err != nil {
		code = exitNeverWaited
	}
	m.finish(code)
}

// failed undoes what the start did and tells the starting command.
func (m *monitor) failed(err error) {
	code := ExitMini
	var se *StartError
	if errors.As(err, &se) {
		code = se.Code
	}
	m.c.State = State{Status: Created, ExitCode: code, Error: err.Error(), FinishedAt: m.before.FinishedAt}
	if m.before.Status == Exited {
		m.c.State.Status, m.c.State.StartedAt = Exited, m.before.StartedAt
	}
	if m.child != nil {
		// ESRCH: it ended by itself, telling why.
		_ = m.signal(int(unix.SIGKILL))
		_, _ = m.child.Wait()
	}
	released := m.release()
	if m.listener != nil {
		m.listener.Close()
	}
	teardown := released
	if m.c.Config.AutoRemove && released == nil {
		teardown = errors.Join(teardown, m.r.discard(m.c, true))
	} else {
		teardown = errors.Join(teardown, m.c.saveState())
	}
	teardown = errors.Join(teardown, m.leave(released))
	text := err.Error()
	if teardown != nil {
		text += "\n(and tearing down: " + teardown.Error() + ")"
	}
	_ = m.starter.conn.SendJSON(wire.TypeExit, wire.Exit{Code: code, Error: text})
	m.deleteLinks()
}

// finish tears down after the init ended, and tells everybody. The order is
// for those who look on meanwhile: nobody may join any more, then the exit code
// is on record, then ports and addresses are free, and only then does the
// container count as exited, the lock goes, and the end is announced. Clients
// that are slow to read come last.
func (m *monitor) finish(code int) {
	m.mu.Lock()
	m.ended = true
	removal := m.removal
	m.c.State.Ended, m.c.State.ExitCode, m.c.State.FinishedAt = true, code, time.Now().UTC()
	m.c.State.OOMKilled = m.cgroup.oomKilled()
	m.mu.Unlock()
	remove := removal != nil || m.c.Config.AutoRemove
	var errs []error
	if !remove {
		errs = append(errs, m.c.saveState())
	}
	released := m.release()
	errs = append(errs, released)
	m.hub.drain()
	errs = append(errs, m.logs.Close())
	if remove && released == nil {
		errs = append(errs, m.c.reloadConfig()) // it may have another name by now
		errs = append(errs, m.r.discard(m.c, m.c.Config.AutoRemove || removal.Volumes))
	} else {
		m.c.State.exited()
		if err := errors.Join(errs...); err != nil {
			m.c.State.Error = "tearing down: " + err.Error()
		}
		errs = append(errs, m.c.saveState())
	}
	errs = append(errs, m.leave(released))
	m.tell(code, errors.Join(errs...))
	m.deleteLinks()
}

// leave gives the container up. When something could not be released, the lock
// file stays, as that of a dead owner: the next command tries again.
func (m *monitor) leave(released error) error {
	if released != nil {
		var errs []error
		for _, ep := range m.dropped {
			errs = append(errs, ep.Close()) // as if it had died
		}
		m.life.close()
		return errors.Join(errs...)
	}
	return m.life.end(m.r, m.c.Config.ID)
}

// tell announces the container's end.
func (m *monitor) tell(code int, err error) {
	exit := wire.Exit{Code: code}
	if err != nil {
		exit.Error = err.Error()
	}
	m.mu.Lock()
	m.told = true
	removed := m.removal != nil
	for conn := range m.waiters {
		_ = conn.SetWriteDeadline(time.Now().Add(drainTime)) // gone or stuck: its loss
		_ = conn.SendJSON(wire.TypeExit, exit)
	}
	m.mu.Unlock()
	m.listener.Close()
	wait := m.hub.end(exit)
	if removed {
		// Who removes a container does not wait for its readers for ever.
		for _, cl := range m.hub.attached() {
			_ = cl.conn.SetWriteDeadline(time.Now().Add(drainTime)) // closed: it has left
		}
	}
	wait()
	m.execs.Wait()
}

// release gives back everything outside the container's directory. It works
// after a start that failed anywhere.
func (m *monitor) release() error {
	var errs []error
	if m.child != nil {
		m.child.Abandon() // its pidfd stays: an exec may be about to use it
	}
	m.mu.Lock()
	endpoints, names := m.endpoints, m.names
	m.endpoints, m.dropped, m.names = nil, endpoints, nil
	m.mu.Unlock()
	if names != nil {
		names.close() // its sockets would keep the namespace
	}
	for _, ep := range endpoints {
		errs = append(errs, m.r.Networks.Drop(context.Background(), ep, m.observe))
	}
	if m.cgroup != nil {
		errs = append(errs, m.cgroup.remove())
	}
	return errors.Join(errs...)
}

// linkGrace is the time that the kernel has to clear up a dead network
// namespace by itself: many at once, and cheaper than one link at a time.
const linkGrace = 100 * time.Millisecond

// deleteLinks takes away the veth pairs that are still there after linkGrace.
// It comes last: everybody was told, and nobody is left to hear of an error.
func (m *monitor) deleteLinks() {
	if len(m.dropped) == 0 {
		return
	}
	time.Sleep(linkGrace)
	for _, ep := range m.dropped {
		_ = m.r.Networks.DeleteLink(ep)
	}
}

// signal sends a signal to the init.
func (m *monitor) signal(number int) error { return m.child.Signal(unix.Signal(number)) }

// exitCode is the code that Docker shows for a process's end.
func exitCode(status unix.WaitStatus) int {
	if status.Signaled() {
		return exitSignalBase + int(status.Signal())
	}
	return status.ExitStatus()
}
