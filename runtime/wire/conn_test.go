package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair returns two ends of a Unix stream socket.
func pair(t testing.TB) (*Conn, *Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = NewConn(c)
		t.Cleanup(func() { c.Close() })
	}
	return ends[0], ends[1]
}

func header(t Type, n uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{byte(t)}, n)
}

// fakeConn is a net.Conn that delivers in, a few bytes per read, and counts writes.
type fakeConn struct {
	net.Conn
	in     io.Reader
	step   int
	writes int
}

func (f *fakeConn) Read(p []byte) (int, error) { return f.in.Read(p[:min(len(p), f.step)]) }
func (f *fakeConn) Write(p []byte) (int, error) {
	f.writes++
	return 0, io.ErrShortWrite
}

func TestRoundTrip(t *testing.T) {
	a, b := pair(t)
	sizes := []int{0, 1, 5, 1023, 1024, 1025, 4096, 32 << 10, MaxPayload, 3, 0, MaxPayload}
	go func() {
		for i, n := range sizes {
			if err := a.Send(Type(i), bytes.Repeat([]byte{byte(i)}, n)); err != nil {
				t.Error(err)
			}
		}
		a.Close()
	}()
	for i, n := range sizes {
		f, err := b.Recv()
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		if f.Type != Type(i) || !bytes.Equal(f.Payload, bytes.Repeat([]byte{byte(i)}, n)) {
			t.Fatalf("frame %d: got %s of %d bytes, want %d bytes", i, f.Type, len(f.Payload), n)
		}
	}
	if _, err := b.Recv(); err != io.EOF {
		t.Fatalf("after the last frame: %v, want io.EOF", err)
	}
}

func TestRecvErrors(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   []byte
		want error
	}{
		{"nothing", nil, io.EOF},
		{"half a header", []byte{5, 0, 0}, io.ErrUnexpectedEOF},
		{"header only", header(TypeStdin, 1), io.ErrUnexpectedEOF},
		{"half a payload", append(header(TypeStdin, 4), 'a', 'b'), io.ErrUnexpectedEOF},
		{"one byte too long", header(TypeStdin, MaxPayload+1), ErrTooLong},
		{"hostile length", header(TypeStdin, 1<<32-1), ErrTooLong},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := NewConn(&fakeConn{in: bytes.NewReader(tc.in), step: 3})
			for range 2 { // the answer stays
				if _, err := c.Recv(); !errors.Is(err, tc.want) {
					t.Errorf("got %v, want %v", err, tc.want)
				}
			}
			if len(c.buf) > firstBuffer {
				t.Errorf("a buffer of %d bytes was made", len(c.buf))
			}
		})
	}
}

func TestSendTooLong(t *testing.T) {
	a, b := pair(t)
	if err := a.Send(TypeStdout, make([]byte, MaxPayload+1)); !errors.Is(err, ErrTooLong) {
		t.Fatalf("got %v, want ErrTooLong", err)
	}
	// Nothing was sent, so the connection still works.
	if err := a.Send(TypeStdinEOF, nil); err != nil {
		t.Fatal(err)
	}
	if f, err := b.Recv(); err != nil || f.Type != TypeStdinEOF {
		t.Fatalf("got %v, %v", f.Type, err)
	}
}

func TestBrokenSendStays(t *testing.T) {
	fc := &fakeConn{}
	c := NewConn(fc)
	for range 3 {
		if err := c.Send(TypeStdout, []byte("x")); !errors.Is(err, io.ErrShortWrite) {
			t.Fatalf("got %v", err)
		}
	}
	if fc.writes != 1 {
		t.Errorf("%d writes after a broken frame, want none", fc.writes-1)
	}
}

