package logs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func isErrno(err error, want unix.Errno) bool { return errors.Is(err, want) }

func readAll(t testing.TB, path string, opt Options) string {
	t.Helper()
	var both bytes.Buffer
	if err := Read(context.Background(), path, opt, nil, &both, &both); err != nil {
		t.Fatal(err)
	}
	return both.String()
}

var day = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)

// sample is a log of n records, a second apart, every third to stderr.
func sample(t testing.TB, n int) string {
	t.Helper()
	var b []byte
	for i := range n {
		stream := Stdout
		if i%3 == 2 {
			stream = Stderr
		}
		b = appendRecord(b, stream, fmt.Appendf(nil, "%d", i), true, day.Add(time.Duration(i)*time.Second))
	}
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadOptions(t *testing.T) {
	path := sample(t, 6)
	at := func(s float64) time.Time { return day.Add(time.Duration(s * float64(time.Second))) }
	for _, tc := range []struct {
		name string
		opt  Options
		want string
	}{
		{"all", Options{Tail: -1}, "0 1 2 3 4 5"},
		{"none", Options{Tail: 0}, ""},
		{"last", Options{Tail: 1}, "5"},
		{"last four", Options{Tail: 4}, "2 3 4 5"},
		{"as many as there are", Options{Tail: 6}, "0 1 2 3 4 5"},
		{"more than there are", Options{Tail: 1 << 40}, "0 1 2 3 4 5"},
		{"since", Options{Tail: -1, Since: at(3)}, "3 4 5"},
		{"until", Options{Tail: -1, Until: at(3)}, "0 1 2 3"},
		{"between", Options{Tail: -1, Since: at(1.5), Until: at(3.5)}, "2 3"},
		{"tail before since", Options{Tail: 3, Since: at(1)}, "3 4 5"},
		{"follow until a past time", Options{Tail: -1, Follow: true, Until: at(2)}, "0 1 2"},
		{"stamps", Options{Tail: 1, Timestamps: true}, "2026-01-02T00:00:05.000000000Z 5"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := strings.TrimSpace(strings.Join(strings.Split(readAll(t, path, tc.opt), "\n"), "|"))
			want := strings.ReplaceAll(tc.want, " ", "|")
			if tc.opt.Timestamps {
				want = tc.want
			}
			if strings.TrimSuffix(got, "|") != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestReadStreams(t *testing.T) {
	path := sample(t, 6)
	var out, errs bytes.Buffer
	if err := Read(t.Context(), path, Options{Tail: -1}, nil, &out, &errs); err != nil {
		t.Fatal(err)
	}
	if out.String() != "0\n1\n3\n4\n" || errs.String() != "2\n5\n" {
		t.Errorf("stdout %q, stderr %q", out.String(), errs.String())
	}
	errs.Reset()
	if err := Read(t.Context(), path, Options{Tail: -1}, nil, nil, &errs); err != nil || errs.String() != "2\n5\n" {
		t.Errorf("stderr alone: %q, %v", errs.String(), err)
	}
}

func TestReadEdges(t *testing.T) {
	dir := t.TempDir()
	if got := readAll(t, filepath.Join(dir, "none"), Options{Tail: -1}); got != "" {
		t.Errorf("without a file: %q", got)
	}
	if err := Read(t.Context(), dir, Options{Tail: -1}, nil, io.Discard, nil); !isErrno(err, unix.EISDIR) {
		t.Errorf("of a directory: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Read(ctx, sample(t, 2), Options{Tail: -1}, nil, io.Discard, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	r, w := io.Pipe()
	r.Close()
	if err := Read(t.Context(), sample(t, 2), Options{Tail: -1}, nil, w, w); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("to a closed pipe: %v", err)
	}
}

// Lines that are no records are left out, whatever they are.
func TestReadSpoiltFile(t *testing.T) {
	good := string(appendRecord(nil, Stdout, []byte("good"), true, day))
	foreign := `{"time":"2026-01-02T00:00:00Z", "stream":"stderr", "attrs":{"a":"b"}, "log":"\ud83d\ude00\n"}` + "\n"
	huge := `{"log":"` + strings.Repeat("x", 3*maxRecord) + "\n"
	path := filepath.Join(t.TempDir(), "log")
	text := good + "{\n" + "\n" + foreign + "\x00\x00\n" + `{"log":"x","stream":"other","time":""}` + "\n" + huge + good + good[:20]
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := readAll(t, path, Options{Tail: -1}), "good\n😀\ngood\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStampsOnlyAtLineStarts(t *testing.T) {
	var b []byte
	b = appendRecord(b, Stdout, []byte("long "), false, day)
	b = appendRecord(b, Stderr, []byte("e"), true, day)
	b = appendRecord(b, Stdout, []byte("line"), true, day)
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if err := Read(t.Context(), path, Options{Tail: -1, Timestamps: true}, nil, &out, &errs); err != nil {
		t.Fatal(err)
	}
	stamp := "2026-01-02T00:00:00.000000000Z "
	if out.String() != stamp+"long line\n" || errs.String() != stamp+"e\n" {
		t.Errorf("stdout %q, stderr %q", out.String(), errs.String())
	}
}

func TestScanStops(t *testing.T) {
	stop := errors.New("enough")
	var got []string
	err := Scan(t.Context(), sample(t, 9), Options{Tail: -1}, nil, func(r Record) error {
		got = append(got, r.Stream+" "+string(r.Log))
		if len(got) == 3 {
			return stop
		}
		return nil
	})
	if err != stop || strings.Join(got, "") != "stdout 0\nstdout 1\nstderr 2\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

// counted counts the bytes read through it.
type counted struct {
	io.ReaderAt
	n int
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.n += n
	return n, err
}

func TestTailReadsLittle(t *testing.T) {
	path := sample(t, 200_000)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	c := &counted{ReaderAt: f}
	off, err := tailOffset(c, fi.Size(), 10)
	if err != nil {
		t.Fatal(err)
	}
	if c.n > blockSize {
		t.Errorf("%d bytes read for 10 records of a file of %d", c.n, fi.Size())
	}
	rest := io.NewSectionReader(f, off, fi.Size()-off)
	b, err := io.ReadAll(rest)
	if err != nil || bytes.Count(b, []byte("\n")) != 10 || !bytes.HasPrefix(b, []byte(`{"log":"199990\n"`)) {
		t.Errorf("the tail is %q, %v", b, err)
	}
}

// The backward search agrees with splitting the whole file, at every block edge.
func TestTailModel(t *testing.T) {
	for _, width := range []int{1, 2, 1000, blockSize - 1, blockSize, blockSize + 1} {
		line := strings.Repeat("x", width-1) + "\n"
		for _, torn := range []string{"", "torn", strings.Repeat("t", blockSize)} {
			text := strings.Repeat(line, 70) + torn
			for _, n := range []int{0, 1, 2, 33, 69, 70, 71} {
				want := int64(len(line) * max(0, 70-n))
				got, err := tailOffset(strings.NewReader(text), int64(len(text)), n)
				if err != nil || got != want {
					t.Errorf("lines of %d, torn end of %d, tail %d: offset %d, want %d (%v)", width, len(torn), n, got, want, err)
				}
			}
		}
	}
	if got, err := tailOffset(strings.NewReader(""), 0, 5); got != 0 || err != nil {
		t.Errorf("of an empty file: %d, %v", got, err)
	}
}

// The quick parser must never read a line otherwise than encoding/json does.
func FuzzParse(f *testing.F) {
	f.Add(appendRecord(nil, Stdout, []byte("a\"\x1b\xffé"), true, day))
	f.Add([]byte(`{"log":"\ud83d\ude00\/\b","stream":"stderr","time":"2026-01-02T00:00:00+01:00"}`))
	f.Add([]byte(`{"log":"x","stream":"stdout","time":"2026-01-02T00:00:00Z","time":"2027-01-02T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, _, ok := parseOwn(line, nil)
		if !ok {
			return
		}
		var j jsonRecord
		if err := json.Unmarshal(line, &j); err != nil {
			var terr *time.ParseError
			if errors.As(err, &terr) || json.Valid(line) {
				return // encoding/json is stricter about times
			}
			t.Fatalf("%q: taken as %q, but %v", line, r.Log, err)
		}
		if j.Log != string(r.Log) || j.Stream != r.Stream || !j.Time.Equal(r.Time) {
			t.Fatalf("%q: got %q %s %s, want %+v", line, r.Log, r.Stream, r.Time, j)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	path := sample(b, 50_000)
	fi, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(fi.Size())
	for b.Loop() {
		if err := Read(b.Context(), path, Options{Tail: -1}, nil, io.Discard, io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
