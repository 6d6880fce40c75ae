package logs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

type jsonRecord struct {
	Log, Stream string
	Time        time.Time
}

// fileRecords reads a log with encoding/json, as other programs do.
func fileRecords(t testing.TB, path string) []jsonRecord {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []jsonRecord
	for line := range bytes.Lines(b) {
		var r jsonRecord
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		out = append(out, r)
	}
	return out
}

func newWriter(t testing.TB) (*Writer, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c-json.log")
	return openWriter(t, path), path
}

func openWriter(t testing.TB, path string) *Writer {
	t.Helper()
	w, err := OpenWriter(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func write(t testing.TB, s *Stream, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if n, err := s.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatalf("wrote %d of %d: %v", n, len(text), err)
		}
	}
}

func TestWriterRecords(t *testing.T) {
	full := strings.Repeat("x", MaxLine)
	odd := "é" + strings.Repeat("x", MaxLine-4) + "é" // 3 bytes before the limit is a character's start
	for _, tc := range []struct {
		name   string
		writes []string
		want   []string
	}{
		{"nothing", nil, nil},
		{"a line", []string{"a\n"}, []string{"a\n"}},
		{"empty lines", []string{"\n\na\n\n"}, []string{"\n", "\n", "a\n", "\n"}},
		{"a line in pieces", []string{"a", "b", "", "c\nd", "e\n"}, []string{"abc\n", "de\n"}},
		{"no line feed at the end", []string{"a\nb"}, []string{"a\n", "b"}},
		{"special", []string{"\"\\\b\t\r\x00\x1b[0m\x7f<&>\u2028\n"}, []string{"\"\\\b\t\r\x00\x1b[0m\x7f<&>\u2028\n"}},
		{"not UTF-8", []string{"a\xff\xc3(\xe2\x82\n"}, []string{"a\ufffd\ufffd(\ufffd\ufffd\n"}},
		{"a character in two writes", []string{"\xc3", "\xa9\n"}, []string{"é\n"}},
		{"one below the limit", []string{full[1:] + "\n"}, []string{full[1:] + "\n"}},
		{"the limit", []string{full + "\n"}, []string{full, "\n"}},
		{"over the limit", []string{full + full + "yz\na\n"}, []string{full, full, "yz\n", "a\n"}},
		{"over the limit in pieces", []string{full[:9000], full[:9000] + "\n"}, []string{full, full[:18000-MaxLine] + "\n"}},
		{"a character at the limit", []string{full[1:] + "é\n"}, []string{full[1:], "é\n"}},
		{"characters around the limit", []string{odd + "\n"}, []string{odd, "\n"}},
		{"a long line cut by the end", []string{full + "a"}, []string{full, "a"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, path := newWriter(t)
			write(t, w.Stream(Stderr), tc.writes...)
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range fileRecords(t, path) {
				got = append(got, r.Log)
				if r.Stream != Stderr || time.Since(r.Time) > time.Minute || r.Time.Location() != time.UTC {
					t.Errorf("record %s %s", r.Stream, r.Time)
				}
			}
			if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", tc.want) {
				t.Errorf("got  %.200q\nwant %.200q", got, tc.want)
			}
		})
	}
}

