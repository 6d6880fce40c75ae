package wire

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func listen(t *testing.T, dir, name string) *Listener {
	t.Helper()
	l, err := Listen(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestListenDialLongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 200))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l := listen(t, dir, "ctl")
	fi, err := os.Lstat(filepath.Join(dir, "ctl"))
	if err != nil || fi.Mode() != fs.ModeSocket|0o600 {
		t.Fatalf("socket: %v, %v", fi.Mode(), err)
	}
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		f, err := c.Recv()
		if err == nil {
			err = c.Send(TypeReply, f.Payload)
		}
		if err != nil {
			t.Error(err)
		}
	}()
	c, err := Dial(dir, "ctl")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Send(TypeRequest, []byte("ping")); err != nil {
		t.Fatal(err)
	}
	if f, err := c.Recv(); err != nil || f.Type != TypeReply || string(f.Payload) != "ping" {
		t.Fatalf("got %s %q, %v", f.Type, f.Payload, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "ctl")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Close: %v, want no socket", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
}

func TestListenInUse(t *testing.T) {
	dir := t.TempDir()
	l := listen(t, dir, "ctl")
	if _, err := Listen(dir, "ctl"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("second Listen: %v", err)
	}
	// A monitor that was killed leaves its file.
	l.l.Close()
	if _, err := Dial(dir, "ctl"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("Dial of an abandoned socket: %v", err)
	}
	listen(t, dir, "ctl")
	c, err := Dial(dir, "ctl")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestListenKeepsForeignFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "ctl")
	if err := os.WriteFile(file, []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := Listen(dir, "ctl"); err == nil {
		l.Close()
		t.Error("a plain file was taken for a socket")
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "keep" {
		t.Errorf("the file is now %q, %v", b, err)
	}
}

func TestBadNames(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"", ".", "..", "a/b", "/a", strings.Repeat("n", 120)} {
		if l, err := Listen(dir, name); err == nil {
			l.Close()
			t.Errorf("Listen(%q) succeeded", name)
		}
		if c, err := Dial(dir, name); err == nil {
			c.Close()
			t.Errorf("Dial(%q) succeeded", name)
		}
	}
	_, err := Dial(dir, "none")
	if !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "/proc/") {
		t.Errorf("Dial without a socket: %v", err)
	}
	if _, err := Dial(filepath.Join(dir, "none"), "ctl"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Dial without a directory: %v", err)
	}
}

func TestAllowed(t *testing.T) {
	for _, tc := range []struct {
		peer, own uint32
		want      bool
	}{{0, 0, true}, {0, 1000, true}, {1000, 1000, true}, {1000, 0, false}, {1001, 1000, false}, {65534, 0, false}} {
		if got := allowed(tc.peer, tc.own); got != tc.want {
			t.Errorf("allowed(%d, %d) = %v", tc.peer, tc.own, got)
		}
	}
}

func tempFile(t *testing.T, text string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return f
}

func readFD(t *testing.T, fd int) string {
	t.Helper()
	f := os.NewFile(uintptr(fd), "received")
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 100))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Files stay with their frame, whatever was sent before and after it in the
// same moment.
func TestFDsBelongToTheirFrame(t *testing.T) {
	a, b := pair(t)
	x, y, z := tempFile(t, "x"), tempFile(t, "y"), tempFile(t, "z")
	for _, err := range []error{
		a.Send(TypeStdout, []byte("before")),
		a.Send(TypeStdout, []byte("before too")),
		a.SendFDs(TypeRequest, []byte("two"), int(x.Fd()), int(y.Fd())),
		a.SendFDs(TypeRequest, nil, int(z.Fd())),
		a.Send(TypeStdout, []byte("after")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := [][]string{nil, nil, {"x", "y"}, {"z"}, nil}
	for i := range want {
		_, fds, err := b.RecvFDs()
		if err != nil {
			t.Fatal(err)
		}
		if len(fds) != len(want[i]) {
			t.Fatalf("frame %d: %d files, want %d", i, len(fds), len(want[i]))
		}
		for j, fd := range fds {
			if got := readFD(t, fd); got != want[i][j] {
				t.Errorf("frame %d, file %d: %q, want %q", i, j, got, want[i][j])
			}
		}
	}
}

func TestFDsNobodyWants(t *testing.T) {
	a, b := pair(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := a.SendFDs(TypeRequest, []byte("x"), int(w.Fd())); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := b.Recv(); err != nil {
		t.Fatal(err)
	}
	// End of file: no copy of the pipe's other end is left.
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestFDLimits(t *testing.T) {
	a, b := pair(t)
	f := tempFile(t, "f")
	many := make([]int, MaxFDs+1)
	for i := range many {
		many[i] = int(f.Fd())
	}
	if err := a.SendFDs(TypeRequest, nil, many...); err == nil {
		t.Error("too many files were sent")
	}
	if err := a.SendFDs(TypeRequest, nil, many[1:]...); err != nil {
		t.Fatal(err)
	}
	_, fds, err := b.RecvFDs()
	if err != nil || len(fds) != MaxFDs {
		t.Errorf("got %d files, %v", len(fds), err)
	}
	closeAll(fds)
	p, q := net.Pipe()
	defer p.Close()
	defer q.Close()
	if err := NewConn(p).SendFDs(TypeRequest, nil, 0); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("files through a pipe: %v", err)
	}
}
