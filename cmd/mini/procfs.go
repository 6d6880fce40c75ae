package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// userHz is the unit of times in /proc/PID/stat: 1/100 s on every architecture
// that Go runs Linux on, see sysconf(3) on _SC_CLK_TCK.
const userHz = 100

var errProcessGone = errors.New("process is gone")

// process is what top shows of one process: see proc_pid_stat(5).
type process struct {
	pid, ppid int
	uid       uint32
	tty       int
	cpu       time.Duration // user and system
	started   time.Duration // after boot
	command   string
}

func readProcess(pid int) (*process, error) {
	dir := fmt.Sprintf("/proc/%d", pid)
	stat, err := os.ReadFile(dir + "/stat")
	var info fs.FileInfo
	if err == nil {
		info, err = os.Stat(dir)
	}
	var cmdline []byte
	if err == nil {
		cmdline, err = os.ReadFile(dir + "/cmdline")
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return nil, errProcessGone
	}
	if err != nil {
		return nil, fmt.Errorf("reading about process %d: %w", pid, err)
	}
	p, err := parseStat(string(stat))
	if err != nil {
		return nil, fmt.Errorf("reading %s/stat: %w", dir, err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		p.uid = st.Uid
	}
	if words := bytes.TrimRight(cmdline, "\x00"); len(words) > 0 {
		p.command = string(bytes.ReplaceAll(words, []byte{0}, []byte{' '}))
	}
	return p, nil
}

// parseStat reads /proc/PID/stat. The name in it may hold spaces and brackets.
func parseStat(text string) (*process, error) {
	open, last := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || last < open {
		return nil, errors.New("no name in brackets")
	}
	fields := strings.Fields(text[last+1:])
	if len(fields) < 20 {
		return nil, errors.New("too few fields")
	}
	p := &process{command: "[" + text[open+1:last] + "]"}
	var utime, stime, start int
	for _, f := range []struct {
		text string
		to   *int
	}{
		{strings.TrimSpace(text[:open]), &p.pid}, {fields[1], &p.ppid}, {fields[4], &p.tty},
		{fields[11], &utime}, {fields[12], &stime}, {fields[19], &start},
	} {
		n, err := strconv.Atoi(f.text)
		if err != nil {
			return nil, fmt.Errorf("field %q is not a number", f.text)
		}
		*f.to = n
	}
	p.cpu = time.Duration(utime+stime) * time.Second / userHz
	p.started = time.Duration(start) * time.Second / userHz
	return p, nil
}

// readBootClock gives the time the host booted.
func readBootClock() (time.Time, error) {
	b, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return time.Time{}, fmt.Errorf("reading how long the host runs: %w", err)
	}
	first, _, _ := strings.Cut(string(b), " ")
	up, err := time.ParseDuration(first + "s")
	if err != nil {
		return time.Time{}, fmt.Errorf("reading /proc/uptime: %w", err)
	}
	return time.Now().Add(-up), nil
}

// columns gives the line that `ps -ef` prints.
func (p *process) columns(boot, now time.Time) []string {
	start := boot.Add(p.started)
	share := 0
	if age := now.Sub(start); age > 0 {
		share = int(100 * p.cpu / age)
	}
	total := int(p.cpu / time.Second)
	return []string{
		userName(p.uid), strconv.Itoa(p.pid), strconv.Itoa(p.ppid), strconv.Itoa(share), startText(start, now),
		ttyName(p.tty), fmt.Sprintf("%02d:%02d:%02d", total/3600, total/60%60, total%60), p.command,
	}
}

func startText(start, now time.Time) string {
	switch {
	case start.YearDay() == now.YearDay() && start.Year() == now.Year():
		return start.Format("15:04")
	case now.Sub(start) < 365*24*time.Hour:
		return start.Format("Jan02")
	}
	return start.Format("2006")
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil && len(u.Username) <= 8 {
		return u.Username
	}
	return id
}

// ttyName names a terminal by its device number, laid out as in proc_pid_stat(5).
func ttyName(nr int) string {
	major, minor := nr>>8&0xfff, nr&0xff|nr>>12&0xfff00
	switch {
	case major >= 136 && major <= 143:
		return fmt.Sprintf("pts/%d", minor+(major-136)<<20)
	case major == 4 && minor < 64:
		return fmt.Sprintf("tty%d", minor)
	case major == 4:
		return fmt.Sprintf("ttyS%d", minor-64)
	}
	return "?"
}
