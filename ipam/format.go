package ipam

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The file, in 64-bit words of the machine's byte order:
//
//	0        magic; zero until the file is complete
//	1        length of the configuration's text in bytes
//	2 …      the text, padded with zero bytes
//	         then the parts of a layout: cursor, levels, bits, owners
//
// The size follows from the configuration. Pages that hold only zeros are
// holes: a fresh /8 is 130 MiB long and occupies five pages.
const (
	magic      = 0x316d617069696d // "miipam1"
	headWords  = 2
	wordBytes  = 8
	maxTextLen = 1 << 20 // more is not believed
)

// load maps the file, whose lock is held. It makes the file first if that is
// not complete and create is set; without create it leaves f.data nil.
func (f *File) load(create bool) error {
	head, text, err := f.readHeader()
	if err != nil {
		return fmt.Errorf("reading pool file %s: %w", f.path, err)
	}
	l := f.layout()
	switch {
	case head == 0 && !create:
		return nil
	case head == 0:
		if err := f.make(l); err != nil {
			return errors.Join(fmt.Errorf("making pool file %s: %w", f.path, err), f.drop())
		}
		return nil
	case head != magic:
		return fmt.Errorf("%w: %s is not a pool file of this version of mini", ErrMismatch, f.path)
	case text != f.text:
		return fmt.Errorf("%w: %s is for %s, not for %s", ErrMismatch, f.path, text, f.text)
	}
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return fmt.Errorf("looking at pool file %s: %w", f.path, err)
	}
	if want := int64(l.total) * wordBytes; st.Size != want {
		return fmt.Errorf("%w: %s has %d bytes, but %s takes %d", ErrMismatch, f.path, st.Size, f.text, want)
	}
	return f.mapWords(l)
}

func (f *File) layout() layout {
	text := (len(f.text) + wordBytes - 1) / wordBytes
	return newLayout(f.space.size, headWords+text, true)
}

// readHeader returns the magic word and, if that is ours, the text of the
// configuration. An empty file has the magic 0.
func (f *File) readHeader() (head uint64, text string, err error) {
	const start = headWords * wordBytes
	buf := make([]byte, start+len(f.text))
	n, err := unix.Pread(f.fd, buf, 0)
	if err != nil || n < start {
		return 0, "", err
	}
	head = binary.NativeEndian.Uint64(buf)
	size := binary.NativeEndian.Uint64(buf[wordBytes:])
	if head != magic {
		return head, "", nil
	}
	if size > maxTextLen {
		return 0, "", fmt.Errorf("%w: its header is damaged", ErrMismatch)
	}
	if int(size) > len(f.text) {
		buf = make([]byte, start+int(size))
		if n, err = unix.Pread(f.fd, buf, 0); err != nil {
			return 0, "", err
		}
	}
	return head, string(buf[start:min(n, start+int(size))]), nil
}

// make fills the file. The magic comes last, so a file whose maker was killed
// counts as empty and is made again from nothing.
func (f *File) make(l layout) error {
	if err := unix.Ftruncate(f.fd, 0); err != nil {
		return fmt.Errorf("emptying it: %w", err)
	}
	if err := unix.Ftruncate(f.fd, int64(l.total)*wordBytes); err != nil {
		return fmt.Errorf("setting its size: %w", err)
	}
	if err := f.mapWords(l); err != nil {
		return err
	}
	copy(f.data[headWords*wordBytes:], f.text)
	f.tree.reserve()
	var e edit
	e.add(1, ^uint64(0), uint64(len(f.text)))
	e.add(0, ^uint64(0), magic)
	e.apply(f.tree.words)
	return nil
}

func (f *File) mapWords(l layout) error {
	data, err := unix.Mmap(f.fd, 0, l.total*wordBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mapping pool file %s: %w", f.path, err)
	}
	// A mapping begins at a page, so its words are aligned.
	words := unsafe.Slice((*uint64)(unsafe.Pointer(&data[0])), l.total)
	f.data = data
	f.tree = tree{layout: l, space: f.space, words: words}
	return nil
}

// mapped reports whether p points into the mapping.
func (f *File) mapped(p uintptr) bool {
	if len(f.data) == 0 {
		return false
	}
	start := uintptr(unsafe.Pointer(&f.data[0]))
	return p >= start && p-start < uintptr(len(f.data))
}
