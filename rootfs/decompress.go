package rootfs

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
)

// magics are the first bytes of the compressed formats an archive may come in.
// The tool is what a person would use for a format that mini cannot read.
var magics = []struct{ magic, format, tool string }{
	{"\x1f\x8b", "gzip", ""},
	{"BZh", "bzip2", ""},
	{"\xfd7zXZ\x00", "xz", "xz -dc"},
	{"\x28\xb5\x2f\xfd", "zstd", "zstd -dc"},
	{"\x04\x22\x4d\x18", "lz4", "lz4 -dc"},
	{"\x5d\x00\x00", "lzma", "xz -dc"},
}

// decompress looks at the first bytes of r and gives the plain stream.
func decompress(r io.Reader) (io.Reader, error) {
	br := bufio.NewReaderSize(r, 256<<10)
	head, err := br.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading archive: %w", err)
	}
	if len(head) == 0 {
		return nil, fmt.Errorf("reading archive: it is empty: %w", io.ErrUnexpectedEOF)
	}
	for _, m := range magics {
		if !bytes.HasPrefix(head, []byte(m.magic)) {
			continue
		}
		switch m.format {
		case "gzip":
			zr, err := gzip.NewReader(br)
			if err != nil {
				return nil, fmt.Errorf("reading gzip archive: %w", err)
			}
			return zr, nil
		case "bzip2":
			return bzip2.NewReader(br), nil
		}
		return nil, fmt.Errorf("%s-compressed archives are %w: decompress it first, as in %s ARCHIVE | …",
			m.format, ErrUnsupported, m.tool)
	}
	return br, nil
}

// meter passes a stream on, hashes it, and stops it at a limit or when ctx ends.
type meter struct {
	ctx  context.Context
	r    io.Reader
	hash hash.Hash
	left int64
}

func (m *meter) Read(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(p)
	m.hash.Write(p[:n]) // never fails: see hash.Hash
	m.left -= int64(n)
	if m.left < 0 {
		return n, fmt.Errorf("the uncompressed archive is too large: %w", ErrLimit)
	}
	return n, err
}
