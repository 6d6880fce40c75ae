package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestUpToDate fails when a checked-in file is not what the generator writes.
func TestUpToDate(t *testing.T) {
	for name, generate := range map[string]func() (map[string][]byte, error){
		"tables": tables, "filters": filters,
	} {
		files, err := generate()
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range files {
			got, err := os.ReadFile(filepath.Join("..", "..", path))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s is not what seccompgen %s writes: run go generate ./runtime/seccomp", path, name)
			}
		}
	}
}
