package rootfs

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func lines(removed []Removed, img *Image) string {
	var all []string
	for _, r := range removed {
		all = append(all, strings.ReplaceAll(r.String(), img.ID, "ID"))
	}
	return strings.Join(all, ", ")
}

func TestRemove(t *testing.T) {
	requireRoot(t)
	used := func(string) []string { return []string{"c0ffee"} }
	for name, tc := range map[string]struct {
		tags  []string // besides a:latest
		ref   string   // ID stands for the image's id
		force bool
		inUse func(string) []string
		want  string // a layer's line is cut off
		err   error
		gone  bool
	}{
		"last name":            {ref: "a", want: "Untagged: a:latest, Deleted: sha256:ID", gone: true},
		"one of two names":     {tags: []string{"b:1"}, ref: "a:latest", want: "Untagged: a:latest"},
		"used, one of two":     {tags: []string{"b:1"}, ref: "a", inUse: used, want: "Untagged: a:latest"},
		"id":                   {ref: "ID", want: "Untagged: a:latest, Deleted: sha256:ID", gone: true},
		"id with two names":    {tags: []string{"b:1"}, ref: "ID", err: ErrConflict},
		"id, two, forced":      {tags: []string{"b:1"}, ref: "ID", force: true, want: "Untagged: a:latest, Untagged: b:1, Deleted: sha256:ID", gone: true},
		"used":                 {ref: "a", inUse: used, err: ErrConflict},
		"used, forced":         {ref: "a", force: true, inUse: used, want: "Untagged: a:latest"},
		"used by id, forced":   {ref: "ID", force: true, inUse: used, err: ErrConflict},
		"nobody":               {ref: "nobody", err: ErrNoImage},
		"not a name":           {ref: "A:B:C", err: ErrInvalidReference},
		"prefix stands for id": {ref: "sha256:ID", want: "Untagged: a:latest, Deleted: sha256:ID", gone: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			img := mustImport(t, s, "a", archive(t, file("f", "x")))
			for _, tag := range tc.tags {
				if err := s.Tag("a", tag); err != nil {
					t.Fatal(err)
				}
			}
			removed, err := s.Remove(strings.ReplaceAll(tc.ref, "ID", img.ID), tc.force, tc.inUse)
			if !errors.Is(err, tc.err) {
				t.Fatalf("got error %v, want %v", err, tc.err)
			}
			got := lines(removed, img)
			if tc.gone {
				got = got[:strings.LastIndex(got, ", Deleted: ")]
				checkEmpty(t, s)
			}
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if _, err := s.Find(img.ID); errors.Is(err, ErrNoImage) != tc.gone {
				t.Errorf("gone should be %v: %v", tc.gone, err)
			}
		})
	}
}

func TestRemoveKeepsSharedLayersAndSweepsOrphans(t *testing.T) {
	requireRoot(t)
	s := newStore(t)
	data := archive(t, file("f", "x"))
	a, b := mustImport(t, s, "a", data), mustImport(t, s, "b", data)
	other := mustImport(t, s, "other", archive(t, file("f", "y")))
	// What a removal that was killed leaves: an image without its record, whose layer nobody has.
	if err := os.Remove(s.recordPath(other.ID)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Remove("a", false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(b.Layers[0]); err != nil {
		t.Errorf("the layer that b has was deleted: %v", err)
	}
	if _, err := os.Stat(other.Layers[0]); err == nil {
		t.Error("the layer without an image is still there")
	}
	if _, err := os.Stat(s.imageDir(other.ID)); err == nil {
		t.Error("the image without a record is still there")
	}
	if a.Layers[0] != b.Layers[0] {
		t.Error("the layer is not shared")
	}
	if _, err := s.Remove("b", false, nil); err != nil || names(t, s.layersDir()) != ".tmp" {
		t.Errorf("%v, layers: %s", err, names(t, s.layersDir()))
	}
}

// A process that dies between moving a layer and writing the image's record, or
// between deleting the record and the layer, leaves its temporary directory.
func TestTheNextWriteSweepsAfterADeath(t *testing.T) {
	requireRoot(t)
	s := newStore(t)
	kept, lost := mustImport(t, s, "kept", archive(t, file("f", "x"))), mustImport(t, s, "", archive(t, file("f", "y")))
	if err := errors.Join(os.Remove(s.recordPath(lost.ID)), os.Mkdir(s.tempDirs()[0]+"/dead", 0o700),
		os.WriteFile(s.refsDir()+"/.tmp-1", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := s.Tag("kept", "again"); err != nil {
		t.Fatal(err)
	}
	if got := names(t, s.tempDirs()[0]); got != "" {
		t.Errorf("left over: %s", got)
	}
	for _, path := range []string{lost.Layers[0], s.imageDir(lost.ID), s.refsDir() + "/.tmp-1"} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", path, err)
		}
	}
	if _, err := os.Stat(kept.Layers[0]); err != nil {
		t.Error(err)
	}
}
