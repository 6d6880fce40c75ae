package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// user is a process in a lab's namespace.
type user struct {
	pid   int
	name  string
	space string
}

// users finds the processes that are in one of the namespaces. The scan is of a moment: a process
// that starts meanwhile keeps its namespace, without a name.
func users(spaces []string) ([]user, error) {
	of := map[string]string{}
	for _, s := range spaces {
		var st unix.Stat_t
		if unix.Stat(filepath.Join(runDir, s), &st) == nil {
			of[fmt.Sprintf("net:[%d]", st.Ino)] = s
		}
	}
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("looking for processes: %w", err)
	}
	var out []user
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// Errors mean that the process has ended.
		ns, _ := os.Readlink(filepath.Join("/proc", p.Name(), "ns/net"))
		if space := of[ns]; space != "" {
			comm, _ := os.ReadFile(filepath.Join("/proc", p.Name(), "comm"))
			out = append(out, user{pid, strings.TrimSpace(string(comm)), space})
		}
	}
	return out, nil
}

// vacate ends the processes in a lab's namespaces, or refuses when there are any.
func (l *Labs) vacate(name string, spaces []string, force bool) error {
	var ours []string
	for _, s := range spaces {
		if l.isOurs(name, s) {
			ours = append(ours, s)
		}
	}
	found, err := users(ours)
	if err != nil || len(found) == 0 {
		return err
	}
	if !force {
		u := found[0]
		return fmt.Errorf("lab %s %w: process %d (%s) runs in %s: end it, or use --force", name, ErrInUse, u.pid, u.name, u.space)
	}
	var errs []error
	for _, u := range found {
		if err := endProcess(u.pid); err != nil {
			errs = append(errs, fmt.Errorf("ending process %d (%s) in %s: %w", u.pid, u.name, u.space, err))
		}
	}
	return errors.Join(errs...)
}

// endProcess kills a process and waits for its end, which the pidfd tells, see pidfd_open(2).
func endProcess(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	for limit := time.Now().Add(5 * time.Second); time.Now().Before(limit); {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000)
		if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return errors.New("it does not end")
}
