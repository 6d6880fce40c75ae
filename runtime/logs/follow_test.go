package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// seen is a writer that tests wait on.
type seen struct {
	mu   sync.Mutex
	cond sync.Cond
	buf  bytes.Buffer
}

func newSeen() *seen {
	s := &seen{}
	s.cond.L = &s.mu
	return s
}

func (s *seen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cond.Broadcast()
	return s.buf.Write(p)
}

// wait returns when the whole of what was written ends in suffix.
func (s *seen) wait(suffix string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !strings.HasSuffix(s.buf.String(), suffix) {
		s.cond.Wait()
	}
}

// follow runs Read with Follow, and returns what it prints, how to end the
// container, and what Read returned.
func follow(t *testing.T, path string, opt Options) (*seen, chan struct{}, <-chan error) {
	t.Helper()
	opt.Follow = true
	out, done, result := newSeen(), make(chan struct{}), make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	go func() { result <- Read(ctx, path, opt, done, out, out) }()
	return out, done, result
}

func TestFollowConcurrentWriter(t *testing.T) {
	w, path := newWriter(t)
	out, done, result := follow(t, path, Options{Tail: -1})
	var want strings.Builder
	s := w.Stream(Stdout)
	for i := range 3000 {
		line := fmt.Sprintf("line %d\n", i)
		want.WriteString(line)
		write(t, s, line[:3], line[3:])
	}
	write(t, s, "last words")
	want.WriteString("last words")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	close(done) // all that was written before must still come
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	if got := out.buf.String(); got != want.String() {
		t.Errorf("got %d bytes, want %d; end %q", len(got), want.Len(), got[max(0, len(got)-40):])
	}
}

// A line is printed when it is written, not when the container ends.
func TestFollowIsPrompt(t *testing.T) {
	w, path := newWriter(t)
	out, done, result := follow(t, path, Options{Tail: -1})
	s := w.Stream(Stderr)
	begin := time.Now()
	const rounds = 20
	for i := range rounds {
		line := fmt.Sprintf("%d\n", i)
		write(t, s, line)
		out.wait(line)
	}
	// The slow look would take a second for each.
	if d := time.Since(begin); d > rounds*slowLook/4 {
		t.Errorf("%d lines took %s: inotify does not wake the reader", rounds, d)
	}
	close(done)
	if err := <-result; err != nil {
		t.Fatal(err)
	}
}

func TestFollowBeforeTheFileIsThere(t *testing.T) {
	for _, sub := range []string{"", "later"} { // the directory may be missing too
		dir := filepath.Join(t.TempDir(), sub)
		path := filepath.Join(dir, "log")
		out, done, result := follow(t, path, Options{Tail: -1})
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"first\n", "second\n"} {
			w := openWriter(t, path)
			write(t, w.Stream(Stdout), text)
			out.wait(text)
			w.Close()
		}
		close(done)
		if err := <-result; err != nil || out.buf.String() != "first\nsecond\n" {
			t.Errorf("got %q, %v", out.buf.String(), err)
		}
	}
}

// A file that comes after the first look is all new, whatever Tail says.
func TestTailOfALaterFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var got []string
	s := &scanner{path: path, opt: Options{Tail: 0, Follow: true}, fn: func(r Record) error {
		got = append(got, string(r.Log))
		return nil
	}}
	if err := s.drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, openWriter(t, path).Stream(Stdout), "a\nb\n")
	if err := s.drain(t.Context()); err != nil || strings.Join(got, "") != "a\nb\n" {
		t.Errorf("got %q, %v", got, err)
	}
	s.f.Close()
}

func TestFollowTail(t *testing.T) {
	path := sample(t, 10)
	out, done, result := follow(t, path, Options{Tail: 2})
	out.wait("9\n")
	w := openWriter(t, path)
	write(t, w.Stream(Stdout), "new\n")
	out.wait("new\n")
	close(done)
	if err := <-result; err != nil || out.buf.String() != "8\n9\nnew\n" {
		t.Errorf("got %q, %v", out.buf.String(), err)
	}
}

func TestFollowTruncated(t *testing.T) {
	path := sample(t, 10)
	out, done, result := follow(t, path, Options{Tail: -1})
	out.wait("9\n")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	write(t, openWriter(t, path).Stream(Stdout), "again\n")
	out.wait("again\n")
	close(done)
	if err := <-result; err != nil {
		t.Fatal(err)
	}
}

func TestFollowEnds(t *testing.T) {
	path := sample(t, 3)
	t.Run("ctx", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		out, result := newSeen(), make(chan error, 1)
		go func() { result <- Read(ctx, path, Options{Tail: -1, Follow: true}, nil, out, out) }()
		out.wait("2\n")
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Run("until", func(t *testing.T) {
		out, _, result := follow(t, path, Options{Tail: -1, Until: time.Now().Add(50 * time.Millisecond)})
		if err := <-result; err != nil || !strings.HasSuffix(out.buf.String(), "2\n") {
			t.Errorf("%q, %v", out.buf.String(), err)
		}
	})
	t.Run("ended before", func(t *testing.T) {
		done := make(chan struct{})
		close(done)
		out := newSeen()
		if err := Read(t.Context(), path, Options{Tail: 1, Follow: true}, done, out, out); err != nil || out.buf.String() != "2\n" {
			t.Errorf("%q, %v", out.buf.String(), err)
		}
	})
}
