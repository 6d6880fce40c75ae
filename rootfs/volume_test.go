package rootfs

import (
	"archive/tar"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestVolumes(t *testing.T) {
	s := newStore(t)
	v, err := s.CreateVolume("data")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(v.Path, "f"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := s.CreateVolume("data")
	if err != nil || *again != *v || v.Anonymous || v.Created.IsZero() {
		t.Errorf("got %+v, %v, want %+v", again, err, v)
	}
	anon, err := s.CreateVolume("")
	if err != nil || !anon.Anonymous || !isHex(anon.Name, 64) {
		t.Errorf("got %+v, %v", anon, err)
	}
	if list, err := s.ListVolumes(); err != nil || len(list) != 2 {
		t.Errorf("got %v, %v", list, err)
	}
	used := func(string) []string { return []string{"c0ffee"} }
	if err := s.RemoveVolume("data", used); !errors.Is(err, ErrConflict) || read(t, v.Path, "f") != "x" {
		t.Errorf("got %v", err)
	}
	if err := s.RemoveVolume("data", nil); err != nil {
		t.Error(err)
	}
	if _, err := s.FindVolume("data"); !errors.Is(err, ErrNoVolume) {
		t.Errorf("got %v", err)
	}
	if err := s.RemoveVolume("data", nil); !errors.Is(err, ErrNoVolume) {
		t.Errorf("got %v", err)
	}
	if got := names(t, s.volumesDir()); got != ".tmp "+anon.Name {
		t.Errorf("volumes: %s", got)
	}
	if got := names(t, s.tempDirs()[1]); got != "" {
		t.Errorf("left over: %s", got)
	}
}

func TestVolumeNames(t *testing.T) {
	for _, name := range []string{"ab", "a.b-c_D9", strings.Repeat("x", 255)} {
		if err := CheckVolumeName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "a", ".a", "-a", "_a", "..", "a/b", "/ab", "a b", "é0", "a\x00", strings.Repeat("x", 256)} {
		if err := CheckVolumeName(name); !errors.Is(err, ErrInvalidVolumeName) {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

func TestCopyUpMergesLayers(t *testing.T) {
	requireRoot(t)
	low := mustUnpack(t,
		tar.Header{Name: "data", Typeflag: tar.TypeDir, Mode: 0o1770, Uid: 5, Gid: 6},
		file("data/low", "low"), file("data/both", "low"), file("data/gone", "x"), file("data/dir/gone", "x"),
		file("data/opaque/hidden", "x"), file("data/covered/f", "x"), symlink("data/link", "/etc/passwd"),
		tar.Header{Name: "data/suid", Linkname: "x", Mode: 0o4755, Uid: 9}, tar.Header{Name: "data/pipe", Typeflag: tar.TypeFifo, Mode: 0o622})
	mid := mustUnpack(t,
		tar.Header{Name: "data", Typeflag: tar.TypeDir, Mode: 0o1770, Uid: 5, Gid: 6},
		file("data/both", "mid"), file("data/.wh.gone", ""), file("data/dir/.wh.gone", ""), file("data/dir/kept", "x"),
		dir("data/opaque"), file("data/opaque/.wh..wh..opq", ""), file("data/opaque/seen", "x"), file("data/covered", "file"))
	top := mustUnpack(t, file("data/both", "top"), symlink("top", "data/../../../.."), symlink("abs", "/data"))
	layers := []string{top, mid, low}
	for _, path := range []string{"/data", "data", "/abs", "/top/abs/./dir/..", "/../data/"} {
		dst := t.TempDir()
		if err := CopyUp(layers, path, dst); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		checkMerged(t, dst)
	}
}

func checkMerged(t *testing.T, dst string) {
	t.Helper()
	for name, want := range map[string]string{"": "both covered dir link low opaque pipe suid", "dir": "kept", "opaque": "seen"} {
		if got := names(t, dst, name); got != want {
			t.Errorf("%q holds %q, want %q", name, got, want)
		}
	}
	if got := read(t, dst, "both") + read(t, dst, "low") + read(t, dst, "covered"); got != "toplowfile" {
		t.Errorf("got %q", got)
	}
	if to, err := os.Readlink(filepath.Join(dst, "link")); err != nil || to != "/etc/passwd" {
		t.Errorf("link: %q, %v", to, err)
	}
	for name, want := range map[string]struct {
		mode fs.FileMode
		uid  uint32
	}{"suid": {fs.ModeSetuid | 0o755, 9}, "pipe": {fs.ModeNamedPipe | 0o622, 0}, "low": {0o755, 0}} {
		st, err := os.Lstat(filepath.Join(dst, name))
		if err != nil || st.Mode() != want.mode || st.Sys().(*syscall.Stat_t).Uid != want.uid || !st.ModTime().Equal(testTime) {
			t.Errorf("%s: %v, %v %v", name, err, st.Mode(), st.ModTime())
		}
	}
	if _, err := unix.Getxattr(dst, copyMark, nil); err == nil {
		t.Error("the mark is still there")
	}
}

func TestCopyUpTakesTheDirectorysAttributes(t *testing.T) {
	requireRoot(t)
	layer := mustUnpack(t, tar.Header{Name: "d", Typeflag: tar.TypeDir, Mode: 0o1770, Uid: 5, Gid: 6})
	dst := t.TempDir()
	if err := CopyUp([]string{layer}, "/d", dst); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(dst, &st); err != nil || st.Uid != 5 || st.Gid != 6 || st.Mode&0o7777 != 0o1770 {
		t.Errorf("%v %+v", err, st)
	}
}

func TestCopyUpStaysInTheImage(t *testing.T) {
	requireRoot(t)
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	layer := mustUnpack(t, symlink("l", outside), symlink("up", strings.Repeat("../", 40)+outside), symlink("loop", "loop"), file("f", "x"))
	for path, want := range map[string]error{
		"/l": nil, "/up": nil, "/l/../l": nil, "/nowhere": nil, strings.Repeat("../", 40) + outside: nil,
		"/loop": unix.ELOOP, "/f": unix.ENOTDIR,
	} {
		dst := t.TempDir()
		if err := CopyUp([]string{layer}, path, dst); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", path, err, want)
		}
		if got := names(t, dst); got != "" {
			t.Errorf("%s: copied %q", path, got)
		}
	}
}

func TestCopyUpOnlyFillsWhatIsEmpty(t *testing.T) {
	requireRoot(t)
	layer := mustUnpack(t, file("d/new", "x"))
	dst := t.TempDir()
	if err := os.WriteFile(filepath.Join(dst, "own"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CopyUp([]string{layer}, "/d", dst); err != nil || names(t, dst) != "own" {
		t.Errorf("%v, holds %q", err, names(t, dst))
	}
	// What a copy that was killed leaves is no content: it is done anew.
	if err := unix.Setxattr(dst, copyMark, nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := CopyUp([]string{layer}, "/d", dst); err != nil || names(t, dst) != "new" {
		t.Errorf("%v, holds %q", err, names(t, dst))
	}
}

func TestCopyUpFromManyAtOnce(t *testing.T) {
	requireRoot(t)
	layer := mustUnpack(t, file("d/a", "x"), file("d/b/c", "x"))
	dst := t.TempDir()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := CopyUp([]string{layer}, "/d", dst); err != nil {
				t.Error(err)
			}
			if got := names(t, dst); got != "a b" {
				t.Errorf("holds %q", got)
			}
		})
	}
	wg.Wait()
}

// TestRemoveHalfMadeVolume: a process killed between the two directories of a
// volume leaves one that can be removed.
func TestRemoveHalfMadeVolume(t *testing.T) {
	s := newStore(t)
	v, err := s.CreateVolume("data")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(v.Path); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveVolume("data", nil); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Dir(v.Path)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the outer directory is left: %v", err)
	}
}
