package main

import (
	"errors"
	"strings"
	"time"

	"github.com/docker/go-units"

	"github.com/minirt/mini/rootfs"
)

func imagesCommand(name string, aliases ...string) *command {
	return &command{
		name: name, aliases: aliases, args: "[REPOSITORY[:TAG]]", max: 1, run: runImages, short: "List images",
		complete: "images", example: "mini images\nmini images -q --filter dangling=true\nmini images --format '{{.Repository}}:{{.Tag}} {{.Size}}'",
		flags: func() flagSet {
			return flagSet{
				boolFlag("all", "a", "Show all images (mini has no intermediate ones)"),
				boolFlag("digests", "", "Show digests (mini has none)"),
				filterFlag(), formatFlag(),
				boolFlag("no-trunc", "", "Don't truncate output"),
				boolFlag("quiet", "q", "Only show image IDs"),
			}
		},
	}
}

// imageRow is one name of an image; the fields are those of --format.
type imageRow struct {
	CreatedAt, CreatedSince, Digest, ID, Repository, Size, Tag string
}

func imageListing(digests bool) listing[imageRow] {
	l := listing[imageRow]{
		table: "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
		header: imageRow{
			Repository: "REPOSITORY", Tag: "TAG", Digest: "DIGEST", ID: "IMAGE ID",
			CreatedSince: "CREATED", CreatedAt: "CREATED AT", Size: "SIZE",
		},
		quiet: func(r imageRow) string { return r.ID },
	}
	if digests {
		l.table = strings.Replace(l.table, "{{.ID}}", "{{.Digest}}\t{{.ID}}", 1)
	}
	return l
}

func runImages(c *call) error {
	f, err := parseFilters(c.list("filter"), "before", "dangling", "label", "reference", "since")
	if err != nil {
		return err
	}
	rt, err := c.open()
	if err != nil {
		return err
	}
	all, err := rt.Images.List()
	if err != nil {
		return err
	}
	q := imageQuery{filters: f, repository: c.arg(0)}
	if err := q.resolve(rt.Images); err != nil {
		return err
	}
	var rows []imageRow
	seen := map[string]bool{}
	for _, image := range all {
		for _, tag := range q.tags(image) {
			if c.bool("quiet") && seen[image.ID] {
				continue // -q shows an image once
			}
			seen[image.ID] = true
			rows = append(rows, imageRowOf(image, tag, c.bool("no-trunc"), time.Now()))
		}
	}
	return imageListing(c.bool("digests")).print(c.out, c.str("format"), c.bool("quiet"), rows)
}

func imageRowOf(image *rootfs.Image, tag string, full bool, now time.Time) imageRow {
	r := imageRow{
		ID: imageID(image.ID), CreatedSince: ago(image.Created, now), Digest: "<none>",
		CreatedAt: image.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"),
		Size:      units.HumanSizeWithPrecision(float64(image.Size), 3),
	}
	if !full {
		r.ID = shortID(image.ID)
	}
	repository, name := splitTag(tag)
	r.Repository, r.Tag = orNone(repository), orNone(name)
	return r
}

func shortID(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(12, len(id))]
}

// splitTag splits "localhost:5000/web:1" at its last colon, which may not
// belong to a registry.
func splitTag(tag string) (repository, name string) {
	if i := strings.LastIndexByte(tag, ':'); i > strings.LastIndexByte(tag, '/') {
		return tag[:i], tag[i+1:]
	}
	return tag, ""
}

func rmiCommand(name string, aliases ...string) *command {
	return &command{
		name: name, aliases: aliases, args: "IMAGE [IMAGE...]", min: 1, max: -1, run: runRmi,
		short: "Remove one or more images", complete: "images", example: "mini rmi busybox",
		flags: func() flagSet {
			return flagSet{boolFlag("force", "f", "Force removal of the image")}
		},
	}
}

func runRmi(c *call) error {
	rt, err := c.open()
	if err != nil {
		return err
	}
	var errs []error
	for _, ref := range c.args() {
		removed, err := rt.Images.Remove(ref, c.bool("force"), rt.ImageUsers)
		for _, r := range removed {
			c.println(r)
		}
		if c.bool("force") && errors.Is(err, rootfs.ErrNoImage) {
			report(c.err, err) // said, but what was wanted is so
			continue
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func tagCommand() *command {
	return &command{
		name: "tag", args: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", min: 2, max: 2, complete: "images",
		short: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", example: "mini tag busybox busybox:old",
		run: func(c *call) error {
			rt, err := c.open()
			if err != nil {
				return err
			}
			return rt.Images.Tag(c.arg(0), c.arg(1))
		},
	}
}
