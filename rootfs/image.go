package rootfs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Image is a root file system and how to run it.
type Image struct {
	ID       string      // sha256 of the configuration, 64 hexadecimal digits
	RepoTags []string    // names such as busybox:latest, sorted
	Created  time.Time   // in UTC
	Size     int64       // bytes in the regular files of all layers
	Layers   []string    // absolute directories, topmost first, as lowerdir= wants them
	Config   ImageConfig // command, environment and so on
}

// record is an image.json. Its Tags may name too much, never too little: the
// files in refs decide.
type record struct {
	Created time.Time
	Size    int64
	DiffIDs []string // of the layers, lowest first, as in the image's configuration
	Tags    []string
	Config  ImageConfig
}

// Find gives the image that ref names: a name, name:tag, an id with or without
// "sha256:", or a prefix of an id that no other image has. As in Docker a whole
// id is looked for first, then a name, then a prefix. Without such an image the
// error is [ErrNoImage]; for a prefix of several it is [ErrAmbiguous].
//
// Find takes no lock. Who starts a container must record that it uses the image
// and then call Find again with the id, to be sure that the image was not
// removed in between.
func (s *Store) Find(ref string) (*Image, error) {
	id, err := s.resolve(ref)
	if err != nil {
		return nil, err
	}
	rec, err := s.readRecord(id)
	if err != nil {
		return nil, fmt.Errorf("finding image %q: %w", ref, err)
	}
	return s.image(id, rec), nil
}

func (s *Store) resolve(ref string) (id string, err error) {
	hexID := strings.TrimPrefix(ref, "sha256:")
	if isHex(hexID, 64) {
		return hexID, nil
	}
	name, parseErr := ParseReference(ref)
	if parseErr == nil {
		id, err := s.readRef(name)
		if err == nil || !errors.Is(err, ErrNoImage) {
			return id, err
		}
	}
	if len(hexID) < 64 && isHex(hexID, len(hexID)) {
		id, err := s.findPrefix(hexID)
		if !errors.Is(err, ErrNoImage) {
			return id, err
		}
	}
	if parseErr != nil {
		return "", parseErr
	}
	return "", fmt.Errorf("%w: %s", ErrNoImage, name)
}

func (s *Store) findPrefix(prefix string) (string, error) {
	ids, err := s.imageIDs()
	if err != nil {
		return "", err
	}
	found := ""
	for _, id := range ids {
		if !strings.HasPrefix(id, prefix) {
			continue
		}
		if found != "" {
			return "", fmt.Errorf("%w: %s", ErrAmbiguous, prefix)
		}
		found = id
	}
	if found == "" {
		return "", ErrNoImage
	}
	return found, nil
}

// imageIDs lists the complete images. A directory without a record is what an
// import or a removal that was killed left.
func (s *Store) imageIDs() ([]string, error) {
	entries, err := os.ReadDir(s.imagesDir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listing images: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if !isHex(e.Name(), 64) {
			continue
		}
		if _, err := os.Stat(s.recordPath(e.Name())); err == nil {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// List gives all images, the newest first.
func (s *Store) List() ([]*Image, error) {
	ids, err := s.imageIDs()
	if err != nil {
		return nil, err
	}
	var images []*Image
	for _, id := range ids {
		rec, err := s.readRecord(id)
		if errors.Is(err, ErrNoImage) {
			continue // removed since
		}
		if err != nil {
			return nil, fmt.Errorf("listing images: %w", err)
		}
		images = append(images, s.image(id, rec))
	}
	slices.SortFunc(images, func(a, b *Image) int {
		if c := b.Created.Compare(a.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return images, nil
}

func (s *Store) recordPath(id string) string { return filepath.Join(s.imageDir(id), "image.json") }

func (s *Store) readRecord(id string) (*record, error) {
	data, err := os.ReadFile(s.recordPath(id))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: sha256:%s", ErrNoImage, id)
	}
	if err != nil {
		return nil, fmt.Errorf("reading image: %w", err)
	}
	var rec record
	if err := json.Unmarshal(data, &rec); err != nil {
		return nil, fmt.Errorf("reading image %s: %w", s.recordPath(id), err)
	}
	return &rec, nil
}

func (s *Store) writeRecord(id string, rec *record) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("encoding image %s: %w", id, err)
	}
	return writeFile(s.recordPath(id), data)
}

// image turns a record into what callers see, with the tags that still hold.
func (s *Store) image(id string, rec *record) *Image {
	img := &Image{ID: id, Created: rec.Created, Size: rec.Size, Config: rec.Config}
	for _, tag := range rec.Tags {
		if ref, err := ParseReference(tag); err == nil && s.refersTo(ref, id) {
			img.RepoTags = append(img.RepoTags, tag)
		}
	}
	slices.Sort(img.RepoTags)
	for _, diff := range slices.Backward(rec.DiffIDs) {
		img.Layers = append(img.Layers, s.layerFS(diff))
	}
	return img
}
