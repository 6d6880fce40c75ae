package lab

import (
	"errors"
	"io"
	"testing"
)

// FuzzParse: whatever the file says, it is a topology that can be planned, or an error with a place in the file.
func FuzzParse(f *testing.F) {
	for _, name := range Builtins() {
		_, text, err := Builtin(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range []string{"", "a", "- a", "nodes: {a: {}, a: {}}", "nodes: &x {a: {}}\nhosts: *x", "? {a: b}\n: c", "nodes: !!int a", "1: 2", "nodes:\n\ta: {}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		top, err := Parse("x.yaml", data)
		if err == nil {
			if err := Open("/x").Script(top, io.Discard); err != nil {
				t.Errorf("it was read, but cannot be planned: %v", err)
			}
			top.Parts()
			return
		}
		var p *ParseError
		if !errors.As(err, &p) || p.Line < 1 || p.Column < 1 || p.Text == "" {
			t.Errorf("an error without a place: %#v", err)
		}
	})
}
