package integration

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minirt/mini/integration/host"
)

// TestQuickstart follows the README's first command, twice, as a new user
// would.
func TestQuickstart(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for range 2 {
		r := h.Do(host.Command{
			Args:    []string{filepath.Join(host.SourceDir(), "hack", "quickstart.sh")},
			Env:     []string{"MINI_PRIVATE=1", "MINI_INSTALL=no", "MINI=" + miniBinary(h)},
			Timeout: 3 * time.Minute,
		})
		if r.Code != 0 {
			t.Fatalf("%v", r)
		}
		for _, want := range []string{"It works!", "http://127.0.0.1:8080/", "web", "Everything is cleaned up."} {
			if !strings.Contains(r.Stdout, want) {
				t.Errorf("%q is missing in %v", want, r)
			}
		}
	}
}

// TestQuickstartNamesATakenPort runs it in the host itself, where somebody
// else has the port.
func TestQuickstartNamesATakenPort(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	if err := h.ServeAddr(host.Inside, "0.0.0.0:8080"); err != nil {
		t.Fatal(err)
	}
	r := h.Do(host.Command{
		Args: []string{filepath.Join(host.SourceDir(), "hack", "quickstart.sh")},
		Env:  []string{"MINI_INSTALL=no", "MINI=" + miniBinary(h)}, Timeout: time.Minute,
	})
	if r.Code == 0 || !strings.Contains(r.Stderr, "port 8080 is taken") {
		t.Errorf("%v", r)
	}
}

// miniBinary is the path of the binary under test.
func miniBinary(h *host.Host) string { return h.Mini().Args[0] }
