package runtime

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/runtime/nsinit"
	"github.com/minirt/mini/runtime/wire"
)

// hub carries the standard streams of one process, the init or an exec,
// between the process, its log and the clients that are attached.
type hub struct {
	child [3]*os.File  // the process's ends; closed once it runs
	stdin *os.File     // the monitor's end, nil without stdin
	out   [2]*os.File  // the monitor's ends of stdout and stderr; with a tty [0] is the master
	tty   bool         // a terminal, not pipes
	log   [2]io.Writer // nil without a log

	copying sync.WaitGroup

	mu      sync.Mutex
	clients map[*client]struct{}
	ended   bool
}

// newPipes makes a hub whose process reads and writes pipes.
func newPipes(stdin bool) (*hub, error) {
	h := &hub{clients: map[*client]struct{}{}}
	var err error
	if stdin {
		h.child[0], h.stdin, err = os.Pipe()
	}
	for i := range h.out {
		if err == nil {
			h.out[i], h.child[i+1], err = os.Pipe()
		}
	}
	if err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// newTerminal makes a hub around the terminal that a child has opened, see
// [openTerminal].
func newTerminal(child *nsinit.Child) (*hub, error) {
	master, err := child.File(masterFD)
	if err == nil {
		err = checkTerminal(master)
	}
	if err != nil {
		return nil, fmt.Errorf("taking the terminal: %w", err)
	}
	return &hub{tty: true, stdin: master, out: [2]*os.File{master}, clients: map[*client]struct{}{}}, nil
}

// checkTerminal makes sure that what the container had at /dev/pts/ptmx is a
// terminal: the multiplexer, character device 5:2, of a devpts.
func checkTerminal(master *os.File) error {
	raw, err := master.SyscallConn()
	if err != nil {
		return err
	}
	var st unix.Stat_t
	var fs unix.Statfs_t
	var statErr error
	err = raw.Control(func(fd uintptr) {
		statErr = errors.Join(unix.Fstat(int(fd), &st), unix.Fstatfs(int(fd), &fs))
	})
	if err := errors.Join(err, statErr); err != nil {
		return err
	}
	if st.Rdev != unix.Mkdev(5, 2) || fs.Type != unix.DEVPTS_SUPER_MAGIC {
		return errors.New("/dev/pts/ptmx in the container is no terminal")
	}
	return nil
}

// childFDs gives the numbers of the process's ends, -1 for one without.
func (h *hub) childFDs() (fds [3]int) {
	for i, f := range h.child {
		fds[i] = -1
		if f != nil {
			fds[i] = int(f.Fd())
		}
	}
	return fds
}

// run starts copying output. It is called once the process runs: the process's
// ends are closed, so that end of file means what it says.
func (h *hub) run() {
	h.closeChild()
	for i, f := range h.out {
		if f == nil {
			continue
		}
		h.copying.Go(func() { h.copyOut(i, f) })
	}
}

func (h *hub) closeChild() {
	for i, f := range h.child {
		if f != nil {
			f.Close()
			h.child[i] = nil
		}
	}
}

func (h *hub) copyOut(stream int, from *os.File) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			h.deliver(stream, buf[:n])
		}
		if err != nil {
			// EIO on a master says that the last slave was closed. Whatever
			// else it is, there is nothing more to read.
			return
		}
	}
}

// deliver writes to the log and queues for every client that wants the stream.
func (h *hub) deliver(stream int, b []byte) {
	if h.log[stream] != nil {
		// A full disk must not stop the container.
		_, _ = h.log[stream].Write(b)
	}
	kind := wire.TypeStdout
	if stream == 1 {
		kind = wire.TypeStderr
	}
	for _, cl := range h.attached() {
		if stream == 0 && cl.stdout || stream == 1 && cl.stderr {
			cl.push(kind, b)
		}
	}
}

// attach adds a client, unless the process has ended.
func (h *hub) attach(cl *client) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return false
	}
	h.clients[cl] = struct{}{}
	go cl.send()
	return true
}

// attached gives the clients of this moment.
func (h *hub) attached() []*client {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.clients))
}

// serve handles what a client sends until it leaves.
func (h *hub) serve(cl *client, signal func(int) error) {
	defer h.detach(cl)
	for {
		f, err := cl.conn.Recv()
		if err != nil {
			return
		}
		switch f.Type {
		case wire.TypeStdin:
			if cl.stdin && h.stdin != nil {
				// EPIPE: the process closed its end. Its business.
				_, _ = h.stdin.Write(f.Payload)
			}
		case wire.TypeStdinEOF:
			h.endInput(cl)
		case wire.TypeResize:
			if rows, cols, err := f.Size(); err == nil && h.tty {
				_ = h.resize(rows, cols) // the process may be gone already
			}
		case wire.TypeSignal:
			if n, err := f.Signal(); err == nil {
				_ = signal(n) // likewise
			}
		}
	}
}

// detach forgets a client that has gone. If the process read from it, that was
// the end of its input.
func (h *hub) detach(cl *client) {
	h.mu.Lock()
	delete(h.clients, cl)
	h.mu.Unlock()
	cl.leave()
	h.endInput(cl)
}

// endInput closes the process's standard input on behalf of the client that
// owns it. A terminal has no end of input of this kind.
func (h *hub) endInput(cl *client) {
	if cl.ownsStdin && h.stdin != nil && !h.tty {
		h.stdin.Close()
	}
}

func (h *hub) resize(rows, cols uint16) error {
	raw, err := h.out[0].SyscallConn()
	if err != nil {
		return err
	}
	var ioctlErr error
	err = raw.Control(func(fd uintptr) {
		ioctlErr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
	})
	return errors.Join(err, ioctlErr)
}

// drainTime is how long output is waited for after a process has ended: what
// is in its pipes is read at once, but another process may hold them open.
const drainTime = time.Second

// drain waits until the output is read, for a process that has ended. False
// says that somebody else may still write.
func (h *hub) drain() bool {
	for _, cl := range h.attached() {
		cl.hurry()
	}
	read := make(chan struct{})
	go func() { h.copying.Wait(); close(read) }()
	select {
	case <-read:
		return true
	case <-time.After(drainTime):
		return false
	}
}

// end sends the last frame to every client and takes no more. The returned
// function waits until they have got it, or are gone.
func (h *hub) end(exit wire.Exit) (wait func()) {
	h.mu.Lock()
	h.ended = true
	clients := slices.Collect(maps.Keys(h.clients))
	h.mu.Unlock()
	for _, cl := range clients {
		cl.finish(exit)
	}
	return func() {
		for _, cl := range clients {
			<-cl.done
		}
	}
}

// close frees all descriptors.
func (h *hub) close() {
	h.closeChild()
	for _, f := range []*os.File{h.stdin, h.out[0], h.out[1]} {
		if f != nil {
			f.Close()
		}
	}
}
