package wire

import "golang.org/x/sys/unix"

// Gone tells whether the other end has closed the connection, also while frames
// of it have not been received yet. It does not wait. What cannot be asked is
// taken to be there.
func (c *Conn) Gone() bool {
	if c.unix == nil {
		return false
	}
	raw, err := c.unix.SyscallConn()
	if err != nil {
		return true // closed at this end
	}
	var ready int16
	err = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		if n, err := unix.Poll(fds, 0); err == nil && n > 0 {
			ready = fds[0].Revents
		}
	})
	return err != nil || ready&(unix.POLLHUP|unix.POLLRDHUP) != 0
}
