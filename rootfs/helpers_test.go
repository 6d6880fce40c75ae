package rootfs

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// requireRoot skips for a developer without root, and fails where tests must run.
func requireRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this test needs root")
	}
	t.Skip("SKIPPED: this test needs root")
}

var testTime = time.Unix(1_600_000_000, 0)

// archive builds a tar from headers; a regular file's Linkname is its content.
func archive(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range entries {
		body := ""
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			body, h.Linkname = h.Linkname, ""
			h.Size = int64(len(body))
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		if h.ModTime.IsZero() {
			h.ModTime = testTime
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func file(name, content string) tar.Header { return tar.Header{Name: name, Linkname: content} }
func dir(name string) tar.Header           { return tar.Header{Name: name, Typeflag: tar.TypeDir} }
func symlink(name, to string) tar.Header {
	return tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeSymlink}
}
func hardlink(name, to string) tar.Header {
	return tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeLink}
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func newStore(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "mini"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustImport(t testing.TB, s *Store, ref string, data []byte) *Image {
	t.Helper()
	img, err := s.Import(context.Background(), bytes.NewReader(data), ImportOptions{Ref: ref})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// unpackInto unpacks a tar into a new directory, as one layer.
func unpackInto(t testing.TB, data []byte) (string, error) {
	t.Helper()
	path := t.TempDir()
	root, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	_, err = unpack(root, tar.NewReader(bytes.NewReader(data)), Limits{}.orDefault())
	return path, err
}

func mustUnpack(t testing.TB, entries ...tar.Header) string {
	t.Helper()
	path, err := unpackInto(t, archive(t, entries...))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t testing.TB, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// names lists a directory, joined by spaces.
func names(t testing.TB, path ...string) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

// checkEmpty wants a store in which a failed import left nothing.
func checkEmpty(t testing.TB, s *Store) {
	t.Helper()
	for dir, want := range map[string]string{
		s.layersDir(): ".tmp", s.tempDirs()[0]: "", s.imagesDir(): ".lock refs", s.refsDir(): "",
	} {
		if got := names(t, dir); got != want {
			t.Errorf("%s holds %q, want %q", dir, got, want)
		}
	}
}
