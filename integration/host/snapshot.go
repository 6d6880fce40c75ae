package host

import (
	"fmt"
	"slices"
	"strings"
)

// Sections of a picture, for [Allow].
const (
	SecLinks     = "link"            // links: name, type, MTU, state, master, alias
	SecAddrs     = "address"         // addresses of links
	SecRoutes    = "route"           // routes of all tables
	SecPolicy    = "policy rule"     // ip rule
	SecNeigh     = "neighbour"       // neighbours set by hand
	SecSysctl    = "sysctl"          // settings of the network
	SecRules     = "iptables rule"   // chains and rules: "backend family table: line"
	SecNFT       = "nftables"        // nft list ruleset: "table chain: line"
	SecMounts    = "mount"           // mounts in the host
	SecMachine   = "machine's mount" // mounts outside of the host that show its directory
	SecCgroups   = "cgroup"          // cgroups in the host's part of the hierarchies
	SecProcesses = "process"         // processes of the host
	SecState     = "state file"      // files below --state
	SecRoot      = "root file"       // files below --root, two levels deep
	SecRun       = "run file"        // files below the host's /run, /run/netns for instance
	SecTmp       = "tmp file"        // files below the host's /tmp and /var/tmp
)

// Snapshot is a picture of a host: the lines of each section.
type Snapshot map[string][]string

// collector makes the lines of one section, called in the place it describes.
type collector struct {
	section string
	collect func() ([]string, error)
}

// Snapshot takes a picture of the host.
func (h *Host) Snapshot() (Snapshot, error) {
	s := Snapshot{}
	collectors := append(networkCollectors(h.environ()),
		collector{SecMounts, func() ([]string, error) { return mounts("") }},
		collector{SecRun, runFiles},
		collector{SecTmp, h.tmpFiles},
	)
	if err := h.InHost(func() error { return s.fill(collectors) }); err != nil {
		return nil, err
	}
	return s, s.fill([]collector{
		{SecMachine, func() ([]string, error) { return mounts(h.Dir) }},
		{SecCgroups, h.cgroupLines},
		{SecProcesses, h.processLines},
		{SecState, func() ([]string, error) { return files(h.State, 9) }},
		{SecRoot, func() ([]string, error) { return files(h.Root, 2) }},
	})
}

// Machine takes a picture of the machine itself, to prove at the end of all
// tests that none has touched it. It needs root.
func Machine() (Snapshot, error) {
	s := Snapshot{}
	err := s.fill(append(networkCollectors(nil),
		collector{SecMounts, func() ([]string, error) { return mounts("") }},
		collector{SecRun, machineFiles},
	))
	return s, err
}

func (s Snapshot) fill(collectors []collector) error {
	for _, c := range collectors {
		lines, err := c.collect()
		if err != nil {
			return fmt.Errorf("listing each %s: %w", c.section, err)
		}
		slices.Sort(lines)
		s[c.section] = lines
	}
	return nil
}

// Change is one line that only one of two pictures has.
type Change struct {
	Section string
	Line    string
	Added   bool // it is in the later picture
}

func (c Change) String() string {
	sign := '-'
	if c.Added {
		sign = '+'
	}
	return fmt.Sprintf("%c %s: %s", sign, c.Section, c.Line)
}

// Changes are the differences between two pictures, sorted by section.
type Changes []Change

// String has one line for each change.
func (cs Changes) String() string {
	var b strings.Builder
	for _, c := range cs {
		fmt.Fprintf(&b, "  %s\n", c)
	}
	return b.String()
}

// Diff lists what changed from s to after.
func (s Snapshot) Diff(after Snapshot) Changes {
	sections := map[string]bool{}
	for name := range s {
		sections[name] = true
	}
	for name := range after {
		sections[name] = true
	}
	var cs Changes
	for name := range sections {
		a, b := s[name], after[name]
		if name == SecSysctl {
			a, b = commonLinks(a, b)
		}
		for _, line := range subtract(a, b) {
			cs = append(cs, Change{name, line, false})
		}
		for _, line := range subtract(b, a) {
			cs = append(cs, Change{name, line, true})
		}
	}
	slices.SortFunc(cs, func(a, b Change) int {
		// By section and line, what was before what is.
		if n := strings.Compare(a.Section, b.Section); n != 0 {
			return n
		}
		if n := strings.Compare(a.Line, b.Line); n != 0 {
			return n
		}
		return strings.Compare(b.String(), a.String())
	})
	return cs
}

// commonLinks leaves out the settings of links that only one list knows: the
// link itself is a difference already, and has sixty settings.
func commonLinks(a, b []string) (commonA, commonB []string) {
	inA, inB := map[string]bool{}, map[string]bool{}
	for _, line := range a {
		inA[sysctlDir(line)] = true
	}
	for _, line := range b {
		inB[sysctlDir(line)] = true
	}
	one := func(line string) bool { dir := sysctlDir(line); return !inA[dir] || !inB[dir] }
	return slices.DeleteFunc(slices.Clone(a), one), slices.DeleteFunc(slices.Clone(b), one)
}

// sysctlDir is the directory of one link's settings, or else empty.
func sysctlDir(line string) string {
	parts := strings.SplitN(line, "/", 5) // net/ipv4/conf/LINK/NAME = VALUE
	if len(parts) == 5 && parts[2] == "conf" {
		return strings.Join(parts[:4], "/")
	}
	return ""
}

// subtract returns the lines of a that b lacks. A line that a has twice and b
// once is returned once.
func subtract(a, b []string) []string {
	have := map[string]int{}
	for _, line := range b {
		have[line]++
	}
	var rest []string
	for _, line := range a {
		if have[line]--; have[line] < 0 {
			rest = append(rest, line)
		}
	}
	return rest
}

// without splits the changes into those that no allowance covers and a
// description of each that one does.
func (cs Changes) without(allow []allowance) (rest Changes, used []string) {
	for _, c := range cs {
		i := slices.IndexFunc(allow, func(a allowance) bool {
			return a.section == c.Section && a.line.MatchString(c.Line)
		})
		if i < 0 {
			rest = append(rest, c)
			continue
		}
		used = append(used, fmt.Sprintf("%s (%s)", c, allow[i].reason))
	}
	return rest, used
}