func TestRecordBytes(t *testing.T) {
	at := time.Date(2026, 1, 2, 15, 4, 5, 120_000_000, time.UTC)
	got := string(appendRecord(nil, Stdout, []byte("say \"hi\"\x1b"), true, at))
	want := `{"log":"say \"hi\"\u001b\n","stream":"stdout","time":"2026-01-02T15:04:05.12Z"}` + "\n"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// The pieces of a long line share a time, so that --since and --until do not
// cut it in two.
func TestPiecesShareATime(t *testing.T) {
	w, path := newWriter(t)
	s := w.Stream(Stdout)
	write(t, s, strings.Repeat("x", MaxLine+1))
	for now := time.Now(); !time.Now().After(now); { // the clock ticks
	}
	write(t, s, "end\nnext\n")
	r := fileRecords(t, path)
	if len(r) != 3 || !r[0].Time.Equal(r[1].Time) || !r[2].Time.After(r[1].Time) {
		t.Errorf("times %v", r)
	}
}

// Records of one write leave in one write(2), and nothing waits for more.
func TestBatch(t *testing.T) {
	w, path := newWriter(t)
	write(t, w.Stream(Stdout), strings.Repeat("line\n", 100))
	if n := len(fileRecords(t, path)); n != 100 {
		t.Errorf("%d records on disk before Close, want 100", n)
	}
	if len(w.out) != 0 {
		t.Errorf("%d bytes held back", len(w.out))
	}
}

func TestBothStreams(t *testing.T) {
	w, path := newWriter(t)
	const each = 500
	var wg sync.WaitGroup
	for _, name := range []string{Stdout, Stderr} {
		s := w.Stream(name)
		wg.Go(func() {
			for i := range each {
				if _, err := fmt.Fprintf(s, "%s %d\nhalf", name, i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	next := map[string]int{}
	for _, r := range fileRecords(t, path) {
		text := strings.TrimPrefix(r.Log, "half")
		if text == "" {
			continue
		}
		if want := fmt.Sprintf("%s %d\n", r.Stream, next[r.Stream]); text != want {
			t.Fatalf("got %q, want %q", text, want)
		}
		next[r.Stream]++
	}
	if next[Stdout] != each || next[Stderr] != each {
		t.Errorf("records: %v", next)
	}
}

// A line that a crash cut short does not spoil the first one after a restart.
func TestWriteBehindTornLine(t *testing.T) {
	w, path := newWriter(t)
	write(t, w.Stream(Stdout), "one\n")
	w.Close()
	torn, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = torn.WriteString(`{"log":"tw`)
		torn.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, path, Options{Tail: -1}); got != "one\n" {
		t.Errorf("with a torn end: %q", got)
	}
	if got := readAll(t, path, Options{Tail: 1}); got != "one\n" {
		t.Errorf("its last record: %q", got)
	}
	w = openWriter(t, path)
	write(t, w.Stream(Stdout), "three\n", "four\n")
	if got := readAll(t, path, Options{Tail: -1}); got != "one\nthree\nfour\n" {
		t.Errorf("after going on: %q", got)
	}
}

// A disk that is full for a while costs the lines of that while, not more.
func TestFullDisk(t *testing.T) {
	w, path := newWriter(t)
	s := w.Stream(Stdout)
	write(t, s, "one\n")
	real := w.f
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	w.f = full
	if n, err := s.Write([]byte("two\n")); n != 4 || !isErrno(err, unix.ENOSPC) {
		t.Errorf("on a full disk: %d, %v", n, err)
	}
	w.f = real
	write(t, s, "three\n")
	if got := readAll(t, path, Options{Tail: -1}); got != "one\nthree\n" {
		t.Errorf("got %q", got)
	}
}

func TestMark(t *testing.T) {
	w, path := newWriter(t)
	out, errs := w.Stream(Stdout), w.Stream(Stderr)
	write(t, out, "one\ntw")
	write(t, errs, "err")
	m := w.Mark()
	write(t, out, "o\nthree\n")
	if string(m.Stdout) != "tw" || string(m.Stderr) != "err" {
		t.Errorf("unfinished %q and %q", m.Stdout, m.Stderr)
	}
	if got := readAll(t, path, Options{Tail: -1, Limit: m.Offset}); got != "one\n" {
		t.Errorf("up to the mark: %q", got)
	}
	// The size counts from what an earlier writer left.
	w.Close()
	w = openWriter(t, path)
	fi, err := os.Stat(path)
	if err != nil || w.Mark().Offset != fi.Size() {
		t.Errorf("offset %d, size %d, %v", w.Mark().Offset, fi.Size(), err)
	}
}

func TestStreamClose(t *testing.T) {
	w, path := newWriter(t)
	s := w.Stream(Stdout)
	write(t, s, "prompt$ ")
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if r := fileRecords(t, path); len(r) != 1 || r[0].Log != "prompt$ " {
		t.Errorf("records %v", r)
	}
}

func TestWriteAllocatesNothing(t *testing.T) {
	w, _ := newWriter(t)
	s := w.Stream(Stdout)
	p := []byte("GET /index.html \"200\" \xff\nand half")
	if n := testing.AllocsPerRun(200, func() { s.Write(p) }); n > 0 {
		t.Errorf("%v allocations for a write", n)
	}
}
