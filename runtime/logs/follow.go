package logs

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// How long a change may go unnoticed where inotify(7) does not tell: network
// file systems and files behind a symbolic link; and when there is no watch at
// all, because the directory is missing or the user's instances are used up.
const (
	slowLook = time.Second
	fastLook = 100 * time.Millisecond
)

// watch waits for changes of a file.
type watch struct {
	dir    string
	f      *os.File // inotify, or nil
	on     bool     // the directory is watched
	events chan struct{}
	ended  chan struct{}
	timer  *time.Timer
}

// newWatch watches the file's directory, so that the file's creation is seen
// too. It never fails: without a watch, wait looks often.
func newWatch(path string) *watch {
	w := &watch{dir: filepath.Dir(path), events: make(chan struct{}, 1), ended: make(chan struct{})}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return w
	}
	w.f = os.NewFile(uintptr(fd), "inotify")
	w.add()
	go w.listen()
	return w
}

func (w *watch) add() {
	if w.f == nil || w.on {
		return
	}
	rc, err := w.f.SyscallConn()
	if err != nil {
		return
	}
	err = rc.Control(func(fd uintptr) {
		_, aerr := unix.InotifyAddWatch(int(fd), w.dir, unix.IN_MODIFY|unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_ONLYDIR)
		w.on = aerr == nil
	})
	w.on = w.on && err == nil
}

// listen turns any number of events into one token. What happened is of no
// interest: the reader looks at the file.
func (w *watch) listen() {
	defer close(w.ended)
	var buf [4 << 10]byte
	for {
		if _, err := w.f.Read(buf[:]); err != nil {
			return
		}
		select {
		case w.events <- struct{}{}:
		default:
		}
	}
}

// wait returns when the file may have changed, when done is closed, when past
// fires, or after a bounded time. Its error is ctx's.
func (w *watch) wait(ctx context.Context, done <-chan struct{}, past <-chan time.Time) error {
	d := slowLook
	if !w.on {
		d = fastLook
		w.add() // the directory may exist by now
	}
	look := time.NewTimer(d)
	defer look.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-w.events:
	case <-done:
	case <-past:
	case <-look.C:
	}
	return nil
}

// after fires at t; never when t is zero.
func (w *watch) after(t time.Time) <-chan time.Time {
	if t.IsZero() {
		return nil
	}
	w.timer = time.NewTimer(time.Until(t))
	return w.timer.C
}

func (w *watch) close() {
	if w.timer != nil {
		w.timer.Stop()
	}
	if w.f != nil {
		w.f.Close()
		<-w.ended
	}
}
