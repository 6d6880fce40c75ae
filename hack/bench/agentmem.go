package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Memory is what a group of processes takes.
type Memory struct {
	PSS       float64 // proportional set size, in bytes
	Processes int
}

// Memory adds up the processes in the host whose program, or argument 0, has
// one of the names.
func (a *Agent) Memory(programs []string, m *Memory) error {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return fmt.Errorf("listing processes: %w", err)
	}
	for _, dir := range dirs {
		if !isOne(dir, programs) {
			continue
		}
		pss, err := readPSS(filepath.Join(dir, "smaps_rollup"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // ended meanwhile
		}
		if err != nil {
			return err
		}
		m.PSS += pss
		m.Processes++
	}
	return nil
}

// isOne looks at both names of a process: the file may be out of sight, as with a program
// started from a mount of its own.
func isOne(dir string, programs []string) bool {
	exe, err := os.Readlink(filepath.Join(dir, "exe"))
	if err != nil {
		return false // ended, or a kernel thread
	}
	args, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil {
		return false
	}
	arg0, _, _ := strings.Cut(string(args), "\x00")
	return slices.Contains(programs, filepath.Base(strings.TrimSuffix(exe, " (deleted)"))) ||
		slices.Contains(programs, filepath.Base(arg0))
}

func readPSS(file string) (float64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("reading the memory of a process: %w", err)
	}
	return parsePSS(text)
}

// parsePSS finds the line "Pss: N kB" of smaps_rollup, see proc_pid_smaps(5), and returns bytes.
func parsePSS(text []byte) (float64, error) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) == 3 && f[0] == "Pss:" {
			kb, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				return 0, fmt.Errorf("reading %q: %w", lines.Text(), err)
			}
			return kb * 1024, nil
		}
	}
	return 0, errors.New("no line Pss in smaps_rollup")
}
