package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
)

// parsed gives a command line's call with its flags read, without running it.
func parsed(t *testing.T, words ...string) *call {
	t.Helper()
	c, err := prepare(stdio{out: os.Stdout, err: os.Stderr}, append([]string{"mini"}, words...))
	if err != nil {
		t.Fatalf("%q: %v", words, err)
	}
	c.cmd.run = func(*call) error { return nil }
	if err := c.dispatch(context.Background()); err != nil {
		t.Fatalf("%q: %v", words, err)
	}
	return c
}

// ran is what a command line did.
type ran struct {
	code     int
	out, err string
}

// runMini runs a command line with directories of its own.
func runMini(t *testing.T, words ...string) ran {
	t.Helper()
	var out, errs bytes.Buffer
	in, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	argv := append([]string{"mini", "--root", t.TempDir()}, words...)
	code := execute(context.Background(), stdio{in: in, out: &out, err: &errs}, argv)
	return ran{code: code, out: out.String(), err: errs.String()}
}

func mustContain(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s: no %q in:\n%s", what, p, text)
		}
	}
}
