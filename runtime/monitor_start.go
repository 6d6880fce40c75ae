package runtime

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/runtime/logs"
	"github.com/minirt/mini/runtime/nsinit"
	"github.com/minirt/mini/runtime/wire"
)

// start brings the container up to its execve. Whatever it got done before an
// error, release gives back.
func (m *monitor) start() error {
	var err error
	if m.c, err = m.r.load(m.req.ID); err != nil {
		m.c = &Container{r: m.r, Config: Config{ID: m.req.ID}}
		return err
	}
	m.before = m.c.State
	m.spec = BuildSpec(&m.c.Config, m.c.Dir())
	if m.listener, err = wire.Listen(m.r.lifeDir(m.c.Config.ID), socketName); err != nil {
		return err
	}
	if err := m.reserve(); err != nil {
		return err
	}
	if err := m.writeEtc(); err != nil {
		return err
	}
	if m.cgroup, err = makeCgroup(m.spec.Linux.CgroupsPath, m.spec.Linux.Resources); err != nil {
		return err
	}
	return m.launch()
}

// launch clones the init, builds its network while it mounts, and lets it go.
func (m *monitor) launch() error {
	program, err := nsinit.New()
	if err != nil {
		return err
	}
	defer program.Close()
	ip, closeSources, err := m.initPlan()
	if err != nil {
		return err
	}
	defer closeSources()
	ip.limitsFirst = m.cgroup.joinsLater()
	ip.firstHalf(program)
	if !m.spec.Process.Terminal {
		// The child has the descriptors that are open when it is cloned.
		if m.hub, err = newPipes(m.c.Config.OpenStdin); err != nil {
			return err
		}
	}
	if m.child, err = nsinit.Start(program, nsinit.Options{Namespaces: cloneFlags(m.spec), Cgroup: m.cgroup.dir}); err != nil {
		return err
	}
	if err := m.furnish(); err != nil {
		return err
	}
	return m.execute(program)
}

// furnish gives the init its network and its limits. The first write to a
// cgroup.procs takes 11 ms, so the two go side by side.
func (m *monitor) furnish() error {
	limited := make(chan error, 1)
	go func() { limited <- m.limit() }()
	err := errors.Join(m.recordStart(), m.connect(), <-limited)
	if err != nil {
		return m.cause(err)
	}
	return m.child.AwaitPause()
}

// cause gives the init's own error when there is one: what else fails then
// fails because the init is gone. One that is there may wait for us, and is
// ended: it has nothing to say, and no further use.
func (m *monitor) cause(err error) error {
	var ce *nsinit.CallError
	if errors.As(err, &ce) {
		return ce
	}
	_ = m.signal(int(unix.SIGKILL)) // ESRCH: it ended by itself
	if own := m.child.AwaitPause(); errors.As(own, &ce) {
		return own
	}
	return err
}

// limit puts the init into its v1 cgroups, where it waits for that.
func (m *monitor) limit() error {
	if !m.cgroup.joinsLater() {
		return nil
	}
	if err := m.child.AwaitPause(); err != nil {
		return err
	}
	if err := m.cgroup.limit(m.child.Pid, m.spec.Linux.Resources); err != nil {
		return err
	}
	return m.child.Resume()
}

// execute records the second half of the program, now that the container's
// files can be read, and waits for execve.
func (m *monitor) execute(program *nsinit.Program) error {
	root, err := os.Open(fmt.Sprintf("/proc/%d/root", m.child.Pid))
	if err != nil {
		return fmt.Errorf("opening the container's root: %w", err)
	}
	defer root.Close()
	if err := setUser(m.spec.Process, root); err != nil {
		return err
	}
	pp := &processPlan{
		process: m.spec.Process, init: true, readonlyRoot: m.spec.Root.Readonly, reaper: m.c.Config.Init,
	}
	if m.hub == nil {
		if m.hub, err = newTerminal(m.child); err != nil {
			return err
		}
	} else {
		pp.stdio = m.hub.childFDs()
		pp.usePipes(program)
	}
	if err := m.openLog(); err != nil {
		return err
	}
	if m.hub.tty && m.req.Rows > 0 {
		if err := m.hub.resize(m.req.Rows, m.req.Cols); err != nil {
			return fmt.Errorf("setting the terminal's size: %w", err)
		}
	}
	if err := pp.record(program); err != nil {
		return err
	}
	if err := m.child.Resume(); err != nil {
		return err
	}
	if err := m.child.AwaitExec(); err != nil {
		return execError(m.spec.Process, err)
	}
	m.announce()
	return nil
}

