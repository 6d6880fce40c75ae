package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

const (
	blockSize = 32 << 10
	// maxRecord bounds the memory for a line that no writer of ours made. The
	// longest of ours is below 100 KiB: MaxLine bytes, six each when escaped.
	maxRecord = 1 << 20
)

// lines gives the finished lines of a file that may still grow.
type lines struct {
	f     io.ReaderAt
	off   int64 // where the next block is read
	limit int64 // no byte from here on, when above 0
	buf   []byte
	r, w  int  // buf[r:w] is read but not given out
	seen  int  // no line feed in buf[r:r+seen]
	skip  bool // the line is too long, drop its rest
}

// next returns a line without its line feed, valid until the next call. The
// error is io.EOF when no finished line is there at this time; next may be
// called again when the file has grown.
func (l *lines) next() ([]byte, error) {
	for {
		if i := bytes.IndexByte(l.buf[l.r+l.seen:l.w], '\n'); i >= 0 {
			line := l.buf[l.r : l.r+l.seen+i]
			l.r += len(line) + 1
			l.seen = 0
			if !l.skip {
				return line, nil
			}
			l.skip = false
			continue
		}
		l.seen = l.w - l.r
		if l.seen > maxRecord {
			l.skip, l.r, l.w, l.seen = true, 0, 0, 0
		}
		if err := l.more(); err != nil {
			return nil, err
		}
	}
}

// more reads the next block behind what is in the buffer.
func (l *lines) more() error {
	l.w = copy(l.buf, l.buf[l.r:l.w])
	l.r = 0
	if len(l.buf)-l.w < blockSize {
		l.buf = append(l.buf[:l.w], make([]byte, max(blockSize, l.w))...)
	}
	room := int64(len(l.buf) - l.w)
	if l.limit > 0 {
		room = max(0, min(room, l.limit-l.off))
	}
	n, err := l.f.ReadAt(l.buf[l.w:l.w+int(room)], l.off)
	l.w += n
	l.off += int64(n)
	switch {
	case n > 0:
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return io.EOF
	}
	return fmt.Errorf("reading log: %w", err)
}

// restart goes to an offset and forgets what was read.
func (l *lines) restart(off int64) {
	l.off, l.r, l.w, l.seen, l.skip = off, 0, 0, 0, false
}

// tailOffset finds where the last n finished lines before size begin. It reads
// backwards, block by block, only as far as it must.
func tailOffset(f io.ReaderAt, size int64, n int) (int64, error) {
	buf := make([]byte, min(size, blockSize))
	for end := size; end > 0; {
		start := max(0, end-blockSize)
		block := buf[:end-start]
		// A short read means that the file shrank: what is left is older.
		got, err := f.ReadAt(block, start)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("reading log: %w", err)
		}
		block = block[:got]
		for i := bytes.LastIndexByte(block, '\n'); i >= 0; i = bytes.LastIndexByte(block[:i], '\n') {
			// The first line feed met ends the last line, so one more is needed.
			if n == 0 {
				return start + int64(i) + 1, nil
			}
			n--
		}
		end = start
	}
	return 0, nil
}
