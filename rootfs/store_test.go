package rootfs

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestOpenTouchesNothing(t *testing.T) {
	s := newStore(t)
	if _, err := s.Find("busybox"); !errors.Is(err, ErrNoImage) {
		t.Errorf("got %v", err)
	}
	if list, err := s.List(); err != nil || len(list) != 0 {
		t.Errorf("got %v, %v", list, err)
	}
	if list, err := s.ListVolumes(); err != nil || len(list) != 0 {
		t.Errorf("got %v, %v", list, err)
	}
	if _, err := os.Stat(s.root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the root was made: %v", err)
	}
}

func TestImportAndFind(t *testing.T) {
	requireRoot(t)
	s := newStore(t)
	data := archive(t, dir("bin"), file("bin/sh", "12345"))
	img, err := s.Import(context.Background(), bytes.NewReader(gzipped(t, data)), ImportOptions{
		Ref: "busybox", Changes: []string{`CMD ["sh"]`, "ENV A=1"}, Message: "hello", Created: testTime,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, img.Layers[0], "bin/sh"); got != "12345" {
		t.Errorf("got %q", got)
	}
	want := &Image{
		ID: img.ID, RepoTags: []string{"busybox:latest"}, Created: testTime.UTC(), Size: 5, Layers: img.Layers,
		Config: ImageConfig{Cmd: []string{"sh"}, Env: []string{"A=1"}},
	}
	for _, ref := range []string{"busybox", "busybox:latest", "docker.io/library/busybox", img.ID, "sha256:" + img.ID, img.ID[:12], "sha256:" + img.ID[:4]} {
		got, err := s.Find(ref)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", ref, diff)
		}
	}
	for ref, want := range map[string]error{
		"busybox:1": ErrNoImage, "nobody": ErrNoImage, strings.Repeat("0", 64): ErrNoImage, "UPPER": ErrInvalidReference, "": ErrInvalidReference,
	} {
		if _, err := s.Find(ref); !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", ref, err, want)
		}
	}
}

func TestFailedImportsLeaveNothing(t *testing.T) {
	requireRoot(t)
	plain := archive(t, file("a", strings.Repeat("data", 1000)), file("b", "x"))
	packed := gzipped(t, plain)
	for name, tc := range map[string]struct {
		data []byte
		want error
	}{
		"empty":           {nil, io.ErrUnexpectedEOF},
		"not a tar":       {bytes.Repeat([]byte("hello "), 500), tar.ErrHeader},
		"truncated tar":   {plain[:2000], io.ErrUnexpectedEOF},
		"truncated gzip":  {packed[:len(packed)-10], io.ErrUnexpectedEOF},
		"damaged gzip":    {append(bytes.Clone(packed[:len(packed)-8]), 1, 2, 3, 4, 5, 6, 7, 8), gzip.ErrChecksum},
		"zstd":            {[]byte("\x28\xb5\x2f\xfd...."), ErrUnsupported},
		"xz":              {[]byte("\xfd7zXZ\x00...."), ErrUnsupported},
		"escape":          {archive(t, file("a", "x"), file("../b", "y")), ErrEscapes},
		"too many, late":  {archive(t, file("a", ""), file("b", ""), file("c", ""), file("d", "")), ErrLimit},
		"bomb after last": {append(bytes.Clone(plain), make([]byte, 1<<20)...), ErrLimit},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			_, err := s.Import(context.Background(), bytes.NewReader(tc.data), ImportOptions{
				Ref: "x", Limits: Limits{Entries: 3, Bytes: 100_000},
			})
			if !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			checkEmpty(t, s)
		})
	}
}

func TestImportChecksOptionsBeforeReading(t *testing.T) {
	s := newStore(t)
	for _, opts := range []ImportOptions{{Ref: "A"}, {Ref: "a@sha256:" + strings.Repeat("0", 64)}, {Changes: []string{"RUN x"}}} {
		if _, err := s.Import(context.Background(), iotestNoReader{t}, opts); err == nil {
			t.Errorf("%+v was accepted", opts)
		}
	}
	if _, err := os.Stat(s.root); err == nil {
		t.Error("something was written")
	}
}

type iotestNoReader struct{ t *testing.T }

