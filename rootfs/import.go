package rootfs

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ImportOptions say what becomes of an imported archive.
type ImportOptions struct {
	Ref     string    // name of the image; without one it has only an id
	Changes []string  // Dockerfile instructions, see [ParseChanges]
	Message string    // comment in the image's history
	Created time.Time // the image's time; zero stands for now
	Limits  Limits    // what the archive may hold
}

// Import makes an image of a root file system in a tar archive, which may be
// compressed with gzip or bzip2. Everything that can be is checked before r is
// read. A failed import leaves nothing. It needs root's capabilities, for
// owners and devices.
func (s *Store) Import(ctx context.Context, r io.Reader, opts ImportOptions) (*Image, error) {
	var ref *Reference
	if opts.Ref != "" {
		parsed, err := parseTagTarget(opts.Ref)
		if err != nil {
			return nil, err
		}
		ref = &parsed
	}
	config, err := ParseChanges(opts.Changes)
	if err != nil {
		return nil, err
	}
	if err := s.prepare(); err != nil {
		return nil, err
	}
	tmp, err := s.newTemp(s.tempDirs()[0])
	if err != nil {
		return nil, err
	}
	img, err := s.importInto(ctx, tmp, r, ref, config, opts)
	if err := errors.Join(err, tmp.discard()); err != nil {
		return nil, fmt.Errorf("importing image: %w", err)
	}
	return img, nil
}

func (s *Store) importInto(ctx context.Context, tmp *tempDir, r io.Reader, ref *Reference, config ImageConfig, opts ImportOptions) (*Image, error) {
	layer, err := stageLayer(ctx, tmp, 0, r, opts.Limits.orDefault())
	if err != nil {
		return nil, err
	}
	created := opts.Created.UTC()
	if opts.Created.IsZero() {
		created = time.Now().UTC()
	}
	raw, err := json.Marshal(imageSpec{
		Created:      &created,
		Architecture: goruntime.GOARCH,
		OS:           "linux",
		Config:       config,
		RootFS:       rootFS{Type: "layers", DiffIDs: []string{"sha256:" + layer.diffID}},
		History:      []history{{Created: &created, Comment: opts.Message}},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding configuration: %w", err)
	}
	return s.commit(ref, raw, []stagedLayer{layer})
}

// stagedLayer is a layer that is unpacked but not yet part of the store.
type stagedLayer struct {
	diffID string // sha256 of the uncompressed archive
	dir    string // holds fs and layer.json
	size   int64
}

// layerInfo is a layer.json.
type layerInfo struct{ Size int64 }

// stageLayer unpacks an archive below tmp, as its layer number n.
func stageLayer(ctx context.Context, tmp *tempDir, n int, r io.Reader, limits Limits) (stagedLayer, error) {
	layer := stagedLayer{dir: filepath.Join(tmp.path, "layer-"+strconv.Itoa(n))}
	fs := filepath.Join(layer.dir, "fs")
	if err := os.MkdirAll(fs, 0o755); err != nil {
		return layer, fmt.Errorf("making layer: %w", err)
	}
	root, err := os.Open(fs)
	if err != nil {
		return layer, fmt.Errorf("making layer: %w", err)
	}
	defer root.Close()
	// A process's umask must not decide what the container's root looks like.
	if err := root.Chmod(0o755); err != nil {
		return layer, fmt.Errorf("making layer: %w", err)
	}
	plain, err := decompress(r)
	if err != nil {
		return layer, err
	}
	m := &meter{ctx: ctx, r: plain, hash: sha256.New(), left: limits.Bytes}
	if layer.size, err = unpack(root, tar.NewReader(m), limits); err != nil {
		return layer, err
	}
	// The hash covers what follows the end of the archive, too.
	if _, err := io.Copy(io.Discard, m); err != nil {
		return layer, fmt.Errorf("reading the archive's end: %w", err)
	}
	layer.diffID = hex.EncodeToString(m.hash.Sum(nil))
	info, err := json.Marshal(layerInfo{Size: layer.size})
	if err != nil {
		return layer, fmt.Errorf("encoding layer: %w", err)
	}
	if err := writeFile(filepath.Join(layer.dir, "layer.json"), info); err != nil {
		return layer, err
	}
	// A layer is trusted by its mere existence, so its data must be on the disk
	// before its name is: one sync for all files.
	if err := unix.Syncfs(int(root.Fd())); err != nil {
		return layer, fmt.Errorf("writing layer to disk: %w", err)
	}
	return layer, nil
}

// commit makes an image of its configuration and its layers, lowest first. All
// of it happens under the lock, so that no removal takes a layer for unused.
func (s *Store) commit(ref *Reference, raw []byte, layers []stagedLayer) (*Image, error) {
	var config imageSpec
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, fmt.Errorf("reading image configuration: %w", err)
	}
	sum := sha256.Sum256(raw)
	id := hex.EncodeToString(sum[:])
	rec := &record{Config: config.Config}
	if config.Created != nil {
		rec.Created = *config.Created
	}
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := s.adoptAll(ref, id, raw, rec, layers); err != nil {
		trash, sweepErr := s.sweepUnusedLocked()
		err = errors.Join(err, sweepErr)
		if trash != nil {
			err = errors.Join(err, trash.discard())
		}
		return nil, err
	}
	return s.Find(id)
}

func (s *Store) adoptAll(ref *Reference, id string, raw []byte, rec *record, layers []stagedLayer) error {
	for _, l := range layers {
		if err := s.adopt(l); err != nil {
			return err
		}
		rec.DiffIDs = append(rec.DiffIDs, l.diffID)
		rec.Size += l.size
	}
	if err := s.writeImage(id, raw, rec); err != nil {
		return err
	}
	if ref == nil {
		return nil
	}
	return s.setRef(*ref, id)
}

// adopt renames a layer into place, unless the store has it.
func (s *Store) adopt(l stagedLayer) error {
	err := os.Rename(l.dir, s.layerDir(l.diffID))
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("storing layer: %w", err)
	}
	return nil
}

// writeImage writes the record last: it is what makes the image exist.
func (s *Store) writeImage(id string, raw []byte, rec *record) error {
	if old, err := s.readRecord(id); err == nil {
		rec.Tags = old.Tags
	}
	if err := os.Mkdir(s.imageDir(id), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("storing image: %w", err)
	}
	if err := writeFile(filepath.Join(s.imageDir(id), "config.json"), raw); err != nil {
		return err
	}
	return s.writeRecord(id, rec)
}
