package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// systemPath is where commands are looked up after the host's own directory.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func (h *Host) binDir() string { return filepath.Join(h.Dir, "bin") }

// linkIptables fills the host's own directory of commands, which comes first
// in PATH, with the chosen iptables.
func (h *Host) linkIptables() error {
	backend := h.cfg.backend
	if backend == Native {
		backend = NFT
	}
	multi, err := lookPath("xtables-"+string(backend)+"-multi", systemPath)
	if err != nil {
		return fmt.Errorf("choosing iptables-%s: %w", h.cfg.backend, err)
	}
	for _, name := range []string{
		"iptables", "iptables-save", "iptables-restore",
		"ip6tables", "ip6tables-save", "ip6tables-restore",
	} {
		if err := os.Symlink(multi, filepath.Join(h.binDir(), name)); err != nil {
			return fmt.Errorf("choosing iptables-%s: %w", h.cfg.backend, err)
		}
	}
	return nil
}

// lookPath finds a command in a PATH of its own. exec.LookPath knows only the
// one of the test process.
func lookPath(name, path string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, name)
		if st, err := os.Stat(file); err == nil && !st.IsDir() && st.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("command %s is not installed (looked in %s)", name, path)
}

// environ is the whole environment of a command in the host.
func (h *Host) environ() []string {
	env := []string{
		"PATH=" + h.binDir() + ":" + systemPath,
		"HOME=/root", "LANG=C.UTF-8", "TERM=xterm", "USER=root",
		// Hosts must not wait for each other's legacy iptables.
		"XTABLES_LOCKFILE=" + filepath.Join(h.Dir, "xtables.lock"),
	}
	if h.cfg.backend == Native {
		env = append(env, "MINI_FIREWALL_DRIVER=nftables")
	}
	for _, name := range []string{"GOCOVERDIR", "TMPDIR", "GOTRACEBACK"} {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return append(env, h.cfg.env...)
}
