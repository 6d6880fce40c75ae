package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestImportBusybox is not parallel: Build changes what New uses by default.
func TestImportBusybox(t *testing.T) {
	RequireRoot(t)
	mini := filepath.Join(t.TempDir(), "mini")
	// A stand-in: import unpacks to --root, which is the second argument.
	script := "#!/bin/sh\ncase $5 in import) tar -xf \"$6\" -C \"$2\";; esac\n"
	if err := os.WriteFile(mini, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MINI_BINARY", mini)
	clean, err := Build()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("image", func(t *testing.T) {
		h := New(t, Allow(SecRoot, "", "the stand-in cannot remove images"))
		h.ImportBusybox()
		for cmd, want := range map[string]string{
			"/bin/ls /www":              "cgi-bin\nindex.html",
			"/usr/bin/id -u app":        "1000",
			"/bin/stat -c %a /tmp":      "1777",
			"/bin/stat -c %U /home/app": "app",
			"/bin/sh -c true":           "",
		} {
			args := append([]string{"chroot", h.Root}, strings.Fields(cmd)...)
			if got := h.MustExec(args...); got != want {
				t.Errorf("%s: got %q, want %q", cmd, got, want)
			}
		}
	})
	if err := clean(); err != nil {
		t.Error(err)
	}
	if built() != "" {
		t.Error("a removed binary is still used")
	}
}

func TestBuildNamesWhatFails(t *testing.T) {
	t.Setenv("MINI_BINARY", "")
	clean, err := Build("-no-such-flag")
	if err == nil || !strings.Contains(err.Error(), "no-such-flag") {
		t.Errorf("got %v", err)
	}
	if err := clean(); err != nil {
		t.Error(err)
	}
}
