package host

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

var errGoexit = errors.New("the function ended its goroutine: t.Fatal must not be called inside a namespace, return an error")

// onThread runs f on a thread of its own and waits for it. The thread is
// thrown away afterwards, so f may leave it in any namespace. Processes that f
// starts and sockets that f opens stay where f was.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			// The first thread cannot be thrown away, and /proc/self describes
			// it. Occupy it while another thread does the work.
			done <- onThread(f)
			runtime.UnlockOSThread()
			return
		}
		// No unlock: ending a locked goroutine ends its thread.
		result := errGoexit
		defer func() { done <- result }()
		result = f()
	}()
	return <-done
}

// namespaces are the places a thread can enter. Nil members are left alone.
type namespaces struct {
	net, mnt, uts *os.File
}

// enter moves the calling thread. It must run inside onThread.
func (n namespaces) enter() error {
	// setns(2) refuses a mount namespace while the thread shares its working
	// directory and root with others.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unsharing file system attributes: %w", err)
	}
	for _, ns := range []struct {
		file *os.File
		kind int
	}{{n.net, unix.CLONE_NEWNET}, {n.uts, unix.CLONE_NEWUTS}, {n.mnt, unix.CLONE_NEWNS}} {
		if ns.file == nil {
			continue
		}
		if err := unix.Setns(int(ns.file.Fd()), ns.kind); err != nil {
			return fmt.Errorf("entering %s: %w", ns.file.Name(), err)
		}
	}
	return nil
}

// run calls f inside the namespaces.
func (n namespaces) run(f func() error) error {
	return onThread(func() error {
		if err := n.enter(); err != nil {
			return err
		}
		return f()
	})
}

func (n namespaces) close() error {
	var errs []error
	for _, f := range []*os.File{n.net, n.mnt, n.uts} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// unshare makes new namespaces of the kinds in flags for the calling thread.
func unshare(flags int) (namespaces, error) {
	var n namespaces
	if err := unix.Unshare(flags); err != nil {
		return n, fmt.Errorf("making namespaces: %w", err)
	}
	for _, ns := range []struct {
		file **os.File
		kind int
		name string
	}{{&n.net, unix.CLONE_NEWNET, "net"}, {&n.mnt, unix.CLONE_NEWNS, "mnt"}, {&n.uts, unix.CLONE_NEWUTS, "uts"}} {
		if flags&ns.kind == 0 {
			continue
		}
		f, err := os.Open("/proc/thread-self/ns/" + ns.name)
		if err != nil {
			return n, errors.Join(fmt.Errorf("keeping a new namespace: %w", err), n.close())
		}
		*ns.file = f
	}
	return n, nil
}
