package integration

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/minirt/mini/integration/host"
	"github.com/minirt/mini/lab"
)

// labHost is a host for labs. They use the names of ip netns, which keeps its directory.
func labHost(t testing.TB, opts ...host.Option) *host.Host {
	t.Helper()
	h := newHost(t, opts...)
	h.Allow(host.SecMounts, "/run/netns ", "ip netns keeps its names there, and so do labs")
	h.Allow(host.SecRun, "/run/netns/$", "ip netns keeps its names there, and so do labs")
	return h
}

// TestLabBuiltins builds each lab that mini comes with, checks it, and takes it away. What
// would be left is found by the host.
func TestLabBuiltins(t *testing.T) {
	t.Parallel()
	for _, name := range lab.Builtins() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := labHost(t)
			wantOut(t, h.Run("lab", "up", name), name)
			r := h.Run("lab", "check", name)
			wantCode(t, r, 0)
			if strings.Contains(r.Stdout, "skipped") {
				t.Errorf("something was not tried:\n%v", r)
			}
			wantOut(t, h.Run("lab", "ls", "-q"), name)
			wantOut(t, h.Run("lab", "down", name), name)
			wantOut(t, h.Run("lab", "ls", "-q"), "")
		})
	}
}

// TestLabScripts runs the printed script of each lab in an empty host, compares what it builds with
// what mini builds in another, and checks it.
func TestLabScripts(t *testing.T) {
	t.Parallel()
	for _, name := range lab.Builtins() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := labHost(t), labHost(t)
			// The state directory is part of the tag.
			script := strings.ReplaceAll(must(t, first.Run("lab", "explain", name)), tagIn(t, first), tagIn(t, second))
			must(t, first.Run("lab", "up", name))
			if r := second.Do(host.Command{Args: []string{"sh"}, Stdin: script}); r.Code != 0 || r.Stderr != "" {
				t.Fatalf("%v", r)
			}
			compareSpaces(t, first, second)
			if r := second.Run("lab", "check", name); r.Code != 0 || strings.Contains(r.Stdout, "FAIL") {
				t.Errorf("built by hand:\n%v", r)
			}
			must(t, first.Run("lab", "down", name))
			must(t, second.Run("lab", "down", name))
		})
	}
}

// tagIn is the owner's part of the tags in a host.
func tagIn(t testing.TB, h *host.Host) string {
	t.Helper()
	_, tag, ok := strings.Cut(must(t, h.Run("lab", "explain", "veth")), "alias mini:lab:veth:")
	if !ok || len(tag) < 8 {
		t.Fatal("the script sets no tag")
	}
	return tag[:8]
}

// compareSpaces compares all that a lab's plan may change in all of its namespaces.
func compareSpaces(t testing.TB, first, second *host.Host) {
	t.Helper()
	look := func(h *host.Host, space string) string {
		lines := strings.Split(withoutMACs(must(t, h.Exec("ip", "netns", "exec", space, "sh", "-c", insideScript))), "\n")
		slices.Sort(lines) // the kernel lists some in an order of its own
		rules := must(t, h.Exec("ip", "netns", "exec", space, "sh", "-c", "(iptables-save -t nat; iptables-save -t filter) | grep -v '^[#:]' || true"))
		return strings.Join(lines, "\n") + rules
	}
	list := func(h *host.Host) []string {
		names := strings.Fields(must(t, h.Exec("sh", "-c", "ip netns list | sed 's/ .*//'")))
		slices.Sort(names)
		return names
	}
	spaces := list(first)
	if got := list(second); !slices.Equal(spaces, got) {
		t.Fatalf("mini made %v, the script %v", spaces, got)
	}
	for _, s := range spaces {
		if err := host.Poll(patience, func() error {
			if a, b := look(first, s), look(second, s); a != b {
				return fmt.Errorf("in %s mini (-) and the script (+) built:\n%s", s, linesOnlyInOne(a, b))
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
}

var macs = regexp.MustCompile(`([0-9a-f]{1,2}:){5}[0-9a-f]{1,2}|fe80::[0-9a-f:]+|_timer +[0-9.]+|:[0-9a-f]{8}\b`)

// withoutMACs leaves out what the kernel makes up, the addresses that follow from it, and the tag's owner.
func withoutMACs(text string) string { return macs.ReplaceAllString(text, "X") }

// linesOnlyInOne lists the lines that only one of two texts has.
func linesOnlyInOne(a, b string) string {
	before, after := host.Snapshot{"": strings.Split(a, "\n")}, host.Snapshot{"": strings.Split(b, "\n")}
	return before.Diff(after).String()
}
