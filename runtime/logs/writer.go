package logs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	// MaxLine is the longest text of one record in bytes, Docker's limit.
	MaxLine = 16 << 10
	// batch is how many bytes of records are gathered for one write(2).
	batch = 16 << 10
)

// Writer appends records to a log file. It is safe for concurrent use.
type Writer struct {
	mu      sync.Mutex
	f       *os.File
	size    int64  // of the file
	torn    bool   // the file ends within a line
	out     []byte // records not yet written
	streams []*Stream
}

// OpenWriter opens the log file, and makes it with mode 0640 if there is none.
// A file has one writer at a time.
func OpenWriter(path string) (*Writer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("opening log: %w", err)
	}
	w := &Writer{f: f}
	if err := w.lookAtEnd(); err != nil {
		f.Close()
		return nil, fmt.Errorf("opening log: %w", err)
	}
	return w, nil
}

// lookAtEnd finds out whether a crash left the last line unfinished.
func (w *Writer) lookAtEnd() error {
	fi, err := w.f.Stat()
	if err != nil {
		return err
	}
	if w.size = fi.Size(); w.size == 0 {
		return nil
	}
	var last [1]byte
	if _, err := w.f.ReadAt(last[:], w.size-1); err != nil {
		return err
	}
	w.torn = last[0] != '\n'
	return nil
}

// Stream returns the writer for one of the container's streams, [Stdout] or
// [Stderr].
func (w *Writer) Stream(name string) *Stream {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &Stream{w: w, name: name}
	w.streams = append(w.streams, s)
	return s
}

// Mark is a point in a log between two writes.
type Mark struct {
	Offset         int64  // what is in the file: for [Options].Limit
	Stdout, Stderr []byte // unfinished lines that are not in the file yet
}

// Mark returns the present point. A client that attaches "with logs" gets the
// records up to it, then the unfinished lines, then what comes live: no gap and
// nothing twice, if the caller lets no Write pass between Mark and the moment
// the client is joined to the live output.
func (w *Writer) Mark() Mark {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := Mark{Offset: w.size}
	for _, s := range w.streams {
		switch s.name {
		case Stdout:
			m.Stdout = append(m.Stdout, s.line...)
		case Stderr:
			m.Stderr = append(m.Stderr, s.line...)
		}
	}
	return m
}

// Close records the unfinished lines of all streams and closes the file.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var err error
	for _, s := range w.streams {
		err = errors.Join(err, s.end(time.Now().UTC()))
	}
	w.streams = nil
	err = errors.Join(err, w.flush())
	if cerr := w.f.Close(); cerr != nil {
		err = errors.Join(err, fmt.Errorf("closing log: %w", cerr))
	}
	return err
}

// add puts one record in the batch. w.mu is held.
func (w *Writer) add(stream string, text []byte, newline bool, t time.Time) error {
	if len(w.out) == 0 && w.torn {
		w.out = append(w.out, '\n')
	}
	w.out = appendRecord(w.out, stream, text, newline, t)
	if len(w.out) < batch {
		return nil
	}
	return w.flush()
}

// flush writes the batch. What does not reach the disk is lost: a full disk
// must stop neither the container nor the monitor. w.mu is held.
func (w *Writer) flush() error {
	if len(w.out) == 0 {
		return nil
	}
	n, err := w.f.Write(w.out)
	w.size += int64(n)
	if n > 0 {
		w.torn = w.out[n-1] != '\n'
	}
	w.out = w.out[:0]
	if cap(w.out) > 4*batch { // one very odd line; do not keep its memory
		w.out = nil
	}
	if err != nil {
		return fmt.Errorf("writing log: %w", err)
	}
	return nil
}

// Stream splits what one stream of a container says into records.
type Stream struct {
	w    *Writer
	name string
	line []byte    // an unfinished line, shorter than MaxLine
	cut  bool      // line continues one that is partly recorded
	from time.Time // of the line's first record, when cut
}

// Write records the lines in p; the start of an unfinished line waits for its
// rest. All of p is taken, also when it returns an error: the caller should
// report it and go on.
func (s *Stream) Write(p []byte) (int, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	now := time.Now().UTC()
	var first error
	for rest := p; len(rest) > 0; {
		n, err := s.take(rest, now)
		if first == nil {
			first = err
		}
		rest = rest[n:]
	}
	if err := s.w.flush(); first == nil {
		first = err
	}
	return len(p), first
}

// take records, or keeps, the start of p up to the first line's end, and
// returns how much that was.
func (s *Stream) take(p []byte, now time.Time) (int, error) {
	room := min(len(p), MaxLine-len(s.line))
	if i := bytes.IndexByte(p[:room], '\n'); i >= 0 {
		text := p[:i]
		if len(s.line) > 0 {
			s.line = append(s.line, text...)
			text = s.line
		}
		err := s.w.add(s.name, text, true, s.stamp(now))
		s.line, s.cut = s.line[:0], false
		return i + 1, err
	}
	s.line = append(s.line, p[:room]...)
	if len(s.line) < MaxLine {
		return room, nil
	}
	// A character must not be cut in two: each half would become U+FFFD.
	keep := halfRune(s.line)
	whole := len(s.line) - keep
	s.from, s.cut = s.stamp(now), true
	err := s.w.add(s.name, s.line[:whole], false, s.from)
	s.line = slices.Delete(s.line, 0, whole)
	return room, err
}

// stamp is the time of the line's next record.
func (s *Stream) stamp(now time.Time) time.Time {
	if s.cut {
		return s.from
	}
	return now
}

// Close records an unfinished line. It is for the end of this one stream;
// [Writer.Close] does it for all.
func (s *Stream) Close() error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return errors.Join(s.end(time.Now().UTC()), s.w.flush())
}

func (s *Stream) end(now time.Time) error {
	if len(s.line) == 0 {
		return nil
	}
	err := s.w.add(s.name, s.line, false, s.stamp(now))
	s.line, s.cut = nil, false
	return err
}

// halfRune is how many bytes at the end of b begin a character that needs more.
func halfRune(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		tail := b[len(b)-n:]
		if utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return n
			}
			return 0
		}
	}
	return 0
}
