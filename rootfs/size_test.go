package rootfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDirSize(t *testing.T) {
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, "a", "b"), 0o755))
	must(os.WriteFile(filepath.Join(dir, "one"), []byte(strings.Repeat("x", 100)), 0o644))
	must(os.WriteFile(filepath.Join(dir, "a", "b", "two"), []byte("12345"), 0o644))
	must(os.Link(filepath.Join(dir, "one"), filepath.Join(dir, "a", "again")))
	must(os.Symlink("/usr", filepath.Join(dir, "a", "out")))
	if n, err := DirSize(dir); n != 105 || err != nil {
		t.Errorf("got %d, %v; want 105", n, err)
	}
	if _, err := DirSize(filepath.Join(dir, "no")); err == nil {
		t.Error("no error for a directory that is not there")
	}
}
