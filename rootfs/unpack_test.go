package rootfs

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestHostileNamesAreRefused(t *testing.T) {
	requireRoot(t)
	long := strings.Repeat("x", 256)
	for name, tc := range map[string]struct {
		entries []tar.Header
		want    error
	}{
		"dotdot":              {[]tar.Header{file("../evil", "x")}, ErrEscapes},
		"dotdot inside":       {[]tar.Header{file("a/../../evil", "x")}, ErrEscapes},
		"absolute dotdot":     {[]tar.Header{file("/../evil", "x")}, ErrEscapes},
		"hard link dotdot":    {[]tar.Header{hardlink("a", "../evil")}, ErrEscapes},
		"hard link to nobody": {[]tar.Header{hardlink("a", "b")}, unix.ENOENT},
		"hard link absolute":  {[]tar.Header{hardlink("a", "/etc/hostname")}, unix.ENOENT},
		"long component":      {[]tar.Header{file(long, "x")}, ErrLimit},
		"long name":           {[]tar.Header{file(strings.Repeat("xy/", 2000)+"z", "x")}, ErrLimit},
		"whiteout of nothing": {[]tar.Header{file(".wh.", "")}, ErrUnsupported},
		"whiteout of dotdot":  {[]tar.Header{file("a/.wh...", "")}, ErrUnsupported},
		"root is a file":      {[]tar.Header{file(".", "x")}, ErrUnsupported},
		"root is a link":      {[]tar.Header{symlink(".", "/")}, ErrUnsupported},
		"owner out of range":  {[]tar.Header{{Name: "a", Uid: -1}}, ErrUnsupported},
		"loop of links":       {[]tar.Header{symlink("a", "b"), symlink("b", "a"), file("a/c", "x")}, unix.ELOOP},
	} {
		t.Run(name, func(t *testing.T) {
			path, err := unpackInto(t, archive(t, tc.entries...))
			if !errors.Is(err, tc.want) {
				t.Errorf("got error %v, want %v", err, tc.want)
			}
			if _, err := os.Lstat(filepath.Join(path, "..", "evil")); err == nil {
				t.Error("a file was made outside")
			}
		})
	}
}

// Each archive plants a link that leads out of the layer, then writes through
// it. All must end up inside.
func TestLinksCannotLeadOut(t *testing.T) {
	requireRoot(t)
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "victim"), []byte("safe"), 0o600); err != nil {
		t.Fatal(err)
	}
	up := strings.Repeat("../", 30) + strings.TrimPrefix(outside, "/")
	for name, entries := range map[string][]tar.Header{
		"write below absolute link":  {dir(outside), symlink("l", outside), file("l/victim", "evil")},
		"write below relative link":  {dir(outside), symlink("l", up), file("l/victim", "evil")},
		"write on link":              {symlink("l", outside+"/victim"), file("l", "evil")},
		"directory on link":          {symlink("l", outside), {Name: "l", Typeflag: tar.TypeDir, Mode: 0o777, Uid: 99}},
		"whiteout below link":        {dir(outside), symlink("l", outside), file("l/.wh.victim", "")},
		"opaque below link":          {dir(outside), symlink("l", outside), file("l/.wh..wh..opq", "")},
		"replace directory by link":  {dir("d"), file("d/victim", "x"), symlink("d", outside), dir(outside), file("d/victim", "evil")},
		"write through linked link":  {symlink("l", outside+"/victim"), hardlink("k", "l"), file("k", "evil")},
		"late directory meta":        {dir("d"), symlink("d", outside)},
		"link to proc":               {symlink("l", "/proc/self/cwd"), dir("proc/self/cwd"), file("l/victim", "evil")},
		"absolute name":              {file(outside+"/victim", "evil")},
		"device in place of link":    {symlink("l", outside+"/victim"), {Name: "l", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3, Mode: 0o666}},
		"chown of a link, not below": {{Name: "l", Linkname: outside + "/victim", Typeflag: tar.TypeSymlink, Uid: 99, Gid: 99}},
	} {
		t.Run(name, func(t *testing.T) {
			mustUnpack(t, entries...)
			if got := read(t, outside, "victim"); got != "safe" {
				t.Errorf("the file outside became %q", got)
			}
			if got := names(t, outside); got != "victim" {
				t.Errorf("outside holds %q", got)
			}
			for _, p := range []string{outside, filepath.Join(outside, "victim")} {
				var st unix.Stat_t
				if err := unix.Stat(p, &st); err != nil || st.Uid != 0 || st.Mode&0o022 != 0 && p != outside {
					t.Errorf("%s was changed: %v %+v", p, err, st)
				}
			}
		})
	}
}

func TestHardLinkThroughLinkStaysInside(t *testing.T) {
	requireRoot(t)
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "victim"), []byte("safe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := unpackInto(t, archive(t, symlink("l", outside), hardlink("k", "l/victim"))); !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %v, want ENOENT", err)
	}
}

