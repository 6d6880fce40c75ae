package logs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// Options choose what is read.
type Options struct {
	Tail       int       // begin with the last so many records; below 0: with the first
	Since      time.Time // leave out what is older, unless zero
	Until      time.Time // end at the first record that is newer, unless zero
	Follow     bool      // wait for more until the container ends
	Timestamps bool      // begin each line with its time (Read only)
	Limit      int64     // end at this offset, see [Mark]; 0: no limit
}

// stampFormat is what "docker logs -t" prints: always nine digits, so that
// lines align.
const stampFormat = "2006-01-02T15:04:05.000000000Z07:00 "

// Read copies the texts of a log's records, in their order, to stdout and
// stderr; a nil writer leaves that stream out. Without a file there is nothing
// to read, which is no error: the container has said nothing yet.
//
// With Follow, Read waits for more until done is closed, and returns after all
// that was in the file at that moment; a nil done never ends. It also ends when
// Until has passed. When ctx ends, Read returns ctx's error.
func Read(ctx context.Context, path string, opt Options, done <-chan struct{}, stdout, stderr io.Writer) error {
	p := &printer{out: sink(stdout), err: sink(stderr), stamps: opt.Timestamps}
	s := &scanner{path: path, opt: opt, fn: p.print, idle: p.flush}
	return errors.Join(s.run(ctx, done), p.flush())
}

// Scan is [Read] for a function: fn gets each record in order, and ends the
// scan by an error, which Scan returns.
func Scan(ctx context.Context, path string, opt Options, done <-chan struct{}, fn func(Record) error) error {
	s := &scanner{path: path, opt: opt, fn: fn, idle: func() error { return nil }}
	return s.run(ctx, done)
}

// printer writes records to two writers.
type printer struct {
	out, err *output
	last     *output
	stamps   bool
}

type output struct {
	w       *bufio.Writer
	midLine bool // the last record did not end its line
}

func sink(w io.Writer) *output {
	if w == nil {
		return nil
	}
	return &output{w: bufio.NewWriterSize(w, blockSize)}
}

func (p *printer) print(r Record) error {
	o := p.out
	if r.Stream == Stderr {
		o = p.err
	}
	if o == nil {
		return nil
	}
	if o != p.last { // both may be one terminal: keep the order
		if err := p.flush(); err != nil {
			return err
		}
		p.last = o
	}
	if p.stamps && !o.midLine {
		o.w.Write(r.Time.UTC().AppendFormat(o.w.AvailableBuffer(), stampFormat))
	}
	o.midLine = len(r.Log) > 0 && r.Log[len(r.Log)-1] != '\n'
	_, err := o.w.Write(r.Log) // bufio keeps an error of the stamp
	return err
}

func (p *printer) flush() error {
	if p.last == nil {
		return nil
	}
	return p.last.w.Flush()
}

type scanner struct {
	path string
	opt  Options
	fn   func(Record) error
	idle func() error // called before each wait

	f      *os.File
	lines  lines
	text   []byte
	opened bool // the first look at the file is over
}

// errPast ends a scan at a record that is newer than Until.
var errPast = errors.New("past the end of the asked time")

func (s *scanner) run(ctx context.Context, done <-chan struct{}) error {
	defer func() {
		if s.f != nil {
			s.f.Close() // only read
		}
	}()
	if !s.opt.Follow {
		return s.drained(ctx)
	}
	// The watch comes before the first read: no change falls between.
	w := newWatch(s.path)
	defer w.close()
	past := w.after(s.opt.Until)
	for {
		// The end is looked at before the file: all that was written before the
		// end is then read.
		over := closed(done) || passed(s.opt.Until)
		if err := s.drain(ctx); err != nil || over {
			return unlessPast(err)
		}
		if err := s.idle(); err != nil {
			return err
		}
		if err := w.wait(ctx, done, past); err != nil {
			return err
		}
	}
}

func (s *scanner) drained(ctx context.Context) error { return unlessPast(s.drain(ctx)) }

func unlessPast(err error) error {
	if errors.Is(err, errPast) {
		return nil
	}
	return err
}

// drain hands out all records that are in the file.
func (s *scanner) drain(ctx context.Context) error {
	if ok, err := s.open(); !ok {
		return err
	}
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		line, err := s.lines.next()
		if errors.Is(err, io.EOF) {
			again, err := s.truncated()
			if err != nil || !again {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := s.give(line); err != nil {
			return err
		}
	}
}

func (s *scanner) give(line []byte) error {
	r, text, ok := parse(line, s.text)
	s.text = text
	switch {
	case !ok: // torn by a crash, or not ours
		return nil
	case !s.opt.Since.IsZero() && r.Time.Before(s.opt.Since):
		return nil
	case !s.opt.Until.IsZero() && r.Time.After(s.opt.Until):
		return errPast
	}
	return s.fn(r)
}

// open opens the file when it is there. Tail counts in a file that was there at
// the first look; one that comes later is new from its start.
func (s *scanner) open() (bool, error) {
	if s.f != nil {
		return true, nil
	}
	first := !s.opened
	s.opened = true
	f, err := os.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("opening log: %w", err)
	}
	s.f = f
	s.lines = lines{f: f, limit: s.opt.Limit}
	if !first || s.opt.Tail < 0 {
		return true, nil
	}
	fi, err := f.Stat()
	if err != nil {
		return false, fmt.Errorf("reading log: %w", err)
	}
	size := fi.Size()
	if s.opt.Limit > 0 {
		size = min(size, s.opt.Limit)
	}
	s.lines.off, err = tailOffset(f, size, s.opt.Tail)
	return err == nil, err
}

// truncated notices that the file became shorter than what was read of it, and
// starts over.
func (s *scanner) truncated() (bool, error) {
	if !s.opt.Follow {
		return false, nil
	}
	fi, err := s.f.Stat()
	if err != nil {
		return false, fmt.Errorf("reading log: %w", err)
	}
	if fi.Size() >= s.lines.off {
		return false, nil
	}
	s.lines.restart(0)
	return true, nil
}

func closed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func passed(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }
