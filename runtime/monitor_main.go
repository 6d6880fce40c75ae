package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/plan"
	"github.com/minirt/mini/runtime/wire"
)

// MonitorName is argv[0] of a monitor: the binary executes itself under this
// name, and main must then call [MonitorMain] before anything else.
const MonitorName = "mini-monitor"

// Descriptors that a monitor is born with.
const (
	monitorControlFD = 3 // the connection of the command that starts it
	monitorLifeFD    = 4 // the container's lock
	monitorExeFD     = 5 // the mount of the binary, see sealedSelf
)

// startRequest is what the starting command tells the monitor.
type startRequest struct {
	Options Options `json:"options"`
	ID      string  `json:"id"`
	Attach  *Attach `json:"attach,omitempty"`
	Explain bool    `json:"explain,omitempty"`
	Rows    uint16  `json:"rows,omitempty"`
	Cols    uint16  `json:"cols,omitempty"`
}

// MonitorMain is the main function of a monitor process. It returns the
// process's exit status, which nobody looks at: whoever cares has a connection.
func MonitorMain() int {
	// The init asks to die with its parent thread: that must be one that
	// lives as long as the process.
	goruntime.LockOSThread()
	// Executed by a descriptor, it would be called by that number.
	_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(unsafe.StringData(MonitorName+"\x00"))), 0, 0, 0)
	m, err := newMonitor()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mini-monitor:", err)
		return 1
	}
	m.run()
	return 0
}

// newMonitor takes over what the starting command handed down, and tells it when
// that fails.
func newMonitor() (m *monitor, err error) {
	conn, err := connOf(os.NewFile(monitorControlFD, "control"))
	if err != nil {
		return nil, err
	}
	m = &monitor{life: &life{file: os.NewFile(monitorLifeFD, "lock")}}
	unix.CloseOnExec(monitorLifeFD)
	exe := os.NewFile(monitorExeFD, "binary")
	err = errors.Join(setMount(exe, unix.MOUNT_ATTR_NOEXEC), exe.Close())
	if err == nil {
		m.req, err = readStartRequest(conn)
	}
	if err == nil {
		err = m.prepare(conn)
	}
	if err != nil {
		_ = conn.SendJSON(wire.TypeExit, wire.Exit{Code: ExitMini, Error: err.Error()})
		return nil, err
	}
	return m, nil
}

func readStartRequest(conn *wire.Conn) (start startRequest, err error) {
	var request wire.Request
	frame, err := conn.Recv()
	if err == nil {
		err = frame.Decode(&request)
	}
	if err == nil {
		err = json.Unmarshal(request.Body, &start)
	}
	if err != nil {
		err = fmt.Errorf("reading the start request: %w", err)
	}
	return start, err
}

// prepare makes of the request what the start works with.
func (m *monitor) prepare(conn *wire.Conn) (err error) {
	m.starter = newClient(conn, Attach{})
	if a := m.req.Attach; a != nil {
		m.starter = newClient(conn, *a)
		m.starter.ownsStdin = a.Stdin
	}
	m.req.Options.Notice, m.begun = m.audience.note, m.audience.join(conn)
	// An iptables that outlives a killed monitor keeps the container's lock, so
	// that nobody clears up before it has done what it was started for.
	m.req.Options.hold = func() []*os.File { return []*os.File{m.life.file} }
	if m.req.Explain {
		m.observe = plan.Explainer(conn.Writer(wire.TypeExplain))
	}
	m.r, err = Open(m.req.Options)
	return err
}