func TestUnpackKeepsWhatTarKnows(t *testing.T) {
	requireRoot(t)
	caps := "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	entries := []tar.Header{
		{Name: "./", Typeflag: tar.TypeDir, Mode: 0o751, Uid: 7},
		{Name: "bin", Typeflag: tar.TypeDir, Mode: 0o1555},
		{Name: "bin/su", Linkname: "body", Mode: 0o4755, Uid: 3, Gid: 4, Format: tar.FormatPAX, PAXRecords: map[string]string{
			paxXattr + "security.capability": caps, paxXattr + "user.note": "hi",
			paxXattr + "trusted.overlay.redirect": "/x", paxXattr + "user.overlay.opaque": "y",
		}},
		hardlink("bin/sg", "bin/su"),
		symlink("sh", "bin/su"),
		{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3, Mode: 0o666},
		{Name: "pipe", Typeflag: tar.TypeFifo, Mode: 0o622},
		file("new/parent/f", "x"),
		file("twice", "a"), file("twice", "b"),
	}
	path := mustUnpack(t, entries...)
	for name, want := range map[string]struct {
		mode fs.FileMode
		uid  uint32
	}{
		".": {fs.ModeDir | 0o751, 7}, "bin": {fs.ModeDir | fs.ModeSticky | 0o555, 0}, "bin/su": {fs.ModeSetuid | 0o755, 3},
		"sh": {fs.ModeSymlink | 0o777, 0}, "null": {fs.ModeDevice | fs.ModeCharDevice | 0o666, 0}, "pipe": {fs.ModeNamedPipe | 0o622, 0},
	} {
		st, err := os.Lstat(filepath.Join(path, name))
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode() != want.mode || st.Sys().(*syscall.Stat_t).Uid != want.uid {
			t.Errorf("%s: got %v uid %d, want %v", name, st.Mode(), st.Sys().(*syscall.Stat_t).Uid, want)
		}
		if !st.ModTime().Equal(testTime) {
			t.Errorf("%s: time is %v", name, st.ModTime())
		}
	}
	su := filepath.Join(path, "bin/su")
	var st, st2 unix.Stat_t
	if err := errors.Join(unix.Stat(su, &st), unix.Stat(filepath.Join(path, "bin/sg"), &st2)); err != nil || st.Ino != st2.Ino || st.Gid != 4 {
		t.Errorf("hard link: %v, inodes %d and %d, gid %d", err, st.Ino, st2.Ino, st.Gid)
	}
	buf := make([]byte, 100)
	for name, want := range map[string]string{"security.capability": caps, "user.note": "hi"} {
		n, err := unix.Getxattr(su, name, buf)
		if err != nil || string(buf[:n]) != want {
			t.Errorf("%s: got %q, %v", name, buf[:max(n, 0)], err)
		}
	}
	for _, name := range []string{"trusted.overlay.redirect", "user.overlay.opaque"} {
		if _, err := unix.Getxattr(su, name, buf); err == nil {
			t.Errorf("%s was taken from the archive", name)
		}
	}
	if got := read(t, path, "twice"); got != "b" {
		t.Errorf("of two entries the later counts, got %q", got)
	}
}

func TestWhiteoutsBecomeOverlays(t *testing.T) {
	requireRoot(t)
	path := mustUnpack(t,
		file(".wh.gone", ""), file("d/.wh.gone", ""),
		dir("opaque"), file("opaque/.wh..wh..opq", ""), file("opaque/kept", "x"),
		file(".wh.reborn", ""), dir("reborn"), file(".wh.deep", ""), file("deep/f", "x"),
		dir("same"), file(".wh.same", ""), file(".wh..wh.plnk", ""))
	for name, want := range map[string]string{"": "d deep gone opaque reborn same", "d": "gone", "opaque": "kept"} {
		if got := names(t, path, name); got != want {
			t.Errorf("%q holds %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"gone", "d/gone"} {
		if !isWhiteoutAt(unix.AT_FDCWD, filepath.Join(path, name)) {
			t.Errorf("%s is no whiteout", name)
		}
	}
	for name, want := range map[string]bool{"opaque": true, "reborn": true, "deep": true, "same": true, "d": false} {
		f, err := os.Open(filepath.Join(path, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := isOpaque(int(f.Fd())); got != want {
			t.Errorf("%s: opaque is %v, want %v", name, got, want)
		}
		f.Close()
	}
}

func TestLimits(t *testing.T) {
	requireRoot(t)
	data := archive(t, file("a", "1234"), file("b", "5678"))
	for name, tc := range map[string]struct {
		limits Limits
		want   error
	}{
		"fits":         {Limits{Entries: 2, Bytes: 8}, nil},
		"too many":     {Limits{Entries: 1, Bytes: 8}, ErrLimit},
		"too large":    {Limits{Entries: 2, Bytes: 7}, ErrLimit},
		"the defaults": {Limits{}, nil},
	} {
		root, err := os.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		_, err = unpack(root, tar.NewReader(bytes.NewReader(data)), tc.limits.orDefault())
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
		root.Close()
	}
}

func TestNestingBeyondWhatAPathCanNameIsRefused(t *testing.T) {
	requireRoot(t)
	deep := strings.Repeat("d/", 1500)
	_, err := unpackInto(t, archive(t, dir(deep), symlink("l", deep), file("l/"+deep+"f", "x")))
	if !errors.Is(err, ErrLimit) {
		t.Errorf("got %v, want %v", err, ErrLimit)
	}
}

func FuzzInsideName(f *testing.F) {
	for _, s := range []string{"", "/", "a", "../a", "a/../..", "./.", "//..//x", "a//b/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := insideName(s)
		if err == nil && (name == "" || !filepath.IsLocal(name)) {
			t.Errorf("%q became %q", s, name)
		}
	})
}

func TestRepeatedDirectoryIsRememberedOnce(t *testing.T) {
	u := &unpacker{dirs: map[string]dirMeta{}}
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	hdr := &tar.Header{Uid: os.Getuid(), Gid: os.Getgid(), Mode: 0o755}
	for range 1000 {
		if err := u.dirMetadata(int(dir.Fd()), "same/name", hdr); err != nil {
			t.Fatal(err)
		}
	}
	if len(u.dirs) != 1 || u.nameBytes != len("same/name") {
		t.Errorf("%d directories, %d bytes of names", len(u.dirs), u.nameBytes)
	}
	u.nameBytes = maxNameBytes
	if err := u.dirMetadata(int(dir.Fd()), "other", hdr); !errors.Is(err, ErrLimit) {
		t.Errorf("beyond the limit: %v", err)
	}
}
