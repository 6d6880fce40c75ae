package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/runtime/nsinit"
	"github.com/minirt/mini/runtime/wire"
)

// ExecConfig is a command to run in a running container.
type ExecConfig struct {
	Cmd        []string `json:"cmd"`
	Env        []string `json:"env,omitempty"` // K=V, above the container's
	WorkingDir string   `json:"working_dir,omitempty"`
	User       string   `json:"user,omitempty"`
	Tty        bool     `json:"tty,omitempty"`
	Stdin      bool     `json:"stdin,omitempty"`
	Detach     bool     `json:"detach,omitempty"`
	Rows       uint16   `json:"rows,omitempty"` // of the terminal, 0: unknown
	Cols       uint16   `json:"cols,omitempty"`
}

// Exec runs a command in a running container. The error is a [*StartError]
// when the command could not be executed. For a detached one, close the
// session at once.
func (c *Container) Exec(ctx context.Context, cfg ExecConfig) (*Session, error) {
	if len(cfg.Cmd) == 0 || cfg.Cmd[0] == "" {
		return nil, errorf(ErrInvalid, "no exec command specified")
	}
	conn, err := c.ask(opExec, cfg)
	if err != nil {
		return nil, err
	}
	return whileAnswering(c, conn, func() (*Session, error) { return awaitStarted(ctx, conn, nil) })
}

// exec runs one command for one client, from its request to its end.
func (m *monitor) exec(conn *wire.Conn, cfg ExecConfig) {
	child, h, err := m.startExec(cfg)
	if err != nil {
		code := ExitCannotExec // as Docker, for whatever keeps a command from running
		var se *StartError
		if errors.As(err, &se) && se.Code != ExitMini {
			code = se.Code
		}
		_ = conn.SendJSON(wire.TypeExit, wire.Exit{Code: code, Error: err.Error()})
		conn.Close()
		return
	}
	_ = conn.SendJSON(wire.TypeStarted, wire.Started{Pid: child.Pid}) // a client that is gone is no reason to stop
	if cfg.Detach {
		conn.Close()
	} else {
		cl := newClient(conn, Attach{Stdin: cfg.Stdin, Stdout: true, Stderr: true})
		cl.ownsStdin = cfg.Stdin
		h.attach(cl)
		go h.serve(cl, func(number int) error { return child.Signal(unix.Signal(number)) })
	}
	h.run()
	status, err := child.Wait()
	code := exitCode(status)
	if err != nil {
		code = exitNeverWaited
	}
	drained := h.drain()
	h.end(wire.Exit{Code: code})()
	if !drained {
		h.copying.Wait() // what it left in the background writes to nobody
	}
	h.close()
	child.Pidfd.Close()
}

// startExec starts a process in the container's namespaces.
func (m *monitor) startExec(cfg ExecConfig) (child *nsinit.Child, h *hub, err error) {
	pp := &processPlan{process: m.execProcess(cfg)}
	if err := m.setExecUser(pp.process); err != nil {
		return nil, nil, err
	}
	if !cfg.Tty {
		if h, err = newPipes(cfg.Stdin); err != nil {
			return nil, nil, err
		}
		pp.stdio = h.childFDs()
	}
	program, err := nsinit.New()
	if err == nil {
		defer program.Close()
		m.recordExec(program, pp)
		child, err = nsinit.Start(program, nsinit.Options{Cgroup: m.cgroup.dir})
	}
	if err == nil {
		h, err = m.finishExec(child, program, pp, h, cfg)
	}
	if err != nil {
		if h != nil {
			h.close()
		}
		return nil, nil, execError(pp.process, err)
	}
	return child, h, nil
}

// setExecUser looks the user up in the files of the container's init.
func (m *monitor) setExecUser(process *specs.Process) error {
	root, err := os.Open(fmt.Sprintf("/proc/%d/root", m.child.Pid))
	if err != nil {
		return fmt.Errorf("opening the container's root: %w", err)
	}
	defer root.Close()
	// While the init is not reaped the number is its own, now as a moment ago.
	if err := m.child.Signal(0); err != nil {
		return m.notRunning()
	}
	return setUser(process, root)
}

// recordExec records how the child gets into the container: join the
// namespaces, then fork into the PID namespace, where the container sees it.
func (m *monitor) recordExec(p *nsinit.Program, pp *processPlan) {
	namespaces := unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
		unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP
	hide(p)
	p.Call("join the container's namespaces", nil, unix.SYS_SETNS, m.child.FD(), namespaces)
	if pp.process.Terminal {
		p.CloseOthers()
	} else {
		pp.usePipes(p)
	}
	p.Fork()
	if pp.process.Terminal {
		openTerminal(p)
	}
	p.Pause()
}

// finishExec gives the child its terminal and limits, and lets it execute. On
// error the child is gone.
func (m *monitor) finishExec(child *nsinit.Child, p *nsinit.Program, pp *processPlan, h *hub, cfg ExecConfig) (*hub, error) {
	err := child.AwaitFork()
	if err == nil {
		err = child.AwaitPause()
	}
	if err == nil && pp.process.Terminal {
		if h, err = newTerminal(child); err == nil && cfg.Rows > 0 {
			err = h.resize(cfg.Rows, cfg.Cols)
		}
	}
	if err == nil {
		err = m.cgroup.join(child.Pid)
	}
	if err == nil {
		err = pp.record(p)
	}
	if err == nil {
		err = child.Resume()
	}
	if err == nil {
		err = child.AwaitExec()
	}
	if err != nil {
		child.Abandon()
		_ = child.Signal(unix.SIGKILL) // ESRCH: gone
		_, _ = child.Wait()
		child.Pidfd.Close()
	}
	return h, err
}

// execProcess is the container's process with another command.
func (m *monitor) execProcess(cfg ExecConfig) *specs.Process {
	env := slices.DeleteFunc(slices.Clone(m.spec.Process.Env), func(kv string) bool {
		return cfg.User != "" && len(kv) > 5 && kv[:5] == "HOME=" // the other user has another
	})
	if cfg.Tty {
		env = mergeEnv([]string{"TERM=xterm"}, env)
	}
	user := m.spec.Process.User
	if cfg.User != "" {
		user = specs.User{Username: cfg.User}
	}
	return &specs.Process{
		Terminal: cfg.Tty, User: user, Args: cfg.Cmd, Env: mergeEnv(env, cfg.Env),
		Cwd: orDefault(cfg.WorkingDir, m.spec.Process.Cwd), Capabilities: m.spec.Process.Capabilities,
		NoNewPrivileges: m.spec.Process.NoNewPrivileges, Rlimits: m.spec.Process.Rlimits,
	}
}
