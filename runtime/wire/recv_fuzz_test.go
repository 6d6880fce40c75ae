package wire

import (
	"bytes"
	"io"
	"testing"
)

func FuzzRecv(f *testing.F) {
	f.Add([]byte{}, uint8(1))
	f.Add(append(header(TypeStdin, 3), "abc"...), uint8(2))
	f.Add(header(TypeStdin, MaxPayload+1), uint8(200))
	f.Add(append(header(99, 0), header(TypeSignal, 4)...), uint8(0))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		c := NewConn(&fakeConn{in: bytes.NewReader(in), step: int(step) + 1})
		var again []byte
		var err error
		for {
			var fr Frame
			if fr, err = c.Recv(); err != nil {
				break
			}
			again = append(append(again, header(fr.Type, uint32(len(fr.Payload)))...), fr.Payload...)
		}
		if !bytes.HasPrefix(in, again) {
			t.Fatalf("frames %x are not the start of %x", again, in)
		}
		if err == io.EOF && len(again) != len(in) {
			t.Fatalf("io.EOF with %d of %d bytes read", len(again), len(in))
		}
		if len(c.buf) > headerLen+MaxPayload {
			t.Fatalf("buffer of %d bytes", len(c.buf))
		}
	})
}

func BenchmarkStdoutFrame(b *testing.B) {
	x, y := pair(b)
	p := make([]byte, 4096)
	b.ReportAllocs()
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		if err := x.Send(TypeStdout, p); err != nil {
			b.Fatal(err)
		}
		if _, err := y.Recv(); err != nil {
			b.Fatal(err)
		}
	}
}
