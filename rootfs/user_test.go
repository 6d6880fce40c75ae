package rootfs

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const (
	testPasswd = "root:x:0:0:root:/root:/bin/sh\nbob:x:1000:100:Bob:/home/bob:/bin/sh\n"
	testGroup  = "root:x:0:\nusers:x:100:\naudio:x:29:bob\nwheel:x:10:root,bob\n"
)

func TestLookupUser(t *testing.T) {
	for spec, want := range map[string]User{
		"":           {0, 0, []int{0, 10}, "root", "/root"},
		"root":       {0, 0, []int{0, 10}, "root", "/root"},
		"bob":        {1000, 100, []int{100, 29, 10}, "bob", "/home/bob"},
		"1000":       {1000, 100, []int{100, 29, 10}, "bob", "/home/bob"},
		"bob:wheel":  {1000, 10, []int{10}, "bob", "/home/bob"},
		"7:8":        {7, 8, []int{8}, "", "/"},
		"7":          {7, 0, []int{0}, "", "/"},
		"1000:users": {1000, 100, []int{100}, "bob", "/home/bob"},
	} {
		got, err := LookupUser(strings.NewReader(testPasswd), strings.NewReader(testGroup), spec, nil)
		if err != nil {
			t.Errorf("%q: %v", spec, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", spec, diff)
		}
	}
	got, err := LookupUser(strings.NewReader(testPasswd), strings.NewReader(testGroup), "bob", []string{"wheel", "4242"})
	if err != nil || !cmp.Equal(got.Groups, []int{100, 29, 10, 4242}) && !cmp.Equal(got.Groups, []int{100, 29, 4242, 10}) {
		t.Errorf("extra groups: got %v, %v", got.Groups, err)
	}
	got, err = LookupUser(nil, nil, "5", nil)
	if err != nil || !cmp.Equal(got, User{5, 0, []int{0}, "", "/"}) {
		t.Errorf("without files: got %+v, %v", got, err)
	}
}

func TestLookupUserErrors(t *testing.T) {
	for spec, want := range map[string]string{
		"alice":      "unable to find user alice: no matching entries in passwd file",
		"bob:staff":  "unable to find group staff: no matching entries in group file",
		"2147483648": "uids and gids must be in range 0-2147483647",
	} {
		_, err := LookupUser(strings.NewReader(testPasswd), strings.NewReader(testGroup), spec, nil)
		if err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %q", spec, err, want)
		}
	}
	if _, err := LookupUser(nil, nil, "bob", nil); err == nil || err.Error() != "unable to find user bob: no matching entries in passwd file" {
		t.Errorf("without files: got %v", err)
	}
	endless := io.MultiReader(strings.NewReader(testPasswd), readerFunc(func(p []byte) (int, error) { return len(p), nil }))
	if _, err := LookupUser(endless, nil, "0", nil); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("endless file: got %v", err)
	}
}

func TestOpenInRoot(t *testing.T) {
	path := t.TempDir()
	for name, content := range map[string]string{"passwd": "inside"} {
		if err := os.WriteFile(filepath.Join(path, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"abs": "/passwd", "up": "../../../passwd", "host": "/etc/hostname", "magic": "/proc/self/exe", "loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(path, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(path, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for name, want := range map[string]error{
		"passwd": nil, "/passwd": nil, "abs": nil, "up": nil, "../passwd": nil,
		"host": unix.ENOENT, "magic": unix.ENOENT, "loop": unix.ELOOP, "fifo": ErrNotPlainFile, "nobody": unix.ENOENT, "passwd/x": unix.ENOTDIR,
	} {
		// A deadline, as a FIFO that is opened blocks for ever.
		timer := time.AfterFunc(10*time.Second, func() { panic("opening " + name + " blocks") })
		f, err := OpenInRoot(root, name)
		timer.Stop()
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
		if err != nil {
			continue
		}
		if got, err := io.ReadAll(f); err != nil || string(got) != "inside" {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		f.Close()
	}
}
