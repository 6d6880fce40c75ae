package network

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestProofs: every test that the documentation names exists, and every line of
// its table names one.
func TestProofs(t *testing.T) {
	page, err := os.ReadFile(docsPath)
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(page), "| it can | shown by |\n|---|---|\n")
	if !ok {
		t.Fatalf("%s has no table of proofs", docsPath)
	}
	known, name := testNames(t), regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")
	lines := 0
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| ") {
			break
		}
		names := name.FindAllStringSubmatch(line, -1)
		if len(names) == 0 && !strings.HasPrefix(line, "| **") {
			t.Errorf("nothing shows this: %s", line)
		}
		for _, n := range names {
			lines++
			if !known[n[1]] {
				t.Errorf("there is no %s: %s", n[1], line)
			}
		}
	}
	if lines < 40 {
		t.Errorf("the table has %d proofs", lines)
	}
}

// testNames are those of all tests in the repository.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names, decl := map[string]bool{}, regexp.MustCompile(`(?m)^func (Test\w+)\(t `)
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range decl.FindAllSubmatch(text, -1) {
			names[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