func TestWriteDeadline(t *testing.T) {
	a, _ := pair(t)
	if err := a.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var err error
	for err == nil { // until the socket is full
		err = a.Send(TypeStdout, make([]byte, MaxPayload))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
}

func TestReadDeadlineLosesNothing(t *testing.T) {
	a, b := pair(t)
	whole := append(header(TypeStdin, 3), "abc"...)
	for i := range whole {
		if _, err := a.c.Write(whole[i : i+1]); err != nil {
			t.Fatal(err)
		}
		if i == len(whole)-1 {
			break
		}
		if err := b.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Recv(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	if err := b.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if f, err := b.Recv(); err != nil || string(f.Payload) != "abc" {
		t.Fatalf("got %q, %v", f.Payload, err)
	}
}

func TestConcurrentSenders(t *testing.T) {
	a, b := pair(t)
	const senders, each = 8, 200
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			w := a.Writer(Type(s))
			for i := range each {
				n := 1 + (i*997+s)%5000
				if _, err := w.Write(bytes.Repeat([]byte{byte(s)}, n)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	go func() { wg.Wait(); a.Close() }()
	seen := 0
	for ; ; seen++ {
		f, err := b.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if i := bytes.IndexFunc(f.Payload, func(r rune) bool { return r != rune(f.Type) }); i >= 0 {
			t.Fatalf("a frame of sender %d holds byte %d", f.Type, f.Payload[i])
		}
	}
	if seen != senders*each {
		t.Errorf("%d frames, want %d", seen, senders*each)
	}
}

func TestWriterCuts(t *testing.T) {
	a, b := pair(t)
	text := strings.Repeat("0123456789", 15000)
	go func() {
		if n, err := io.WriteString(a.Writer(TypeExplain), text); n != len(text) || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
		a.Close()
	}()
	var got strings.Builder
	for {
		f, err := b.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got.Write(f.Payload)
	}
	if got.String() != text {
		t.Error("the text changed on its way")
	}
}

func TestBodies(t *testing.T) {
	a, b := pair(t)
	send := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	send(a.SendJSON(TypeExit, Exit{Code: 127, Error: "no such file"}))
	send(a.SendResize(24, 80))
	send(a.SendSignal(int(syscall.SIGTERM)))
	send(a.SendSignal(65))
	recv := func() Frame {
		t.Helper()
		f, err := b.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	var e Exit
	if err := recv().Decode(&e); err != nil || e.Code != 127 || e.Error != "no such file" {
		t.Errorf("exit: %+v, %v", e, err)
	}
	f := recv()
	if rows, cols, err := f.Size(); rows != 24 || cols != 80 || err != nil {
		t.Errorf("size: %d, %d, %v", rows, cols, err)
	}
	if _, err := f.Signal(); !errors.Is(err, ErrMalformed) {
		t.Errorf("signal from a resize: %v", err)
	}
	if n, err := recv().Signal(); n != 15 || err != nil {
		t.Errorf("signal: %d, %v", n, err)
	}
	if _, err := recv().Signal(); !errors.Is(err, ErrMalformed) {
		t.Errorf("signal 65: %v", err)
	}
	if err := (Frame{TypeExit, []byte("{")}).Decode(&e); err == nil {
		t.Error("half an object was decoded")
	}
}

func TestTypeString(t *testing.T) {
	for typ, want := range map[Type]string{0: "type 0", TypeStdinEOF: "stdin-eof", TypeExit: "exit", 12: "type 12", 255: "type 255"} {
		if got := typ.String(); got != want {
			t.Errorf("%d: %q, want %q", byte(typ), got, want)
		}
	}
}

// A frame on the output path must not cost memory each.
func TestAllocations(t *testing.T) {
	a, b := pair(t)
	p := make([]byte, 4096)
	roundTrip := func() {
		if err := a.Send(TypeStdout, p); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	roundTrip()
	if n := testing.AllocsPerRun(100, roundTrip); n > 1 {
		t.Errorf("%v allocations for a frame, want at most the one of package net", n)
	}
}

// TestGone: an end that was closed is noticed before what it sent was received.
func TestGone(t *testing.T) {
	a, b := pair(t)
	if err := a.Send(TypeRequest, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if b.Gone() {
		t.Error("the other end is there, and was called gone")
	}
	a.Close()
	if !b.Gone() {
		t.Error("the other end was closed, and is not called gone")
	}
	if _, err := b.Recv(); err != nil {
		t.Errorf("what was sent before is lost: %v", err)
	}
	b.Close()
	if !b.Gone() {
		t.Error("a connection that was closed here is not gone")
	}
}
