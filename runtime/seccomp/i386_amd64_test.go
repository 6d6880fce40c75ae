package seccomp_test

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestI386 runs a 32-bit program under the filter. It makes one call and exits
// with its errno.
func TestI386(t *testing.T) {
	for _, tc := range []struct {
		name string
		nr   uint32
		want unix.Errno
	}{
		{"getpid, allowed", 20, 0},
		{"mount", 21, unix.EPERM},
		{"keyctl", 288, unix.EPERM},
		{"clone3", 435, unix.ENOSYS},
		{"a call of the future", 500, unix.ENOSYS},
	} {
		path := filepath.Join(t.TempDir(), "call32")
		if err := os.WriteFile(path, program32(tc.nr), 0o755); err != nil {
			t.Fatal(err)
		}
		out, err := runChild(t, "exec", path)
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		got := 0
		if exit != nil {
			got = exit.ExitCode()
		}
		if tc.want == 0 && got == 0 || got == int(tc.want) && tc.want != 0 {
			continue
		}
		t.Errorf("%s: exit %d, want %d (%s)", tc.name, got, tc.want, out)
	}
}

// program32 is a static 32-bit ELF file: errno = call(nr); exit(errno). A
// result that is no error exits 0.
func program32(nr uint32) []byte {
	const base, header = 0x08048000, 52 + 32
	code := []byte{0xb8, 0, 0, 0, 0, // mov eax, nr
		0x31, 0xdb, // xor ebx, ebx
		0xcd, 0x80, // int 0x80
		0x85, 0xc0, // test eax, eax
		0x79, 0x04, // jns: no error
		0xf7, 0xd8, // neg eax
		0x89, 0xc3, // mov ebx, eax
		0xb8, 1, 0, 0, 0, // mov eax, 1 (exit)
		0xcd, 0x80} // int 0x80
	binary.LittleEndian.PutUint32(code[1:], nr)
	size := uint32(header + len(code))
	words := []any{
		[]byte("\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
		uint16(2), uint16(3), uint32(1), uint32(base + header), uint32(52), uint32(0), uint32(0),
		uint16(52), uint16(32), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(0), uint32(base), uint32(base), size, size, uint32(5), uint32(0x1000),
	}
	var file []byte
	for _, w := range words {
		if b, ok := w.([]byte); ok {
			file = append(file, b...)
			continue
		}
		file, _ = binary.Append(file, binary.LittleEndian, w) // fixed-size values cannot fail
	}
	return append(file, code...)
}
