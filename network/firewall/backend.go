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
	path, err := exec.LookPath(t.path)
	if err != nil {
		return "", fmt.Errorf("finding the iptables program: %w", err)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
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
