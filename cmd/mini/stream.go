package main

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/minirt/mini/runtime"
)

// attachment is a person's connection to a process in a container.
type attachment struct {
	stdio
	tty      bool
	stdin    bool
	keys     []byte         // that detach; nil: none do
	proxy    bool           // signals are passed on
	signals  chan os.Signal // those that came since begin
	notes    *noteWriter
	detached atomic.Bool
}

// newAttachment checks what can be checked before anything is started.
func (c *call) newAttachment(tty, stdin, sigProxy bool) (*attachment, error) {
	if err := checkInput(c.stdio, stdin, tty); err != nil {
		return nil, err
	}
	keys, err := parseDetachKeys(c.str("detach-keys"))
	if err != nil {
		return nil, err
	}
	a := &attachment{stdio: c.stdio, tty: tty, stdin: stdin, proxy: sigProxy && !tty,
		keys: keys, notes: &noteWriter{w: c.err}}
	return a, nil
}

// begin collects signals from now on: just before the process starts.
func (a *attachment) begin() {
	if a.proxy {
		a.signals = catchSignals()
	}
}

func (a *attachment) streams() *runtime.Attach {
	return &runtime.Attach{Stdin: a.stdin, Stdout: true, Stderr: true}
}

// stream copies until the process ends or the detach keys are typed, and gives
// the exit code. The terminal is back in its old mode however this ends.
func (a *attachment) stream(s *runtime.Session) (code int, err error) {
	if a.tty && a.stdin {
		restore, err := rawMode(a.in)
		if err != nil {
			return runtime.ExitMini, errors.Join(err, s.Close())
		}
		defer func() { a.notes.raw.Store(false); restore() }()
		a.notes.raw.Store(true)
	}
	if a.tty {
		if rows, cols := terminalSize(a.stdio); rows > 0 {
			_ = s.Resize(rows, cols) // it may have ended already
		}
		defer followSize(a.stdio, s.Resize)()
	}
	if a.signals != nil {
		defer proxyTo(a.signals, func(sig syscall.Signal) error { return s.Signal(sig) })()
	}
	code, err = s.Stream(runtime.Streams{In: a.input(s), Out: a.out, Err: a.err})
	if a.detached.Load() {
		return 0, nil
	}
	return code, err
}

// input is where the process's input comes from, or nil.
func (a *attachment) input(s *runtime.Session) io.Reader {
	switch {
	case !a.stdin:
		return nil
	case a.tty:
		return &detachReader{escapeReader{in: a.in, keys: a.keys}, func() {
			a.detached.Store(true)
			s.Close()
		}}
	}
	return a.in
}

// detachReader calls detach when the keys were typed, and then blocks: an end
// of input would reach the process.
type detachReader struct {
	escapeReader
	detach func()
}

func (r *detachReader) Read(p []byte) (int, error) {
	n, err := r.escapeReader.Read(p)
	if errors.Is(err, errDetached) {
		r.detach()
		select {}
	}
	return n, err
}
