package host

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

// iptablesRules lists the rules of both backends and both families.
func iptablesRules(env []string) ([]string, error) {
	var lines []string
	for _, backend := range []Backend{NFT, Legacy} {
		multi, err := lookPath("xtables-"+string(backend)+"-multi", systemPath)
		if err != nil {
			continue // what is not installed cannot have been used
		}
		for _, save := range []string{"iptables-save", "ip6tables-save"} {
			out, err := output(env, multi, save)
			if err != nil {
				return nil, err
			}
			family := strings.TrimSuffix(save, "-save")
			for _, line := range parseSave(out) {
				lines = append(lines, fmt.Sprintf("%s %s %s", backend, family, line))
			}
		}
	}
	return lines, nil
}

// output runs a program in the calling thread's namespaces.
func output(env []string, name string, args ...string) (string, error) {
	path, err := lookPath(name, systemPath)
	if err != nil {
		return "", err
	}
	cmd := exec.Command(path, args...)
	cmd.Env = env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("running %s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

var counters = regexp.MustCompile(` ?\[\d+:\d+\]`)

// parseSave turns the output of iptables-save into "table: rule" lines. It
// leaves out counters, and the built-in chains as long as their policy is
// ACCEPT: an empty table appears when somebody merely looks at it. Rules of a
// chain carry their position, for their order counts.
func parseSave(text string) []string {
	var lines []string
	table, position := "", map[string]int{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(counters.ReplaceAllString(strings.TrimSpace(line), ""))
		switch {
		case strings.HasPrefix(line, "*"):
			table, position = line[1:], map[string]int{}
		case strings.HasPrefix(line, ":"):
			name, policy, _ := strings.Cut(line[1:], " ")
			if policy != "ACCEPT" {
				lines = append(lines, fmt.Sprintf("%s: chain %s policy %s", table, name, policy))
			}
		case strings.HasPrefix(line, "-A "):
			chain, _, _ := strings.Cut(line[len("-A "):], " ")
			position[chain]++
			lines = append(lines, fmt.Sprintf("%s: %s (rule %d)", table, line, position[chain]))
		}
	}
	return lines
}

// nftRules lists the nftables of the calling thread's namespace.
func nftRules(env []string) ([]string, error) {
	if _, err := lookPath("nft", systemPath); err != nil {
		return nil, nil // iptables-save shows the rules that iptables made
	}
	out, err := output(env, "nft", "--stateless", "list", "ruleset")
	if err != nil {
		return nil, err
	}
	return parseNFT(out), nil
}

// iptablesTable is a table that iptables-nft makes on first use and keeps.
var iptablesTable = regexp.MustCompile(`^table ip6? (nat|filter|mangle|raw|security)$`)

// baseChain is the head of a chain without effect: it accepts what no rule
// decides.
var baseChain = regexp.MustCompile(`^type \w+ hook \w+ priority .*; policy accept;$`)

// parseNFT turns the output of nft list ruleset into "table chain: line"
// lines. It leaves out the empty tables and base chains that iptables-nft
// makes on first use.
func parseNFT(text string) []string {
	var lines, nest []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case line == "}":
			if len(nest) > 0 {
				nest = nest[:len(nest)-1]
			}
		case strings.HasSuffix(line, " {"):
			head := strings.TrimSuffix(line, " {")
			nest = append(nest, head)
			if !quiet(nest) {
				lines = append(lines, strings.Join(nest, " ")+": exists")
			}
		default:
			if len(nest) > 0 && iptablesTable.MatchString(nest[0]) && baseChain.MatchString(line) {
				continue
			}
			lines = append(lines, strings.Join(nest, " ")+": "+line)
		}
	}
	return lines
}

// quiet tells whether a table or chain may appear without being a leak.
func quiet(nest []string) bool {
	if !iptablesTable.MatchString(nest[0]) {
		return false
	}
	if len(nest) == 1 {
		return true
	}
	switch strings.TrimPrefix(nest[len(nest)-1], "chain ") {
	case "PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING":
		return true
	}
	return false
}
