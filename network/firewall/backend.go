package firewall

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// Backend is where an iptables program keeps its rules.
type Backend string

// The two back ends, by the names that iptables --version gives them.
const (
	NFT    Backend = "nf_tables"
	Legacy Backend = "legacy"
)

// Backend tells the program's back end by the name of the file that the links
// end at: xtables-nft-multi or xtables-legacy-multi. Under another name the program
// is asked for its version: "iptables v1.8.9 (nf_tables)".
func (t *Tool) Backend() (Backend, error) {
	path, err := t.program(false)
	if err != nil {
		return "", err
	}
	return backendOf(path)
}

func backendOf(path string) (Backend, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("finding the iptables program: %w", err)
	}
	switch name := filepath.Base(path); {
	case strings.Contains(name, "nft"):
		return NFT, nil
	case strings.Contains(name, "legacy"):
		return Legacy, nil
	}
	text, err := exec.Command(path, "--version").Output()
	if err != nil {
		return "", &CommandError{Args: []string{path, "--version"}, Err: err}
	}
	for _, b := range []Backend{NFT, Legacy} {
		if strings.Contains(string(text), "("+string(b)+")") {
			return b, nil
		}
	}
	return "", nil
}

// program finds the program of a family. That of IPv6 is looked for when it is
// needed for the first time.
func (t *Tool) program(f family) (string, error) {
	path, err := exec.LookPath(t.path)
	if err != nil {
		return "", fmt.Errorf("finding the iptables program: %w", err)
	}
	if !f {
		return path, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.path6 == "" {
		t.path6, err = find6(path)
	}
	return t.path6, err
}

// find6 finds ip6tables in the directory of iptables. Both must be of one back
// end: where they are not, because somebody chose the alternative of one only, the
// program that is named after the back end is taken.
func find6(path string) (string, error) {
	dir, base := filepath.Split(path)
	name := strings.Replace(base, "iptables", "ip6tables", 1)
	if name == base {
		return "", fmt.Errorf("finding the program for IPv6: the name of %s does not contain iptables, so there is none beside it whose name contains ip6tables", path)
	}
	b, err := backendOf(path)
	if err != nil {
		return "", err
	}
	suffix := map[Backend]string{NFT: "-nft", Legacy: "-legacy"}[b]
	for _, candidate := range []string{name, "ip6tables" + suffix} {
		candidate = filepath.Join(dir, candidate)
		if _, err := exec.LookPath(candidate); err != nil {
			continue
		}
		if b6, err := backendOf(candidate); err != nil || b6 == b {
			return candidate, err
		}
	}
	return "", fmt.Errorf("finding the program for IPv6: neither %s%s nor %sip6tables%s exists and is of the back end of %s: networks with IPv6 need it", dir, name, dir, suffix, path)
}

// companion finds a program beside the family's own, so that all are of one back
// end: iptables-save, iptables-restore.
func (t *Tool) companion(f family, suffix string) (string, error) {
	path, err := t.program(f)
	if err != nil {
		return "", err
	}
	beside := path + suffix
	if _, err := exec.LookPath(beside); err != nil {
		return "", fmt.Errorf("finding %s%s: %w", f.program(), suffix, err)
	}
	return beside, nil
}
