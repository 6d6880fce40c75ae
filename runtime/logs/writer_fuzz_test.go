package logs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever a process prints, in whatever pieces, comes back as it was, but for
// what is not UTF-8; and other programs read the file.
func FuzzWriter(f *testing.F) {
	f.Add([]byte("hello\nworld"), 3)
	f.Add([]byte("\xe2\x82\xac\xff\x00\"\\\n\n"), 1)
	f.Add(bytes.Repeat([]byte("é\xf0\x9f"), 9000), 1000)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		path := filepath.Join(dir, fmt.Sprint(os.Getpid()))
		defer os.Remove(path)
		w := openWriter(t, path)
		s := w.Stream(Stdout)
		step = max(1, step)
		for p := in; len(p) > 0; p = p[min(step, len(p)):] {
			s.Write(p[:min(step, len(p))])
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, r := range fileRecords(t, path) {
			all.WriteString(r.Log)
		}
		if want := string([]rune(string(in))); all.String() != want {
			t.Fatalf("got  %.300q\nwant %.300q", all.String(), want)
		}
		var out bytes.Buffer
		if err := Read(context.Background(), path, Options{Tail: -1}, nil, &out, nil); err != nil || out.String() != all.String() {
			t.Fatalf("Read: %v, %.300q", err, out.String())
		}
	})
}

func BenchmarkWriteLine(b *testing.B) {
	w, _ := newWriter(b)
	s := w.Stream(Stdout)
	line := []byte(strings.Repeat("x", 99) + "\n")
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		s.Write(line)
	}
}

func BenchmarkWrite32K(b *testing.B) {
	w, _ := newWriter(b)
	s := w.Stream(Stdout)
	chunk := []byte(strings.Repeat(strings.Repeat("x", 99)+"\n", 327))
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	for b.Loop() {
		s.Write(chunk)
	}
}