// announce tells the starting command that the container runs, and begins to
// copy its output. That the command is gone by now changes nothing.
func (m *monitor) announce() {
	m.begun()
	_ = m.starter.conn.SendJSON(wire.TypeStarted, wire.Started{Pid: m.child.Pid})
	if m.req.Attach == nil {
		m.starter.conn.Close()
	} else {
		m.hub.attach(m.starter)
		go m.hub.serve(m.starter, m.signal)
	}
	m.hub.run()
}

func (m *monitor) openLog() error {
	w, err := logs.OpenWriter(m.c.LogPath())
	if err != nil {
		return err
	}
	m.logs = w
	m.hub.log[0], m.hub.log[1] = w.Stream("stdout"), w.Stream("stderr")
	return nil
}

// execError turns the failure of the init into Docker's words and exit code.
func execError(process *specs.Process, err error) error {
	var ce *nsinit.CallError
	if !errors.As(err, &ce) || !ce.Exec {
		return err
	}
	name := process.Args[0]
	switch ce.Errno {
	case unix.ENOENT, unix.ENOTDIR:
		if strings.Contains(name, "/") {
			return &StartError{Code: ExitNotFound, Err: fmt.Errorf("exec: %q: stat %s: %w", name, name, ce.Errno)}
		}
		return &StartError{Code: ExitNotFound, Err: fmt.Errorf("exec: %q: executable file not found in $PATH", name)}
	}
	return &StartError{Code: ExitCannotExec, Err: fmt.Errorf("exec: %q: %w", name, ce.Errno)}
}

// setUser looks the user up in the container's own files.
func setUser(process *specs.Process, root *os.File) error {
	passwd, closePasswd := openOptional(root, "/etc/passwd")
	defer closePasswd()
	group, closeGroup := openOptional(root, "/etc/group")
	defer closeGroup()
	u, err := lookupUser(passwd, group, process.User.Username)
	if err != nil {
		return err
	}
	process.User.UID, process.User.GID = uint32(u.UID), uint32(u.GID)
	process.User.AdditionalGids = nil
	for _, g := range u.Groups {
		process.User.AdditionalGids = append(process.User.AdditionalGids, uint32(g))
	}
	process.Env = mergeEnv([]string{"HOME=" + u.Home}, process.Env)
	return nil
}

// recordStart writes who the init is before it may do anything, so that a
// later command can end it if this monitor dies.
func (m *monitor) recordStart() error {
	ticks, err := startTicks(m.child.Pid)
	if err != nil {
		return err
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	m.c.State = State{
		Status: Running, Pid: m.child.Pid, StartTicks: ticks, Boot: boot, MonitorPid: os.Getpid(),
		StartedAt: time.Now().UTC(),
	}
	return m.c.saveState()
}

// bootID tells this boot of the host from others (random(4)): start times
// begin anew with each.
func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("reading the boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// startTicks is when a process started, in clock ticks since boot: field 22 of
// /proc/PID/stat. With the pid it names a process for good.
func startTicks(pid int) (uint64, error) {
	text, err := statField(pid, 22)
	if err != nil {
		return 0, fmt.Errorf("reading when process %d started: %w", pid, err)
	}
	return strconv.ParseUint(text, 10, 64)
}

// isStopped tells whether a signal has stopped a process: field 3.
func isStopped(pid int) bool {
	state, err := statField(pid, 3)
	return err == nil && (state == "T" || state == "t")
}

// statField gives one field of /proc/PID/stat, see proc_pid_stat(5). The second
// one, which has the program's name, cannot be had.
func statField(pid, number int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The name stands in parentheses and may hold anything.
	text := string(b)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) <= number-3 {
		return "", fmt.Errorf("%q has too few fields", text)
	}
	return fields[number-3], nil
}
