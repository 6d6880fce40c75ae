package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// isTerminal tells whether f, which may be nil, is a terminal.
func isTerminal(f *os.File) bool { return f != nil && term.IsTerminal(int(f.Fd())) }

// terminalSize gives the size of the terminal that w or in is, or zeros.
func terminalSize(s stdio) (rows, cols uint16) {
	out, _ := s.out.(*os.File)
	for _, f := range []*os.File{out, s.in} {
		if !isTerminal(f) {
			continue
		}
		if w, h, err := term.GetSize(int(f.Fd())); err == nil {
			return uint16(h), uint16(w)
		}
	}
	return 0, 0
}

// rawMode makes a terminal pass on every key. The function it gives puts the
// terminal back; it may be called twice.
func rawMode(f *os.File) (restore func(), err error) {
	old, err := term.MakeRaw(int(f.Fd()))
	if err != nil {
		return nil, fmt.Errorf("switching the terminal to raw mode: %w", err)
	}
	return func() { _ = term.Restore(int(f.Fd()), old) }, nil // a terminal that is gone needs no mode
}

// followSize calls resize with each new size of the terminal, until stop.
func followSize(s stdio, resize func(rows, cols uint16) error) (stop func()) {
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, unix.SIGWINCH)
	go func() {
		for range changes {
			if rows, cols := terminalSize(s); rows > 0 {
				_ = resize(rows, cols) // the process has ended: so will we
			}
		}
	}()
	return func() { signal.Stop(changes); close(changes) }
}

// checkInput refuses what Docker refuses: a terminal for the container whose
// keyboard is no terminal.
func checkInput(s stdio, stdin, tty bool) error {
	if stdin && tty && !isTerminal(s.in) {
		return &exitError{code: 1, text: "the input device is not a TTY"}
	}
	return nil
}

// noteWriter prints explanations on standard error. In raw mode the terminal
// does not begin a new line at the left by itself.
type noteWriter struct {
	w   io.Writer
	raw atomic.Bool
}

func (n *noteWriter) note(text string) {
	if n.raw.Load() {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	io.WriteString(n.w, text)
}