func (r iotestNoReader) Read([]byte) (int, error) {
	r.t.Error("the archive was read")
	return 0, io.EOF
}

func TestImportStopsWhenCancelled(t *testing.T) {
	requireRoot(t)
	s := newStore(t)
	ctx, cancel := context.WithCancel(context.Background())
	data := archive(t, file("a", strings.Repeat("x", 1<<20)))
	r := io.MultiReader(bytes.NewReader(data[:600]), readerFunc(func(p []byte) (int, error) { cancel(); return 1, nil }))
	if _, err := s.Import(ctx, r, ImportOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	checkEmpty(t, s)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestConcurrentImportsOfOneArchive(t *testing.T) {
	requireRoot(t)
	s := newStore(t)
	data := archive(t, dir("bin"), file("bin/sh", "x"))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			opts := ImportOptions{Ref: fmt.Sprintf("img%d", i%4), Created: testTime.AddDate(0, 0, i)}
			if _, err := s.Import(context.Background(), bytes.NewReader(data), opts); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	list, err := s.List()
	if err != nil || len(list) != 8 {
		t.Fatalf("got %d images, %v", len(list), err)
	}
	tags := 0
	for _, img := range list {
		tags += len(img.RepoTags)
		if img.Layers[0] != list[0].Layers[0] {
			t.Errorf("layers differ: %s and %s", img.Layers[0], list[0].Layers[0])
		}
	}
	if tags != 4 || names(t, s.tempDirs()[0]) != "" {
		t.Errorf("%d tags, want 4; left over: %q", tags, names(t, s.tempDirs()[0]))
	}
}

// TestMain lets the test binary be a process that imports and gets killed.
func TestMain(m *testing.M) {
	if root := os.Getenv("ROOTFS_TEST_IMPORT"); root != "" {
		s, err := Open(root)
		if err == nil {
			_, err = s.Import(context.Background(), os.Stdin, ImportOptions{Ref: "killed"})
		}
		fmt.Fprintln(os.Stderr, "import ended:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestKilledImportLeavesGarbageThatTheNextOneRemoves(t *testing.T) {
	requireRoot(t)
	s := newStore(t)
	data := archive(t, file("a", "x"), file("b", strings.Repeat("y", 1<<20)))
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ROOTFS_TEST_IMPORT="+s.root)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// More than a pipe holds: once it is written, the child is in the middle of b.
	if _, err := in.Write(data[:800_000]); err != nil {
		t.Fatal(err)
	}
	live := newTempOf(t, s) // another import that is alive
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	if n := len(strings.Fields(names(t, s.tempDirs()[0]))); n != 2 {
		t.Errorf("%d temporary directories, want those of the two that live", n)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed: an error is what it must be
	if got := names(t, s.layersDir()); got != ".tmp" {
		t.Errorf("layers: %q", got)
	}
	img := mustImport(t, s, "fine", data)
	if got := names(t, s.tempDirs()[0]); got != filepath.Base(live.path) {
		t.Errorf("left over: %q, want only %q", got, filepath.Base(live.path))
	}
	if err := live.discard(); err != nil || img.Size != 1<<20+1 {
		t.Errorf("%v, size %d", err, img.Size)
	}
}

func newTempOf(t *testing.T, s *Store) *tempDir {
	t.Helper()
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	tmp, err := s.newTemp(s.tempDirs()[0])
	if err != nil {
		t.Fatal(err)
	}
	return tmp
}

func TestTagMovesNames(t *testing.T) {
	requireRoot(t)
	s := newStore(t)
	a, b := mustImport(t, s, "a", archive(t, file("f", "a"))), mustImport(t, s, "b", archive(t, file("f", "b")))
	for _, pair := range [][2]string{{"a", "localhost:5000/x/y:v1"}, {"b:latest", "a"}} {
		if err := s.Tag(pair[0], pair[1]); err != nil {
			t.Fatal(err)
		}
	}
	for ref, want := range map[string]string{"a": b.ID, "b": b.ID, "localhost:5000/x/y:v1": a.ID} {
		if img, err := s.Find(ref); err != nil || img.ID != want {
			t.Errorf("%s: got %v, %v", ref, img, err)
		}
	}
	img, err := s.Find(b.ID)
	if err != nil || !slices.Equal(img.RepoTags, []string{"a:latest", "b:latest"}) {
		t.Errorf("got %v, %v", img.RepoTags, err)
	}
	if err := s.Tag("nobody", "x"); !errors.Is(err, ErrNoImage) {
		t.Errorf("got %v", err)
	}
	if err := s.Tag(a.ID, "X"); !errors.Is(err, ErrInvalidReference) {
		t.Errorf("got %v", err)
	}
}

// A tag that the record claims but no file backs, as after a kill, does not show.
func TestStaleTagsDoNotShow(t *testing.T) {
	requireRoot(t)
	s := newStore(t)
	img := mustImport(t, s, "a", archive(t, file("f", "a")))
	if err := s.editTags(img.ID, func(tags []string) []string { return append(tags, "ghost:latest") }); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Find("a"); err != nil || !slices.Equal(got.RepoTags, []string{"a:latest"}) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestAmbiguousPrefix(t *testing.T) {
	requireRoot(t)
	s := newStore(t)
	seen := map[byte]bool{}
	for i := range 17 {
		id := mustImport(t, s, "", archive(t, file("f", fmt.Sprint(i)))).ID
		if seen[id[0]] {
			if _, err := s.Find(id[:1]); !errors.Is(err, ErrAmbiguous) {
				t.Errorf("got %v", err)
			}
			return
		}
		seen[id[0]] = true
	}
	t.Error("17 ids with different first digits")
}

func TestOverlayMountsAwkwardNames(t *testing.T) {
	requireRoot(t)
	base := filepath.Join(t.TempDir(), `a:b,c\d`)
	var dirs []string
	for _, name := range []string{"l1", `l:2`, `u\p`, `w,k`, "m"} {
		d := filepath.Join(base, name)
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, d)
	}
	if err := os.WriteFile(filepath.Join(dirs[1], "f"), []byte("low"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, shorten := range []bool{false, true} {
		inMountNamespace(t, func() error { return mountAndRead(dirs, shorten) })
	}
}

// mountAndRead stacks dirs[0] and dirs[1] on dirs[4] and reads a file of the lower one.
func mountAndRead(dirs []string, shorten bool) error {
	lowers := dirs[:2]
	if shorten {
		short, files, err := ShortLowers(lowers)
		if err != nil {
			return err
		}
		defer merged(files).Close()
		lowers = short
	}
	data, err := OverlayOptions(lowers, dirs[2], dirs[3])
	if err != nil {
		return err
	}
	if err := unix.Mount("overlay", dirs[4], "overlay", 0, data); err != nil {
		return fmt.Errorf("mounting %s: %w", data, err)
	}
	got, err := os.ReadFile(filepath.Join(dirs[4], "f"))
	if err == nil && string(got) != "low" {
		err = fmt.Errorf("got %q", got)
	}
	return err
}

// inMountNamespace runs do in a mount namespace of its own. The goroutine keeps
// its thread locked when it ends, so the thread dies, and the mounts with it.
func inMountNamespace(t *testing.T, do func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		lockThread()
		err := unix.Unshare(unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = do()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func BenchmarkFind(b *testing.B) {
	requireRoot(b)
	s := newStore(b)
	mustImport(b, s, "busybox", archive(b, dir("bin")))
	for b.Loop() {
		if _, err := s.Find("busybox"); err != nil {
			b.Fatal(err)
		}
	}
}

// The last step of an import fails: something else lies where the image should.
func TestImportThatCannotBeStoredLeavesNoLayer(t *testing.T) {
	requireRoot(t)
	opts := ImportOptions{Ref: "a", Created: testTime}
	data := archive(t, file("f", "x"))
	img, err := newStore(t).Import(context.Background(), bytes.NewReader(data), opts)
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t)
	kept := mustImport(t, s, "kept", archive(t, file("f", "y")))
	if err := os.WriteFile(s.imageDir(img.ID), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Import(context.Background(), bytes.NewReader(data), opts); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("got %v", err)
	}
	if got, want := names(t, s.layersDir()), ".tmp "+filepath.Base(filepath.Dir(kept.Layers[0])); got != want {
		t.Errorf("layers: %q, want %q", got, want)
	}
	if got := names(t, s.tempDirs()[0]); got != "" {
		t.Errorf("left over: %q", got)
	}
}
