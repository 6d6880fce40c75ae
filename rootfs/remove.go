package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Removed is one line of what [Store.Remove] did: a name or an id, never both.
type Removed struct {
	Untagged string // name that no longer stands for an image
	Deleted  string // sha256:… of an image or a layer that is gone
}

// String gives the line that docker rmi prints.
func (r Removed) String() string {
	if r.Untagged != "" {
		return "Untagged: " + r.Untagged
	}
	return "Deleted: " + r.Deleted
}

// Remove does what docker rmi does. A name is taken away; with the last name of
// an image goes the image, with all layers that no other image has. An id goes
// with all its names, if there is but one or force is given.
//
// inUse tells which containers, running or not, use an image; nil means none.
// Such an image is never deleted. With force its name is taken away all the
// same. Errors are [ErrNoImage], [ErrAmbiguous] or [ErrConflict]; the list says
// what was done before the error.
func (s *Store) Remove(ref string, force bool, inUse func(imageID string) []string) ([]Removed, error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	r := removal{s: s, force: force, inUse: inUse}
	err = r.run(ref)
	unlock()
	// What was deleted lies in a directory of ours by now, which nobody else
	// looks at: the lock need not be held for it.
	if r.trash != nil {
		err = errors.Join(err, r.trash.discard())
	}
	return r.done, err
}

type removal struct {
	s     *Store
	force bool
	inUse func(string) []string
	trash *tempDir
	done  []Removed
}

func (r *removal) run(ref string) error {
	img, err := r.s.Find(ref)
	if err != nil {
		return err
	}
	name, isName := nameOf(ref, img)
	users := r.users(img.ID)
	if isName && (len(img.RepoTags) > 1 || len(users) > 0) {
		return r.untag(name, img, users)
	}
	short := img.ID[:12]
	if !isName && len(img.RepoTags) > 1 && !r.force {
		return fmt.Errorf("%w: unable to delete %s (must be forced) - image is referenced in multiple repositories", ErrConflict, short)
	}
	if len(users) > 0 {
		return fmt.Errorf("%w: unable to delete %s (cannot be forced) - image is being used by container %s", ErrConflict, short, users[0])
	}
	return r.delete(img)
}

func (r *removal) users(id string) []string {
	if r.inUse == nil {
		return nil
	}
	return r.inUse(id)
}

// nameOf tells whether ref is one of the image's names, not its id.
func nameOf(ref string, img *Image) (Reference, bool) {
	name, err := ParseReference(ref)
	if err != nil {
		return name, false
	}
	for _, tag := range img.RepoTags {
		if tag == name.String() {
			return name, true
		}
	}
	return name, false
}

// untag takes one name away from an image that stays.
func (r *removal) untag(name Reference, img *Image, users []string) error {
	if len(img.RepoTags) == 1 && !r.force {
		return fmt.Errorf("%w: unable to remove repository reference %q (must force) - container %s is using its referenced image %s",
			ErrConflict, name.String(), users[0], img.ID[:12])
	}
	if err := r.s.dropRef(name, img.ID); err != nil {
		return err
	}
	r.done = append(r.done, Removed{Untagged: name.String()})
	return nil
}

// delete removes the names, then the image, then the layers that are left
// without one. Killed in between, the next write finds the rest.
func (r *removal) delete(img *Image) error {
	for _, tag := range img.RepoTags {
		ref, err := ParseReference(tag)
		if err != nil {
			return err
		}
		if err := r.s.dropRef(ref, img.ID); err != nil {
			return err
		}
		r.done = append(r.done, Removed{Untagged: tag})
	}
	if err := r.makeTrash(); err != nil {
		return err
	}
	if err := os.Remove(r.s.recordPath(img.ID)); err != nil {
		return fmt.Errorf("deleting image: %w", err)
	}
	r.done = append(r.done, Removed{Deleted: "sha256:" + img.ID})
	return r.sweep()
}

// makeTrash comes before anything is deleted: if this process dies, the trash
// tells the next one that there may be more to sweep.
func (r *removal) makeTrash() (err error) {
	r.trash, err = newTempLocked(r.s.tempDirs()[0])
	return err
}

// sweep moves away all that no image needs. The lock must be held.
func (r *removal) sweep() error {
	return errors.Join(r.sweepImages(), r.sweepRefs(), r.sweepLayers())
}

// sweepUnused removes what an import or a removal that was killed left.
func (s *Store) sweepUnused() error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	trash, err := s.sweepUnusedLocked()
	unlock()
	if trash != nil {
		err = errors.Join(err, trash.discard())
	}
	return err
}

func (s *Store) sweepUnusedLocked() (*tempDir, error) {
	r := removal{s: s}
	if err := r.makeTrash(); err != nil {
		return nil, err
	}
	return r.trash, r.sweep()
}

// sweepImages removes the directories of images that have no record.
func (r *removal) sweepImages() error {
	entries, err := os.ReadDir(r.s.imagesDir())
	if err != nil {
		return fmt.Errorf("looking for deleted images: %w", err)
	}
	for _, e := range entries {
		if !isHex(e.Name(), 64) {
			continue
		}
		if _, statErr := os.Stat(r.s.recordPath(e.Name())); errors.Is(statErr, os.ErrNotExist) {
			err = errors.Join(err, os.RemoveAll(r.s.imageDir(e.Name())))
		}
	}
	return err
}

// sweepRefs removes half-written files; whoever wrote them held the lock, so he is dead.
func (r *removal) sweepRefs() error {
	entries, err := os.ReadDir(r.s.refsDir())
	if err != nil {
		return fmt.Errorf("looking for left-over names: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			err = errors.Join(err, os.Remove(filepath.Join(r.s.refsDir(), e.Name())))
		}
	}
	return err
}

// sweepLayers moves the layers that no image has into the trash.
func (r *removal) sweepLayers() error {
	used, err := r.s.usedLayers()
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(r.s.layersDir())
	if err != nil {
		return fmt.Errorf("looking for unused layers: %w", err)
	}
	for _, e := range entries {
		if !isHex(e.Name(), 64) || used[e.Name()] {
			continue
		}
		if err := os.Rename(r.s.layerDir(e.Name()), filepath.Join(r.trash.path, e.Name())); err != nil {
			return fmt.Errorf("deleting layer: %w", err)
		}
		r.done = append(r.done, Removed{Deleted: "sha256:" + e.Name()})
	}
	return nil
}

func (s *Store) usedLayers() (map[string]bool, error) {
	ids, err := s.imageIDs()
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, id := range ids {
		rec, err := s.readRecord(id)
		if err != nil {
			return nil, fmt.Errorf("counting layers' users: %w", err)
		}
		for _, diff := range rec.DiffIDs {
			used[diff] = true
		}
	}
	return used, nil
}
