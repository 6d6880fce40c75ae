package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Tag gives the image that source names one more name. If another image has
// that name it loses it.
func (s *Store) Tag(source, target string) error {
	ref, err := parseTagTarget(target)
	if err != nil {
		return err
	}
	if err := s.prepare(); err != nil {
		return err
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	img, err := s.Find(source)
	if err != nil {
		return err
	}
	return s.setRef(ref, img.ID)
}

func parseTagTarget(target string) (Reference, error) {
	ref, err := ParseReference(target)
	if err == nil && ref.Digest != "" {
		return ref, fmt.Errorf("%w: %q: a digest cannot be given as a name", ErrInvalidReference, target)
	}
	return ref, err
}

func (s *Store) refPath(ref Reference) string { return filepath.Join(s.refsDir(), ref.fileName()) }

// readRef gives the id that a name stands for.
func (s *Store) readRef(ref Reference) (string, error) {
	data, err := os.ReadFile(s.refPath(ref))
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%w: %s", ErrNoImage, ref)
	}
	if err != nil {
		return "", fmt.Errorf("finding image %s: %w", ref, err)
	}
	id := strings.TrimSuffix(string(data), "\n")
	if !isHex(id, 64) {
		return "", fmt.Errorf("finding image %s: %s is damaged", ref, s.refPath(ref))
	}
	return id, nil
}

func (s *Store) refersTo(ref Reference, id string) bool {
	got, err := s.readRef(ref)
	return err == nil && got == id
}

// setRef makes a name stand for an image. The lock must be held. The record
// learns of the name before the name exists: killed in between, it claims one
// name too many, which readers check.
func (s *Store) setRef(ref Reference, id string) error {
	name := ref.String()
	old, err := s.readRef(ref)
	if err != nil && !errors.Is(err, ErrNoImage) {
		return err
	}
	if err := s.editTags(id, func(tags []string) []string {
		if slices.Contains(tags, name) {
			return tags
		}
		return append(tags, name)
	}); err != nil {
		return err
	}
	if old == id {
		return nil
	}
	if err := writeFile(s.refPath(ref), []byte(id+"\n")); err != nil {
		return err
	}
	if old == "" {
		return nil
	}
	return s.forgetTag(old, name)
}

// dropRef takes a name away. The lock must be held.
func (s *Store) dropRef(ref Reference, id string) error {
	if err := os.Remove(s.refPath(ref)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("untagging %s: %w", ref, err)
	}
	return s.forgetTag(id, ref.String())
}

// forgetTag drops a name from an image's record, if that is still there.
func (s *Store) forgetTag(id, name string) error {
	err := s.editTags(id, func(tags []string) []string {
		return slices.DeleteFunc(tags, func(t string) bool { return t == name })
	})
	if errors.Is(err, ErrNoImage) {
		return nil
	}
	return err
}

func (s *Store) editTags(id string, edit func([]string) []string) error {
	rec, err := s.readRecord(id)
	if err != nil {
		return err
	}
	before := slices.Clone(rec.Tags)
	rec.Tags = edit(rec.Tags)
	if slices.Equal(before, rec.Tags) {
		return nil
	}
	return s.writeRecord(id, rec)
}
