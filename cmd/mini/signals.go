package main

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// proxied are the signals that an attached command passes on to the process.
// Those that stop and continue a job stay with the shell that started mini.
func proxied() []os.Signal {
	var list []os.Signal
	for n := syscall.Signal(1); n <= 64; n++ {
		switch n {
		case unix.SIGKILL, unix.SIGSTOP: // cannot be caught
		case unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGCONT:
		case unix.SIGCHLD, unix.SIGPIPE, unix.SIGURG, unix.SIGWINCH: // about mini itself
		case unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP, unix.SIGPROF:
		case 32, 33, 34: // the C library's own
		default:
			list = append(list, n)
		}
	}
	return list
}

// catchSignals begins to collect signals, so that none is lost while the
// container starts. proxyTo hands them on.
func catchSignals() chan os.Signal {
	c := make(chan os.Signal, 128)
	signal.Notify(c, proxied()...)
	return c
}

// proxyTo hands on signals until stop is called.
func proxyTo(signals chan os.Signal, send func(syscall.Signal) error) (stop func()) {
	done := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				_ = send(s.(syscall.Signal)) // the process has ended: so will we
			case <-done:
				return
			}
		}
	}()
	return func() { signal.Stop(signals); close(done) }
}
