package netns

import (
	"errors"
	"fmt"
	"os"
	goruntime "runtime"

	"github.com/vishvananda/netlink"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// self is the namespace of the calling thread. /proc/self would be that of the
// process's first thread, which may be another one.
const self = "/proc/thread-self/ns/net"

// Do runs fn on a new goroutine whose thread is in the namespace ns, and waits
// for it. Goroutines that fn starts are not in the namespace.
func Do(ns *os.File, fn func() error) error {
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread()
		err, home := visit(ns, fn)
		if home {
			goruntime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// visit runs fn in ns on this thread, and says whether the thread is back.
func visit(ns *os.File, fn func() error) (err error, home bool) {
	orig, err := os.Open(self)
	if err != nil {
		return fmt.Errorf("opening the present network namespace: %w", err), true
	}
	defer orig.Close()
	if err := set(ns); err != nil {
		return fmt.Errorf("entering network namespace %s: %w", ns.Name(), err), true
	}
	err = fn()
	if back := set(orig); back != nil {
		return errors.Join(err, fmt.Errorf("leaving network namespace %s: %w", ns.Name(), back)), false
	}
	return err, true
}

func set(ns *os.File) error { return vnetns.Set(vnetns.NsHandle(int(ns.Fd()))) }

// Open opens a netlink socket (NETLINK_ROUTE) in the namespace ns, after it ran
// prepare there. Prepare may be nil. The caller closes the handle.
func Open(ns *os.File, prepare func() error) (*netlink.Handle, error) {
	var h *netlink.Handle
	err := Do(ns, func() error {
		if prepare != nil {
			if err := prepare(); err != nil {
				return err
			}
		}
		var err error
		if h, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
			return fmt.Errorf("opening a netlink socket in %s: %w", ns.Name(), err)
		}
		return nil
	})
	if err != nil && h != nil {
		h.Close()
		h = nil
	}
	return h, err
}

// Current opens the namespace of the calling thread.
func Current() (*os.File, error) {
	f, err := os.Open(self)
	if err != nil {
		return nil, fmt.Errorf("opening the present network namespace: %w", err)
	}
	return f, nil
}

// New makes a network namespace and opens it. It lives as long as the file is
// open or a process is in it. The calling thread stays where it is.
func New() (*os.File, error) {
	var f *os.File
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with the goroutine, and so cannot
		// carry the new namespace back to the pool.
		goruntime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("making a network namespace: %w", err)
			return
		}
		var err error
		f, err = Current()
		done <- err
	}()
	err := <-done
	return f, err
}
